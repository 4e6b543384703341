//go:build linux && (amd64 || arm64)

package hotpath

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

const memfdLink = "/memfd:hotpath (deleted)"

var asMemfd = map[string]string{"HOTPATH_TRANSPORT": "bpf"}

// inBothPlaces runs a test with a file in a directory and with a memfd.
func inBothPlaces(t *testing.T, test func(t *testing.T, environment map[string]string)) {
	t.Run("shm", func(t *testing.T) { test(t, in(directoryOnTmpfs(t))) })
	t.Run("bpf", func(t *testing.T) { test(t, asMemfd) })
}

// memfds are the descriptors of a process's segments.
func memfds(t *testing.T, pid int) (paths []string) {
	t.Helper()
	all, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		if link, err := os.Readlink(path); err == nil && link == memfdLink {
			paths = append(paths, path)
		}
	}
	return paths
}

// held is the one memfd of another process as a Collector holds it: by a descriptor of its own.
func held(t *testing.T, pid int) string {
	t.Helper()
	paths := memfds(t, pid)
	if len(paths) != 1 {
		t.Fatalf("process %d has the memfds %v, want one", pid, paths)
	}
	return hold(t, paths[0])
}

func hold(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return fmt.Sprintf("/proc/self/fd/%d", f.Fd())
}

// read reads what a client of this process published.
func (c *client) read(t *testing.T) *published {
	t.Helper()
	if c.path != "" {
		return read(t, c.path)
	}
	for _, path := range memfds(t, os.Getpid()) {
		if p := read(t, path); p.field(segment.OffSegmentID) == c.header.Load().load(segment.OffSegmentID) {
			return p
		}
	}
	t.Fatal("the client's memfd is not there: ", c.status())
	return nil
}

func seals(t *testing.T, path string) int {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	if err != nil {
		t.Fatal(err)
	}
	return seals
}

func TestAMemfdIsAsTheFormatSays(t *testing.T) {
	c := start(t, "count and wait", map[string]string{"HOTPATH_TRANSPORT": "bpf", "HOTPATH_DIR": directoryOnTmpfs(t)})
	if path := c.line(t); path != "" {
		t.Errorf("there is a file %s too", path)
	}
	paths := memfds(t, c.Process.Pid)
	if len(paths) != 1 {
		t.Fatalf("the process has the memfds %v", paths)
	}
	number, err := strconv.Atoi(filepath.Base(paths[0]))
	if err != nil || number < 200 {
		t.Errorf("the descriptor has the number %d, %v", number, err)
	}
	info, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", c.Process.Pid, number))
	if err != nil || !matches(string(info), fmt.Sprintf(`(?m)^flags:\s0%o$`, unix.O_RDWR|unix.O_LARGEFILE|unix.O_CLOEXEC|0o100000)) {
		t.Errorf("the descriptor's flags: %s %v", info, err)
	}
	path := held(t, c.Process.Pid)
	want, noexec := segment.MemfdSeals, true
	if fd, err := unix.MemfdCreate("test", unix.MFD_NOEXEC_SEAL); err == nil {
		unix.Close(fd)
		want |= unix.F_SEAL_EXEC
	} else {
		noexec = false
	}
	if got := seals(t, path); got != want {
		t.Errorf("the seals are %#x, want %#x", got, want)
	}
	stat, err := os.Stat(path)
	if err != nil || stat.Size() != int64(roomy().size()) || noexec && stat.Mode().Perm()&0o111 != 0 {
		t.Errorf("the memfd has mode %v and %d bytes: %v", stat.Mode(), stat.Size(), err)
	}
	if !locked(t, path) {
		t.Error("the memfd is not locked")
	}
	p := read(t, path)
	if string(p.header[:8]) != segment.Magic || p.field(segment.OffPID) != uint64(c.Process.Pid) || p.field(segment.OffFileSize) != uint64(stat.Size()) {
		t.Errorf("the header is %x", p.header)
	}
	if p.series["count"].words[0] != 5 || math.Float64frombits(p.series["level"].words[0]) != 2 {
		t.Errorf("the series are %v and %v", p.series["count"], p.series["level"])
	}
	if base := mapped(t, c.Process.Pid).address; base == 0 || base%4096 != 0 || base >= 1<<48 {
		t.Errorf("the mapping begins at %#x", base)
	}
	c.end(t)
	if locked(t, path) {
		t.Error("the memfd of a dead process is locked")
	}
	if n := read(t, path).series["count"].words[0]; n != 5 {
		t.Errorf("after its process the counter is %d", n)
	}
}

func TestNobodyElseWritesToAMemfd(t *testing.T) {
	c := start(t, "count and wait", asMemfd)
	c.line(t)
	f, err := os.OpenFile(memfds(t, c.Process.Pid)[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd := int(f.Fd())
	_, mapping := unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	_, writing := unix.Pwrite(fd, []byte{1}, 600)
	_, sealing := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_WRITE)
	for what, err := range map[string]error{
		"map": mapping, "write": writing, "seal": sealing,
		"shrink": unix.Ftruncate(fd, 4096), "grow": unix.Ftruncate(fd, 1<<40),
		"punch": unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 4096),
	} {
		if !errors.Is(err, unix.EPERM) {
			t.Errorf("%s: %v, want %v", what, err, unix.EPERM)
		}
	}
	if n := read(t, f.Name()).series["count"].words[0]; n != 5 {
		t.Errorf("counter is %d", n)
	}
}

func TestStatusOfAMemfdSaysWhereAndWhy(t *testing.T) {
	c := fresh(asMemfd)
	c.counter("x")
	if s := c.status(); s != "hotpath publishes 1 series as a memfd for a Collector with the source bpf." {
		t.Errorf("status is %q", s)
	}
	c = fresh(in("/nowhere/at/all"))
	c.counter("x")
	if s, want := c.status(), "hotpath has 1 series but no file for them (look at /nowhere/at: no such file or directory; create it or set HOTPATH_DIR); published as a memfd for a Collector with the source bpf."; s != want {
		t.Errorf("status is %q, want %q", s, want)
	}
}

// region is where a process has its segment.
type region struct {
	address uint64
	file    string // in map_files
}

// mapped finds the mapping of the one memfd as a Collector does where there is no descriptor.
func mapped(t *testing.T, pid int) region {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	var found []region
	for line := range strings.Lines(string(maps)) {
		fields := strings.Fields(line)
		if !strings.HasSuffix(line, " "+memfdLink+"\n") || fields[2] != "00000000" {
			continue
		}
		start, _, _ := strings.Cut(fields[0], "-")
		address, err := strconv.ParseUint(start, 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, region{address, fmt.Sprintf("/proc/%d/map_files/%s", pid, fields[0])})
	}
	if len(found) != 1 {
		t.Fatalf("process %d has the memfd at %v, want one mapping", pid, found)
	}
	return found[0]
}

func TestAMemfdWhoseDescriptorWasClosedIsFoundByItsMapping(t *testing.T) {
	c := start(t, "close everything", asMemfd)
	c.line(t)
	if paths := memfds(t, c.Process.Pid); len(paths) != 0 {
		t.Fatalf("the process still has %v", paths)
	}
	f, err := os.Open(mapped(t, c.Process.Pid).file)
	if errors.Is(err, os.ErrPermission) {
		t.Skip("needs the right to open map_files: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	path := fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	if !locked(t, path) {
		t.Error("the lock went with the descriptors")
	}
	if n := read(t, path).series["count"].words[0]; n != 2 {
		t.Errorf("counter is %d", n)
	}
	c.end(t)
	if locked(t, path) {
		t.Error("the memfd of a dead process is locked")
	}
}
