package c

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// tmpfs mounts one of the given size.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestFullTmpfs(t *testing.T) {
	program := compilers[0].compile(t, "testdata/exercise.c", "-lm")
	t.Run("when the client starts", func(t *testing.T) {
		dir := tmpfs(t, "1m")
		if err := os.WriteFile(filepath.Join(dir, ".fill"), make([]byte, 900<<10), 0o600); err != nil {
			t.Fatal(err)
		}
		c := start(t, program, dir, "fill", "100")
		if !strings.Contains(c.status, "nearly full") {
			t.Errorf("status is %q", c.status)
		}
		c.finish()
	})
	t.Run("while series are added", func(t *testing.T) {
		dir := tmpfs(t, "1m")
		c := start(t, program, dir, "fill", "500")
		if !strings.Contains(c.status, "no more could be reserved") {
			t.Errorf("status is %q", c.status)
		}
		p := c.collect().Processes[0]
		if got := p.Counters["fill.first"]; got != 500+8*1000 {
			t.Errorf("the first counter has %d", got)
		}
		if len(p.Histograms) < 50 || len(p.Histograms) > 400 {
			t.Errorf("%d histograms were published", len(p.Histograms))
		}
		for key, h := range p.Histograms {
			if h.Count != 1 {
				t.Errorf("%s has %d values", key, h.Count)
			}
		}
		c.finish()
	})
}

func TestUnderValgrind(t *testing.T) {
	need(t, "valgrind")
	program := compilers[0].compile(t, "testdata/exercise.c", "-lm", "-g")
	for _, args := range [][]string{{"api"}, {"threads", "4", "20000"}, {"forks"}, {"bad"}} {
		t.Run(args[0], func(t *testing.T) {
			c := start(t, "valgrind", directory(t), append([]string{
				"-q", "--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite", program,
			}, args...)...)
			if args[0] == "threads" {
				if got := c.collect().Total("threads.counter"); got != 80000 {
					t.Errorf("counted %d of 80000", got)
				}
			}
			c.finish()
		})
	}
}

var sanitizers = map[string][]string{
	"thread":                 {"gcc", "-std=c11", "-O1", "-g", "-fsanitize=thread"},
	"thread, without rseq":   {"gcc", "-std=c11", "-O1", "-g", "-fsanitize=thread", "-DHOTPATH_NO_RSEQ"},
	"address and undefined":  {"gcc", "-std=c11", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"},
	"undefined, as C++":      {"g++", "-x", "c++", "-std=c++17", "-g", "-fsanitize=undefined", "-fno-sanitize-recover=all"},
	"stack protector, -flto": {"gcc", "-O2", "-flto", "-fstack-protector-all", "-D_FORTIFY_SOURCE=2"},
}

func TestUnderSanitizers(t *testing.T) {
	for name, flags := range sanitizers {
		t.Run(name, func(t *testing.T) {
			program := compiler{name, flags}.compile(t, "testdata/exercise.c", "-lm")
			for _, args := range [][]string{{"api"}, {"threads", "8", "100000"}, {"storm", "20"}, {"bad"}, {"names", "2000"}} {
				c := start(t, program, directory(t), args...)
				if args[0] == "threads" {
					if got := c.collect().Total("threads.counter"); got != 800000 {
						t.Errorf("counted %d of 800000", got)
					}
				}
				c.finish()
			}
		})
	}
}

// What older kernels and sandboxes lack, a seccomp filter takes away.
func TestMemfdWhereSomethingIsMissing(t *testing.T) {
	filter := compilers[0].compile(t, "testdata/without.c")
	program := compilers[0].compile(t, "testdata/exercise.c", "-lm")
	for what, status := range map[string]string{
		"memfd":       "counting in private memory: cannot make a memfd: Function not implemented; a seccomp filter may forbid memfd_create, ftruncate, flock or statx",
		"memfd_right": "counting in private memory: cannot make a memfd: Operation not permitted; a seccomp filter may forbid memfd_create, ftruncate, flock or statx",
		"files":       "counting in private memory: cannot make a memfd: Function not implemented; a seccomp filter may forbid memfd_create, ftruncate, flock or statx",
		"memory":      "counting in private memory: cannot reserve memory for a memfd: Operation not permitted",
		"seals":       "counting in private memory: cannot seal a memfd, which takes Linux 5.1: Invalid argument",
		"noexec":      "publishing 2 series as a memfd for a Collector with the source bpf",
		"names":       "publishing 2 series as a memfd for a Collector with the source bpf",
		"populate":    "publishing 2 series as a memfd for a Collector with the source bpf",
	} {
		t.Run(what, func(t *testing.T) {
			c := startMemfd(t, filter, what, program, "threads", "4", "100000")
			if c.status != "hotpath: "+status {
				t.Errorf("status is %q", c.status)
			}
			if !strings.HasPrefix(status, "publishing") {
				if got := memfds(t, c.cmd.Process.Pid); len(got) != 0 {
					t.Errorf("the process keeps %v", got)
				}
				c.finish()
				return
			}
			h := c.memfd()
			if got := h.read().counters["threads.counter"]; got != 400000 {
				t.Errorf("counted %d of 400000", got)
			}
			var st syscall.Stat_t
			if err := syscall.Fstat(int(h.file.Fd()), &st); err != nil || (what == "populate") != (st.Blocks*512 >= st.Size) {
				t.Errorf("%d blocks of %d bytes are reserved, %v", st.Blocks, st.Size, err)
			}
			c.finish()
		})
	}
	c := startWith(t, nil, filter, "/dev/shm/none/none", "memfd", program, "api")
	if want := "hotpath: counting in private memory: cannot open /dev/shm/none/none: No such file or directory; create it or set HOTPATH_DIR; " +
		"and cannot make a memfd: Function not implemented"; !strings.HasPrefix(c.status, want) {
		t.Errorf("status is %q", c.status)
	}
	c.finish()
}

// Kernels before 5.14 have no MADV_POPULATE_WRITE; here a seccomp filter takes it away.
func TestWithoutPopulateWrite(t *testing.T) {
	filter := compilers[0].compile(t, "testdata/without.c")
	program := compilers[0].compile(t, "testdata/exercise.c", "-lm")
	for _, what := range []string{"populate", "files", "memory"} {
		t.Run(what, func(t *testing.T) {
			c := start(t, filter, directory(t), what, program, "threads", "4", "100000")
			if what == "populate" {
				if got := c.collect().Total("threads.counter"); got != 400000 {
					t.Errorf("counted %d of 400000", got)
				}
				entries, _ := filepath.Glob(c.dir + "/[0-9]*")
				var st syscall.Stat_t
				if len(entries) != 1 || syscall.Stat(entries[0], &st) != nil || st.Blocks*512 < st.Size {
					t.Errorf("the segment is not reserved as a whole: %v %+v", entries, st)
				}
			}
			c.finish()
		})
	}
}
