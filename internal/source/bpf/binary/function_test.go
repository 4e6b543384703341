package binary

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var compilers = []string{
	"gcc -O2", "gcc -O0", "gcc -O2 -fcf-protection", "gcc -O2 -fno-pie -no-pie", "gcc -O2 -static", "gcc -O2 -fPIC -shared",
	"clang -O2", "clang -O0 -fcf-protection", "aarch64-linux-gnu-gcc -O2", "aarch64-linux-gnu-gcc -O0 -mbranch-protection=standard",
}

var emulated = regexp.MustCompile(`^(nop$|xchg +%ax,%ax$|pause|push +%r|j[a-z]+ +[0-9a-f]|(bnd )?call +[0-9a-f])`)

func TestFunctionIsWhereObjdumpShowsIt(t *testing.T) {
	for _, command := range compilers {
		t.Run(command, func(t *testing.T) {
			c := compile(t, command, "testdata/functions.c")
			code := c.disassemble(t)
			for _, name := range []string{"add_numbers", "helper", "halve", "main", "untyped"} {
				d, shown := code[name]
				if !shown {
					t.Fatalf("objdump shows no %s", name)
				}
				want, first := d.offset, d.lines[0]
				if strings.HasPrefix(first.mnemonic, "endbr64") {
					want, first = want+4, d.lines[1]
				}
				sites, err := c.Functions(name, 0)
				if err != nil || len(sites) != 1 {
					t.Errorf("%s: %+v, %v", name, sites, err)
					continue
				}
				s := sites[0]
				if s.Offset != want || s.Symbol != name || s.Go || s.NoArguments != "" {
					t.Errorf("%s: %+v, want it at %#x", name, s, want)
				}
				if free := c.arm || emulated.MatchString(first.mnemonic); free != (s.Stepped == "") {
					t.Errorf("%s begins with %s; stepped: %q", name, first.mnemonic, s.Stepped)
				}
			}
		})
	}
}

func TestProtectedFunctionHasItsProbeBehindEndbr64(t *testing.T) {
	c := compile(t, "gcc -O0 -fcf-protection", "testdata/functions.c")
	d := c.disassemble(t)["halve"]
	sites, err := c.Functions("halve", 0)
	if err != nil || !strings.HasPrefix(d.lines[0].mnemonic, "endbr64") || sites[0].Offset != d.offset+4 || sites[0].Stepped != "" {
		t.Errorf("%+v, %v, %+v", sites, err, d.lines[0])
	}
	if at, err := c.Address(d.lines[0].address); err != nil || at != sites[0] {
		t.Errorf("%+v, %v", at, err)
	}
}

// padding is what objdump shows as a part of the function in front.
var padding = regexp.MustCompile(`^(nop|xchg +%ax,%ax|cs nop|data16|\(bad\)|\.\.\.)`)

func TestOffsetHasToBeAnInstructionsBeginning(t *testing.T) {
	for _, command := range compilers {
		t.Run(command, func(t *testing.T) {
			c := compile(t, command, "testdata/functions.c")
			for name, d := range c.disassemble(t) {
				if !slices.Contains([]string{"add_numbers", "helper", "halve", "main"}, name) {
					continue
				}
				for padding.MatchString(d.lines[len(d.lines)-1].mnemonic) {
					d.lines = d.lines[:len(d.lines)-1]
				}
				begin, last := d.lines[0].address, d.lines[len(d.lines)-1].address
				for at := begin + 1; at <= last; at++ {
					is := slices.ContainsFunc(d.lines, func(l line) bool { return l.address == at })
					sites, err := c.Functions(name, at-begin)
					if err != nil && strings.Contains(err.Error(), "no probe can be on") && is {
						continue
					}
					if is != (err == nil) || is && (len(sites) != 1 || sites[0].Offset != d.offset+at-begin) {
						t.Errorf("%s+%d: %+v, %v; objdump shows an instruction: %v", name, at-begin, sites, err, is)
					}
					site, err := c.Address(at)
					if is != (err == nil) || is && site.Offset != sites[0].Offset {
						t.Errorf("%#x: %+v, %v; %+v by offset", at, site, err, sites)
					}
				}
				_, err := c.Functions(name, 1<<40)
				wantError(t, err, "bytes")
				_, err = c.Functions(name, ^uint64(0))
				wantError(t, err, "bytes")
			}
		})
	}
}

