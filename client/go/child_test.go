//go:build linux && (amd64 || arm64)

package hotpath

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// children are programs of their own: what a test needs a whole process for.
var children = map[string]func(){}

const childVariable = "HOTPATH_TEST_CHILD"

func TestMain(m *testing.M) {
	if child := children[os.Getenv(childVariable)]; child != nil {
		child()
		os.Exit(0)
	}
	dir, err := os.MkdirTemp("/dev/shm", "hotpath-go-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// For the package's own client, which examples and some tests use.
	os.Setenv("HOTPATH_DIR", dir)
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// directoryOnTmpfs makes a directory that goes when the test ends.
func directoryOnTmpfs(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "hotpath-go-")
	if err != nil {
		t.Skip("needs a writable /dev/shm: ", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// fresh makes a client of its own, as if in a new process with this environment.
// Its memory stays mapped to the end: handles may be anywhere.
func fresh(environment map[string]string) *client {
	return &client{getenv: func(key string) string { return environment[key] }}
}

func in(dir string) map[string]string { return map[string]string{"HOTPATH_DIR": dir} }

// child is a process that runs one of the children.
type child struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
	err strings.Builder
}

func start(t *testing.T, name string, environment map[string]string) *child {
	t.Helper()
	c := command(name, environment)
	c.begin(t)
	return c
}

// command is a child that has yet to begin.
func command(name string, environment map[string]string) *child {
	c := &child{Cmd: exec.Command(os.Args[0], "-test.run=^$")}
	c.Env = append(os.Environ(), childVariable+"="+name)
	for k, v := range maps.All(environment) {
		c.Env = append(c.Env, k+"="+v)
	}
	return c
}

func (c *child) begin(t *testing.T) {
	t.Helper()
	var err error
	if c.in, err = c.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewScanner(out)
	c.Stderr = &c.err
	if err := c.Start(); err != nil {
		if c.SysProcAttr != nil {
			t.Skip("needs namespaces, and the right to make them: ", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
}

// line is the next line that the child prints.
func (c *child) line(t *testing.T) string {
	t.Helper()
	if !c.out.Scan() {
		_ = c.Wait()
		t.Fatalf("the child ended: %v\n%s", c.ProcessState, c.err.String())
	}
	return c.out.Text()
}

// end lets a child that waits for its standard input end, and reports how it did.
func (c *child) end(t *testing.T) {
	t.Helper()
	c.in.Close()
	if err := c.Wait(); err != nil {
		t.Fatalf("the child ended: %v\n%s", err, c.err.String())
	}
}

func waitForEnd() { _, _ = io.Copy(io.Discard, os.Stdin) }

func blocks(t testing.TB, path string) int64 {
	t.Helper()
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Blocks * 512
}

// locked reports whether a process holds the segment's lock.
func locked(t *testing.T, path string) bool {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	return unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB) == unix.EWOULDBLOCK
}

// descriptors is how many this process has.
func descriptors(t *testing.T) int {
	t.Helper()
	var entries []os.DirEntry
	for range 2 { // the first look may start the network poller
		var err error
		if entries, err = os.ReadDir("/proc/self/fd"); err != nil {
			t.Fatal(err)
		}
	}
	return len(entries)
}

func matches(s, expression string) bool { return regexp.MustCompile(expression).MatchString(s) }

func globbed(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*-*"))
	if err != nil {
		t.Fatal(err)
	}
	return paths
}
