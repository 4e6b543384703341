package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const root = "../.." // of the repository

// missing skips a test for want of something, or fails it where nothing may be missing.
func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("CI runs everything; this needs "+format, args...)
	}
	t.Skipf("this needs "+format, args...)
}

// build is the outcome of making a program, which is made once.
type build struct {
	path   string
	output string
	err    error
}

// use returns the program. Only what a machine may lack is a reason to skip the test.
func (b *build) use(t testing.TB) string {
	t.Helper()
	switch {
	case b.err == nil:
		return b.path
	case strings.Contains(b.err.Error(), exec.ErrNotFound.Error()):
		missing(t, "a tool: %v", b.err)
	case offline(b.output):
		missing(t, "the Go module proxy: %v\n%s", b.err, b.output)
	default:
		t.Fatalf("build %s: %v\n%s", b.path, b.err, b.output)
	}
	return ""
}

// offline tells what the go command prints without a network.
func offline(output string) bool {
	for _, symptom := range []string{
		"dial tcp", "no such host", "i/o timeout", "TLS handshake timeout", "module lookup disabled", "proxyconnect",
	} {
		if strings.Contains(output, symptom) {
			return true
		}
	}
	return false
}

// command makes the program at path, unless the folder that HOTPATH_PROGRAMS names has it ready: compilers are slow
// where a virtual machine's processor is.
func command(path, dir string, env []string, args ...string) *build {
	if ready := filepath.Join(os.Getenv("HOTPATH_PROGRAMS"), filepath.Base(path)); filepath.IsAbs(ready) {
		if _, err := os.Stat(ready); err == nil {
			return &build{path: ready}
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return &build{path, string(out), err}
}

// otelcol is the Collector of builder-config.yaml, or the one that HOTPATH_OTELCOL names.
var otelcol = sync.OnceValue(func() *build {
	if path := os.Getenv("HOTPATH_OTELCOL"); path != "" {
		return &build{path: path}
	}
	path, err := filepath.Abs(filepath.Join(root, "_build", "otelcol-hotpath"))
	if err != nil {
		return &build{err: err}
	}
	return command(path, root, nil, "go", "tool", "-modfile=internal/tools/go.mod", "builder", "--config", "builder-config.yaml")
})

const victoriaVersion = "v1.140.0"

// victoria is VictoriaMetrics, kept in the user's cache once it was built.
var victoria = sync.OnceValue(func() *build {
	cache, err := os.UserCacheDir()
	if err != nil {
		return &build{err: err}
	}
	dir := filepath.Join(cache, "hotpath", "bin", "victoria-metrics@"+victoriaVersion)
	path := filepath.Join(dir, "victoria-metrics")
	if _, err := os.Stat(path); err == nil {
		return &build{path: path}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return &build{err: err}
	}
	// Built aside and renamed, since tests of another checkout may want it at the same time.
	b := command(path, programs, []string{"CGO_ENABLED=0", "GOBIN=" + programs, "GOFLAGS="},
		"go", "install", "github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics@"+victoriaVersion)
	if b.err == nil {
		b.err = install(filepath.Join(programs, "victoria-metrics"), path)
	}
	return b
})

// install copies a program to where it is found complete or not at all.
func install(from, to string) error {
	program, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	aside, err := os.CreateTemp(filepath.Dir(to), ".install-")
	if err != nil {
		return err
	}
	defer os.Remove(aside.Name())
	defer aside.Close()
	if _, err := aside.Write(program); err != nil {
		return err
	}
	if err := aside.Chmod(0o755); err != nil {
		return err
	}
	if err := aside.Close(); err != nil {
		return err
	}
	return os.Rename(aside.Name(), to)
}

// cPrograms are the C programs in testdata, each compiled once.
var cPrograms sync.Map

func cProgram(t testing.TB, name string) string {
	t.Helper()
	once, _ := cPrograms.LoadOrStore(name, sync.OnceValue(func() *build {
		path := filepath.Join(programs, name)
		return command(path, ".", nil, "gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror",
			"-I"+filepath.Join(root, "client", "c"), filepath.Join("testdata", name+".c"), "-o", path, "-pthread")
	}))
	return once.(func() *build)().use(t)
}

var cart = sync.OnceValue(func() *build {
	path := filepath.Join(programs, "cart")
	return command(path, ".", nil, "g++", "-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "testdata/cart.cc", "-o", path)
})

var goApp = sync.OnceValue(func() *build {
	path := filepath.Join(programs, "app")
	return command(path, ".", nil, "go", "build", "-o", path, "./testdata/app")
})
