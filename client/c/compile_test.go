package c

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

type compiler struct {
	name    string
	command []string
}

var strict = []string{"-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I."}

var compilers = []compiler{
	{"gcc C11", []string{"gcc", "-std=c11", "-O2"}},
	{"gcc C11 without optimisation", []string{"gcc", "-std=c11", "-O0"}},
	{"gcc C++17", []string{"g++", "-x", "c++", "-std=c++17", "-O2"}},
	{"gcc without rseq", []string{"gcc", "-std=c11", "-O2", "-DHOTPATH_NO_RSEQ"}},
	{"gcc AVX2, static", []string{"gcc", "-O3", "-mavx2", "-static"}},
	{"clang C11", []string{"clang", "-std=c11", "-O2"}},
	{"clang C++17", []string{"clang++", "-x", "c++", "-std=c++17", "-O2"}},
}

// need skips a test for want of a tool, or fails it where nothing may be missing.
func need(t testing.TB, tool string) string {
	t.Helper()
	path, err := exec.LookPath(tool)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is missing, and CI runs everything", tool)
		}
		t.Skipf("%s is not installed", tool)
	}
	return path
}

// programs, and objects, are kept in a folder for all tests, by the command that made them.
var programs struct {
	dir  string
	made map[string]string
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "hotpath-c-")
	if err != nil {
		panic(err)
	}
	programs.dir, programs.made = dir, map[string]string{}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func (c compiler) compile(t testing.TB, source string, args ...string) string {
	t.Helper()
	return build(t, append(append(append(append([]string{}, c.command...), strict...), source), args...))
}

// build runs a compiler's command, once, and returns what it made.
func build(t testing.TB, command []string) string {
	t.Helper()
	need(t, command[0])
	key := strings.Join(command, " ")
	if made, ok := programs.made[key]; ok {
		return made
	}
	dir, err := os.MkdirTemp(programs.dir, "")
	if err != nil {
		t.Fatal(err)
	}
	made := filepath.Join(dir, "program")
	run(t, append(command, "-o", made)...)
	programs.made[key] = made
	return made
}

func run(t testing.TB, command ...string) {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, out)
	}
}

func output(t testing.TB, command ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, stderr.String())
	}
	return string(out)
}

func TestHeaderCompilesWithoutWarnings(t *testing.T) {
	for _, flags := range []string{
		"gcc -std=c11 -fPIE", "gcc -std=c11 -fPIC", "gcc -std=c11 -DHOTPATH_NO_RSEQ", "clang -std=c11",
		"g++ -x c++ -std=c++17", "g++ -x c++ -std=c++20 -fPIC", "clang++ -x c++ -std=c++20",
	} {
		t.Run(flags, func(t *testing.T) {
			command := append(strings.Fields(flags), "-O2", "-Wconversion", "-Wsign-conversion", "-Wshadow", "-Wundef", "-DRECORD", "-c")
			compiler{flags, command}.compile(t, "testdata/library.c")
		})
	}
}

func TestHeaderCompilesForArm64(t *testing.T) {
	arm := compiler{"arm64", []string{"aarch64-linux-gnu-gcc", "-std=c11", "-O2"}}
	arm.compile(t, "testdata/ring.c", "-lm")
	binary := arm.compile(t, "testdata/exercise.c", "-lm")
	need(t, "aarch64-linux-gnu-objdump")
	code := output(t, "aarch64-linux-gnu-objdump", "-d", "--no-show-raw-insn", binary)
	if !strings.Contains(code, "tpidr_el0") {
		t.Error("the arm64 code does not take the thread's rseq area")
	}
}

func TestHeaderCompilesAgainstMusl(t *testing.T) {
	musl := compiler{"musl", []string{"musl-gcc", "-std=c11", "-O2", "-static"}}
	client := start(t, musl.compile(t, "testdata/exercise.c"), directory(t), "threads", "4", "100000")
	if got := client.collect().Total("threads.counter"); got != 400000 {
		t.Errorf("counted %d of 400000", got)
	}
}
