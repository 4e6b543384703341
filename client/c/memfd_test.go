package c

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// sealed are the seals that every segment in a memfd has. Linux adds F_SEAL_EXEC to files that are never executable.
const sealed = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_FUTURE_WRITE

// memfdLink is what /proc shows of a segment's descriptor.
const memfdLink = "/memfd:hotpath (deleted)"

// startMemfd runs a program that is told to publish a memfd.
func startMemfd(t *testing.T, program string, args ...string) *client {
	t.Helper()
	return startWith(t, []string{"HOTPATH_TRANSPORT=bpf", "OTEL_SERVICE_NAME=memfd"}, program, "/dev/shm/none/none", args...)
}

// memfds are the paths of a process's descriptors that are segments.
func memfds(t testing.TB, pid int) (paths []string) {
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

// mappings are the same by its mappings: where each segment begins, and the path to open it by.
func mappings(t testing.TB, pid int) (addresses, paths []string) {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		f := strings.Fields(line)
		if !strings.HasSuffix(line, memfdLink+"\n") || f[2] != "00000000" {
			continue // not the first part of a mapping
		}
		from, _, _ := strings.Cut(f[0], "-")
		addresses = append(addresses, from)
		paths = append(paths, fmt.Sprintf("/proc/%d/map_files/%s", pid, f[0]))
	}
	return addresses, paths
}

// open opens the one segment of a process by its descriptor.
func (c *client) memfd() *held {
	c.t.Helper()
	paths := memfds(c.t, c.cmd.Process.Pid)
	if len(paths) != 1 {
		c.t.Fatalf("the process has the descriptors %v, status %q", paths, c.status)
	}
	return hold(c.t, paths[0])
}

func TestMemfdHasValuesOfEveryKind(t *testing.T) {
	eachVariant(t, func(t *testing.T, program string) {
		c := startMemfd(t, program, "api")
		if c.status != "hotpath: publishing 5 series as a memfd for a Collector with the source bpf" {
			t.Errorf("status is %q", c.status)
		}
		h := c.memfd()
		s := h.read()
		if s.counters["api.counter{b=true,d=0.5,i=-5,s=text}"] != 42 || int64(s.counters["api.updowncounter"]) != -7 || s.gauges["api.gauge"] != -3.25 ||
			len(s.gauges) != 1 {
			t.Errorf("counters %v, gauges %v", s.counters, s.gauges)
		}
		if got := s.histograms["api.histogram"]; got.count != 6 || got.sum != 1e300 {
			t.Errorf("histogram is %+v", got)
		}
		if s.resource["service.name"] != "memfd" || s.resource["process.executable.name"] != "program" || s.header.PID != uint64(c.cmd.Process.Pid) {
			t.Errorf("resource %v, process %d", s.resource, s.header.PID)
		}
		if !h.locked() {
			t.Error("it is not locked")
		}
		c.finish()
		if h.locked() {
			t.Error("it is locked though its process has ended")
		}
		if got := h.read().counters["api.counter{b=true,d=0.5,i=-5,s=text}"]; got != 42 {
			t.Errorf("after the end, the counter is %d", got)
		}
	})
}

func TestMemfdIsSealedAndOutOfTheWay(t *testing.T) {
	c := startMemfd(t, compilers[0].compile(t, "testdata/exercise.c", "-lm"), "threads", "4", "1000")
	path := memfds(t, c.cmd.Process.Pid)[0]
	if n, err := strconv.Atoi(filepath.Base(path)); err != nil || n < 64 {
		t.Errorf("its descriptor is %s", path)
	}
	info, err := os.ReadFile(strings.Replace(path, "/fd/", "/fdinfo/", 1))
	if err != nil || !strings.Contains(string(info), "flags:\t02") { // O_CLOEXEC
		t.Errorf("fdinfo is %s, %v", info, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	if err != nil || seals&sealed != sealed {
		t.Errorf("seals are %#x, %v", seals, err)
	}
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if h := hold(t, path).read(); st.Size() != h.header.FileSize || st.Size() > 100<<20 {
		t.Errorf("it has %d bytes, and says %d", st.Size(), h.header.FileSize)
	}
	_, mapped := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	_, written := f.WriteAt([]byte{1}, 0)
	for what, err := range map[string]error{
		"truncated":    f.Truncate(0),
		"grown":        f.Truncate(st.Size() + 4096),
		"written":      written,
		"mapped":       mapped,
		"punched":      unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 4096),
		"sealed again": errOf(unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_WRITE)),
	} {
		if !errors.Is(err, unix.EPERM) {
			t.Errorf("it can be %s: %v", what, err)
		}
	}
	if _, noexec := os.Stat("/proc/sys/vm/memfd_noexec"); noexec == nil && st.Mode()&0o111 != 0 {
		t.Errorf("its mode is %v", st.Mode())
	}
}

func errOf(_ int, err error) error { return err }

