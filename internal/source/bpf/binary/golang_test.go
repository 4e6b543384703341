package binary

import (
	"os/exec"
	"strings"
	"testing"
)

func TestGoFunctionsAreToldFromOthers(t *testing.T) {
	c := compile(t, "go build", "testdata/go")
	all := c.symbols(t)
	for name, want := range map[string]struct {
		refused string
		n       int
	}{
		"main.main":                      {"", 1},
		"main.(*server).handle":          {"", 1},
		"main.largest[go.shape.int]":     {"", 1},
		"main.largest[go.shape.float64]": {"", 1},
		"runtime.mallocgc":               {"", 1},
		"main.plus.abi0":                 {"on the stack", 1},
		"cmpbody":                        {"convention of its own", 1},
	} {
		sites, err := c.Functions(name, 0)
		if err != nil || len(sites) != want.n || len(all[name]) != want.n {
			t.Errorf("%s: %+v, %v; nm shows %x", name, sites, err, all[name])
			continue
		}
		s := sites[0]
		if !s.Go || s.Offset != c.fileOffset(t, all[name][0]) || (want.refused == "") != (s.NoArguments == "") || !strings.Contains(s.NoArguments, want.refused) {
			t.Errorf("%s: %+v; want it to say %q", name, s, want.refused)
		}
	}
	_, err := c.Functions("main.plus", 0)
	wantError(t, err, "main.plus.abi0")
	_, err = c.Functions("handle", 0)
	wantError(t, err, "main.(*server).handle")
	_, err = c.Functions("runtime.buildVersion", 0)
	wantError(t, err, "it is data")
}

func TestGoProgramWithAnotherLinkModeIsGos(t *testing.T) {
	c := compile(t, "go build -buildmode=pie", "testdata/go")
	if sites, err := c.Functions("main.main", 0); err != nil || !sites[0].Go {
		t.Errorf("%+v, %v", sites, err)
	}
	stripped := compile(t, "go build -ldflags=-s", "testdata/go")
	_, err := stripped.Functions("main.main", 0)
	wantError(t, err, "stripped")
}

func TestFunctionsOfCWithinGoAreCs(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("gcc is not there")
	}
	c := compile(t, "env CGO_ENABLED=1 go build", "testdata/cgo")
	for name, isGo := range map[string]bool{"doubled": false, "main.show": true, "main.main": true, "crosscall2": true} {
		sites, err := c.Functions(name, 0)
		if err != nil || len(sites) != 1 || sites[0].Go != isGo {
			t.Errorf("%s: %+v, %v", name, sites, err)
		}
	}
	sites, err := c.Functions("crosscall_amd64", 0)
	if err == nil && sites[0].Go {
		t.Errorf("%+v", sites)
	}
}

func TestFunctionsOfCAreNotGosWhateverTheirNames(t *testing.T) {
	c := compile(t, "gcc -O2", writeSource(t, `
		__asm__(".text\n.globl main.work\n.type main.work, @function\nmain.work: ret\n.size main.work, 1\n");
		int main(void) { return 0; }`))
	if sites, err := c.Functions("main.work", 0); err != nil || sites[0].Go {
		t.Errorf("%+v, %v", sites, err)
	}
}