func TestInstructionIsWhatTheKernelMakesOfIt(t *testing.T) {
	c := compile(t, "gcc -O2", "testdata/functions.c")
	for _, want := range []struct {
		name, stepped string
		nop           uint8
	}{
		{"nop", "", 1},
		{"nop2", "", 2},
		{"nop5", "nopl (%rax,%rax) (0f 1f 44 00 00)", 5},
		{"pause", "", 0},
		{"push", "", 0},
		{"push_r12", "", 0},
		{"pushw", "push %bx (66 53)", 0},
		{"jmp", "", 0},
		{"far_jmp", "", 0},
		{"jcc", "", 0},
		{"far_jcc", "", 0},
		{"call", "", 0},
		{"sub", "sub $0x18,%rsp (48 83 ec 18)", 0},
		{"vxorps", "vxorps %xmm0,%xmm1,%xmm2 (c5 f0 57 d0)", 0},
	} {
		sites, err := c.Functions("starts_"+want.name, 0)
		if err != nil || len(sites) != 1 || sites[0].Stepped != want.stepped || sites[0].Nop != want.nop {
			t.Errorf("%s: %+v, %v; want %q, nop %d", want.name, sites, err, want.stepped, want.nop)
		}
	}
	for name, why := range map[string]string{
		"lock": "lock prefix", "int3": "takes none there", "xchg": "for a nop", "vpor": "for a jump", "vzeroupper": "on vzeroupper (c5 f8 77): the kernel takes it for a jump", "notrack": "segment", "jmp_word": "size prefix",
	} {
		_, err := c.Functions("starts_"+name, 0)
		wantError(t, err, "no probe can be on", why)
	}
	if sites, err := c.Functions("starts_vzeroupper", 3); err != nil || !strings.HasPrefix(sites[0].Stepped, "ret") {
		t.Errorf("behind vzeroupper: %+v, %v", sites, err)
	}
}

func TestWhatIsNoFunctionIsRefusedWithTheReason(t *testing.T) {
	c := compile(t, "gcc -O2", "testdata/functions.c")
	for name, says := range map[string]string{
		"counted":      "it is data",
		"each":         "it is data",
		"printf":       "imported from another library",
		"chosen":       "several implementations",
		"add_number":   "no such function; names like it: add_numbers",
		"ADD_NUMBERS":  "names like it: add_numbers",
		"numbers":      "names like it: add_numbers",
		"nothing_like": "no such function",
		"":             "a name has",
	} {
		_, err := c.Functions(name, 0)
		wantError(t, err, says)
	}
	_, err := c.Functions("nothing_like", 0)
	if strings.Contains(err.Error(), "like it") {
		t.Errorf("%v", err)
	}
	_, err = c.Address(0)
	wantError(t, err, "there is no code")
	_, err = c.Address(c.symbols(t)["counted"][0])
	wantError(t, err, "there is no code")
	sites, err := c.Functions("also_adds", 0)
	same, _ := c.Functions("add_numbers", 0)
	if err != nil || len(sites) != 1 || sites[0].Offset != same[0].Offset {
		t.Errorf("%+v, %v", sites, err)
	}
}

func TestClonesAreMentionedAndNotTaken(t *testing.T) {
	c := compile(t, "gcc -O2 -x c", writeSource(t, `
		__asm__(".text\n.type work.cold, @function\nwork.cold: ret\n.size work.cold, 1\n");
		int main(void) { return 0; }`))
	_, err := c.Functions("work", 0)
	wantError(t, err, "names like it: work.cold")
}

func TestStrippedFileHasItsExportedFunctions(t *testing.T) {
	c := compile(t, "gcc -O2 -fPIC -shared", "testdata/functions.c")
	want, err := c.Functions("add_numbers", 0)
	if err != nil {
		t.Fatal(err)
	}
	address := c.symbols(t)["helper"][0]
	if out, err := exec.Command("strip", c.path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	stripped := open(t, c.path)
	if sites, err := stripped.Functions("add_numbers", 0); err != nil || !slices.Equal(sites, want) {
		t.Errorf("%+v, %v; want %+v", sites, err, want)
	}
	_, err = stripped.Functions("helper", 0)
	wantError(t, err, "the file is stripped")
	_, err = stripped.Address(address)
	wantError(t, err, "nothing proves")
}

func TestFileWithoutAnySymbolsSaysSo(t *testing.T) {
	c := compile(t, "gcc -O2 -static -s", "testdata/functions.c")
	_, err := c.Functions("main", 0)
	wantError(t, err, "stripped")
}

func TestVersionedSymbolsAreFoundByTheirNames(t *testing.T) {
	r, err := exec.Command("gcc", "-print-file-name=libc.so.6").Output()
	if err != nil {
		t.Skip("gcc is not there")
	}
	c := compiled{File: open(t, strings.TrimSpace(string(r))), path: strings.TrimSpace(string(r))}
	all := c.symbols(t, "-D", "--defined-only")
	sites, err := c.Functions("malloc", 0)
	address := all["malloc@@GLIBC_2.2.5"]
	if err != nil || len(sites) != 1 || len(address) != 1 {
		t.Fatalf("%+v, %v, %x", sites, err, address)
	}
	if want := c.fileOffset(t, address[0]); sites[0].Offset != want && sites[0].Offset != want+4 {
		t.Errorf("%#x, want %#x", sites[0].Offset, want)
	}
	_, err = c.Functions("memcpy", 0)
	wantError(t, err, "several implementations")
}