func TestMemfdOfThreadsLosesNothing(t *testing.T) {
	const threads, each = 8, 500_000
	eachVariant(t, func(t *testing.T, program string) {
		c := startMemfd(t, program, "threads", strconv.Itoa(threads), strconv.Itoa(each))
		s := c.memfd().read()
		if h := s.histograms["threads.histogram"]; s.counters["threads.counter"] != threads*each || h.count != threads*each/16 || h.sum != threads*each/32 {
			t.Errorf("counted %d of %d, %+v", s.counters["threads.counter"], threads*each, h)
		}
		c.finish()
	})
}

func TestMemfdTakesLittleMemory(t *testing.T) {
	c := startMemfd(t, compilers[0].compile(t, "testdata/exercise.c", "-lm"), "many", "100")
	var st unix.Stat_t
	if err := unix.Stat(memfds(t, c.cmd.Process.Pid)[0], &st); err != nil {
		t.Fatal(err)
	}
	t.Logf("100 counters: %d KiB", st.Blocks/2)
	if st.Blocks/2 > 64 {
		t.Errorf("100 counters take %d KiB", st.Blocks/2)
	}
}

func TestMemfdIsWhereNoFileCanBe(t *testing.T) {
	program := compilers[0].compile(t, "testdata/exercise.c", "-lm")
	full := func(t *testing.T) string {
		dir := tmpfs(t, "1m")
		if err := os.WriteFile(filepath.Join(dir, ".fill"), make([]byte, 900<<10), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	crowded := func(t *testing.T) string {
		dir := directory(t)
		for i := range 8200 {
			if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	noInodes := func(t *testing.T) string { // a link into it is refused at the end
		dir := tmpfs(t, "64m,nr_inodes=2")
		if err := os.WriteFile(filepath.Join(dir, ".fill"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	readOnly := func(t *testing.T) string {
		dir := tmpfs(t, "64m")
		if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	for name, where := range map[string]struct {
		dir    func(*testing.T) string
		status string
	}{
		"no directory":      {func(*testing.T) string { return "/dev/shm/none/none" }, "cannot open /dev/shm/none/none: No such file or directory; create it or set HOTPATH_DIR"},
		"long path":         {func(*testing.T) string { return "/" + strings.Repeat("a", 300) }, "cannot open /" + strings.Repeat("a", 254) + ": File name too long; set HOTPATH_DIR to a directory"},
		"no file system":    {func(*testing.T) string { return "/proc/self" }, "cannot open /proc/self: Not a directory; set HOTPATH_DIR to a directory"},
		"relative path":     {func(*testing.T) string { return "shm/hotpath" }, "HOTPATH_DIR=shm/hotpath is not an absolute path"},
		"read-only":         {readOnly, "Read-only file system; set HOTPATH_DIR to a directory that can be written to"},
		"nearly full":       {full, "is nearly full"},
		"many entries":      {crowded, "has more than 8192 entries; is a collector running?"},
		"no further inodes": {noInodes, "No space left on device; make room there or set HOTPATH_DIR"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, transport := range []string{"HOTPATH_TRANSPORT=shm", "HOTPATH_TRANSPORT="} {
				c := startWith(t, []string{transport}, program, where.dir(t), "forks")
				if !strings.Contains(c.status, where.status+"; published as a memfd for a Collector with the source bpf") {
					t.Errorf("status is %q", c.status)
				}
				if got := c.memfd().read().counters["forks.counter"]; got != 2 {
					t.Errorf("counted %d of 2", got)
				}
				c.finish()
			}
		})
	}
}

func TestWhatKeepsAFileFromADirectoryIsSaidWithARemedy(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("dropping capabilities needs root")
	}
	setpriv, filter := need(t, "setpriv"), compilers[0].compile(t, "testdata/without.c")
	program := compilers[0].compile(t, "testdata/exercise.c", "-lm")
	for name, c := range map[string]struct {
		command []string
		status  string
	}{
		"no right":          {[]string{setpriv, "--bounding-set=-dac_override"}, "Permission denied; give this user the right to write there or set HOTPATH_DIR"},
		"no nameless files": {[]string{filter, "nameless"}, "Operation not supported; set HOTPATH_DIR to a directory on tmpfs"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := directory(t)
			if err := errors.Join(os.Chown(dir, 1234, 1234), os.Chmod(dir, 0o755)); err != nil {
				t.Fatal(err)
			}
			client := start(t, c.command[0], dir, append(c.command[1:], program, "api")...)
			if want := "hotpath: cannot create a file in " + dir + ": " + c.status + "; published as a memfd"; !strings.HasPrefix(client.status, want) {
				t.Errorf("status is %q", client.status)
			}
			client.finish()
		})
	}
}

func TestOtherTransportsMakeNoMemfd(t *testing.T) {
	program := compilers[0].compile(t, "testdata/exercise.c", "-lm")
	for _, transport := range []string{"off", "user_events", "io_uring", "unknown"} {
		c := startWith(t, []string{"HOTPATH_TRANSPORT=" + transport}, program, "/dev/shm/none/none", "api")
		if got := memfds(t, c.cmd.Process.Pid); len(got) != 0 {
			t.Errorf("%s: %v", transport, got)
		}
		c.finish()
	}
	c := start(t, program, directory(t), "api")
	if got := memfds(t, c.cmd.Process.Pid); len(got) != 0 {
		t.Errorf("with a directory: %v", got)
	}
}
