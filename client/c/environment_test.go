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

func TestUnderSanitizers(t *testing.T) {
	for name, flags := range map[string][]string{
		"thread":                 {"gcc", "-std=c11", "-O1", "-g", "-fsanitize=thread"},
		"thread, without rseq":   {"gcc", "-std=c11", "-O1", "-g", "-fsanitize=thread", "-DHOTPATH_NO_RSEQ"},
		"address and undefined":  {"gcc", "-std=c11", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"},
		"undefined, as C++":      {"g++", "-x", "c++", "-std=c++17", "-g", "-fsanitize=undefined", "-fno-sanitize-recover=all"},
		"stack protector, -flto": {"gcc", "-O2", "-flto", "-fstack-protector-all", "-D_FORTIFY_SOURCE=2"},
	} {
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
