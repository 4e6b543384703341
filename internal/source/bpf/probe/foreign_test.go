package probe

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func needProgram(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip(err)
	}
	return path
}

// library is the path of one that a program has loaded.
func library(t *testing.T, name string) string {
	t.Helper()
	p := spawn(t, "target", "wait", "0")
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", p.pid))
	require.NoError(t, err)
	path := regexp.MustCompile(`/\S*/` + regexp.QuoteMeta(name)).FindString(string(maps))
	require.NotEmpty(t, path)
	return path
}

func TestTracepointsOfTheCPPLibrary(t *testing.T) {
	need(t)
	linked, err := exec.Command("ldd", program("cart")).Output()
	require.NoError(t, err)
	path := regexp.MustCompile(`/\S*/libstdc\+\+\.so\S*`).Find(linked)
	require.NotEmpty(t, path)
	at := func(name string) string {
		return "\n- metric: {name: " + name + ", type: counter}\n  usdt: {binary: " + string(path) + ", provider: libstdcxx, name: " + name +
			"}\n  filter: {executable: cart}\n"
	}
	f := start(t, at("throw")+at("catch"))
	run(t, "cart", "3000")
	require.Equal(t, map[string]uint64{"throw": 1000, "catch": 1000}, only(t, f.collect()).Counters)
}

// Debian's has tracepoints with semaphores.
func TestTracepointsOfPython(t *testing.T) {
	need(t)
	python := "/usr/bin/python3"
	if _, err := os.Stat(python); err != nil {
		t.Skip(err)
	}
	f := start(t, `
- metric: {name: collections, type: counter}
  usdt: {binary: `+python+`, provider: python, name: gc__start}
  attributes: {generation: {arg: 0}}
- metric: {name: imports, type: counter}
  usdt: {binary: `+python+`, provider: python, name: import__find__load__start}
  attributes: {module: {arg: 0, type: string}}
`)
	cmd := exec.Command(python, "-c", "import colorsys, gc\nfor i in range(100): gc.collect(1)")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	p := of(f.collect(), cmd.Process.Pid)
	assert.EqualValues(t, 100, p.Counters["collections{generation=1}"])
	assert.EqualValues(t, 1, p.Counters["imports{module=colorsys}"])
}

func TestHostFunctionsOfTheCLibraryInAProgramOfTheDistribution(t *testing.T) {
	need(t)
	perl := needProgram(t, "perl")
	f := start(t, `
- metric: {name: calls, type: counter}
  uprobe: {binary: `+library(t, "libc.so.6")+`, symbol: getpgid}
  value: {return: true}
  attributes: {of: {arg: 0, type: s32}}
  filter: {executable: '`+filepath.Base(realPath(t, perl))+`'}
  single_step: true
`)
	out, err := exec.Command(perl, "-e", "print getpgrp($$); getpgrp($$) for 1..99").Output()
	require.NoError(t, err)
	group, err := strconv.Atoi(string(out))
	require.NoError(t, err)
	p := only(t, f.collect())
	assert.Equal(t, "perl", p.Resource["process.executable.name"])
	assert.Equal(t, map[string]uint64{"calls{of=" + p.Resource["process.pid"] + "}": uint64(100 * group)}, p.Counters)
}

func realPath(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.EvalSymlinks(path)
	require.NoError(t, err)
	return path
}

// A shell calls malloc before it becomes the program.
func TestAProcessIsNamedForTheProgramThatItBecame(t *testing.T) {
	need(t)
	f := start(t, `
- metric: {name: calls, type: counter}
  uprobe: {binary: `+library(t, "libc.so.6")+`, symbol: malloc}
  single_step: true
`)
	sh := exec.Command("sh", "-c", "exec "+program("target")+" work 1")
	require.NoError(t, sh.Run())
	require.Equal(t, "target", of(f.collect(), sh.Process.Pid).Resource["process.executable.name"])
}

func TestHostBpftraceCountsTheSame(t *testing.T) {
	need(t)
	needProgram(t, "bpftrace")
	if _, err := os.Stat("/sys/bus/event_source/devices/uprobe/type"); err != nil {
		t.Skip("bpftrace needs uprobes: ", err)
	}
	f := start(t, `
- metric: {name: calls, type: counter}
  uprobe: {binary: '${target}', symbol: do_work}
- metric: {name: sum, type: updowncounter}
  uprobe: {binary: '${target}', symbol: do_work}
  value: {arg: 0, type: s32}
- metric: {name: by, type: counter}
  uprobe: {binary: '${target}', symbol: do_work}
  attributes: {what: {arg: 1, type: string}}
- metric: {name: by.request, type: counter}
  usdt: {binary: '${target}', provider: app, name: request}
  value: arg1
  attributes: {route: {arg: 0, type: string}}
`)
	target := program("target")
	script := `uprobe:TARGET:do_work { @calls = count(); @sum = sum((int32)arg0); @by[str(arg1)] = count(); }
		usdt:TARGET:app:request { @route[str(arg0)] = sum(arg1); }`
	out, err := exec.Command("bpftrace", "-e", strings.ReplaceAll(script, "TARGET", target), "-c", target+" work 1001 requests 300").CombinedOutput()
	require.NoError(t, err, "%s", out)
	p := only(t, f.collect())
	for key, n := range map[string]any{
		"@calls": p.Counters["calls"], "@sum": p.UpDownCounters["sum"],
		"@by[odd]": p.Counters["by{what=odd}"], "@by[even]": p.Counters["by{what=even}"],
		"@route[/]": p.Counters["by.request{route=/}"], "@route[/cart]": p.Counters["by.request{route=/cart}"], "@route[/pay]": p.Counters["by.request{route=/pay}"],
	} {
		assert.Contains(t, string(out), fmt.Sprintf("%s: %v\n", key, n))
	}
	assert.EqualValues(t, 1001, p.Counters["calls"])
	assert.EqualValues(t, 300, p.Counters["by.request{route=/pay}"])
}
