package c

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

// Processes of two threads are killed at random instants. What their rings have is whole, and is what they had completed and at most one more for each thread.
func TestKilledWritersTearNoMeasurement(t *testing.T) {
	const processes, rounds, threads = 2, 250, 2
	for _, c := range []compiler{compilers[0], {"gcc without rseq", []string{"gcc", "-std=c11", "-O2", "-DHOTPATH_NO_RSEQ"}}} {
		t.Run(c.name, func(t *testing.T) {
			program := c.compile(t, "testdata/ring.c", "-lm")
			notes, measurements := t.TempDir(), uint64(0)
			for range rounds {
				dir := directory(t)
				clients := map[uint64]string{}
				var all []*client
				for i := range processes {
					note := filepath.Join(notes, fmt.Sprint(i))
					c := launch(t, nil, program, dir, "endless", fmt.Sprint(threads), note)
					c.await()
					clients[uint64(c.cmd.Process.Pid)] = note
					all = append(all, c)
				}
				for _, c := range all {
					time.Sleep(rand.N(2 * time.Millisecond))
					if err := c.cmd.Process.Signal(syscall.SIGKILL); err != nil {
						t.Fatal(err)
					}
				}
				for _, c := range all {
					_ = c.cmd.Wait()
				}
				for pid, r := range ringsIn(t, dir) {
					progress, err := os.ReadFile(clients[pid])
					if err != nil {
						t.Fatal(err)
					}
					var completed uint64
					for i := range threads {
						completed += binary.NativeEndian.Uint64(progress[8*i:])
					}
					got := r.whole(t) + word(t, r.file, segment.OffUnrecorded)
					if got < completed || got > completed+threads {
						t.Fatalf("recorded %d of %d", got, completed)
					}
					measurements += got
				}
				if err := os.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("%d processes killed, %d measurements", rounds*processes, measurements)
		})
	}
}

func TestRingsMayBeReadWhileTheyAreWritten(t *testing.T) {
	for _, c := range []compiler{compilers[0], compilers[3]} {
		t.Run(c.name, func(t *testing.T) {
			client := start(t, c.compile(t, "testdata/ring.c", "-lm"), directory(t), "endless", "2", filepath.Join(t.TempDir(), "done"))
			readings := 0
			for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
				if client.rings().whole(t) > 0 { // else the writers have gone round while they were read
					readings++
				}
			}
			if readings < 5 {
				t.Errorf("%d times something was read", readings)
			}
		})
	}
}

// Where no ring is to be had, all else goes on.
func TestMeasurementsWithoutARingAreCounted(t *testing.T) {
	program := compilers[0].compile(t, "testdata/ring.c", "-lm")
	for name, prepare := range map[string]func(t *testing.T) *client{
		"off": func(t *testing.T) *client {
			return startWith(t, []string{"HOTPATH_TRANSPORT=off"}, program, directory(t), "threads", "2", "1000")
		},
		"a small segment": func(t *testing.T) *client {
			return start(t, compilers[0].compile(t, "testdata/without.c"), directory(t), "populate", program, "threads", "2", "1000")
		},
		"a full tmpfs": func(t *testing.T) *client {
			return start(t, program, tmpfs(t, "1m"), "threads", "2", "1000")
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := prepare(t)
			if want := "; 2000 measurements with attributes of their own went unrecorded"; !strings.HasSuffix(c.status, want) {
				t.Errorf("status is %q", c.status)
			}
			paths, _ := filepath.Glob(c.dir + "/[0-9]*")
			if len(paths) == 0 != (name == "off") {
				t.Errorf("segments are %v", paths)
			}
			for _, path := range paths {
				if f, err := os.Open(path); err != nil || word(t, f, segment.OffUnrecorded) != 2000 || word(t, f, segment.OffRingsUsed) != 0 {
					t.Errorf("the segment says otherwise, or %v", err)
				}
				var st syscall.Stat_t
				if err := syscall.Stat(path, &st); err != nil || name == "a full tmpfs" && st.Blocks/2 > 128 {
					t.Errorf("it keeps %d KiB of a ring that it does not have, %v", st.Blocks/2, err)
				}
			}
			c.finish()
		})
	}
}

func TestMeasurementsOfUnloadedLibrariesStay(t *testing.T) {
	const times = 50
	library := filepath.Join(t.TempDir(), "library.so")
	run(t, append(append([]string{"gcc", "-std=c11", "-O2", "-fPIC", "-shared", "-DRECORD"}, strict...), "testdata/library.c", "-o", library)...)
	c := start(t, compilers[0].compile(t, "testdata/exercise.c", "-lm"), directory(t), "unload", fmt.Sprint(times), library)
	if got := c.collect().Total("library.recorded{from=library,n=1}"); got != times {
		t.Errorf("recorded %d of %d", got, times)
	}
	c.finish()
}

func TestMemfdHasMeasurementRings(t *testing.T) {
	c := startMemfd(t, compilers[0].compile(t, "testdata/ring.c", "-lm"), "threads", "4", "10000")
	if got := openRings(t, memfds(t, c.cmd.Process.Pid)[0]).whole(t); got != 40000 {
		t.Errorf("recorded %d of 40000", got)
	}
	c.finish()
}

// Where updates are sent there are no rings: each set of attributes is a series of the client's.
func TestSetsOfAttributesAreSeriesWhereUpdatesAreSent(t *testing.T) {
	eachRingVariant(t, func(t *testing.T, program string) {
		const want = "134" // a set each, ten of three kinds, and the handles' own
		events := startWith(t, []string{"HOTPATH_TRANSPORT=user_events"}, program, "/dev/shm/none/none", "sets", "100", "20")
		if events.before[0] != want {
			t.Errorf("with user_events, %s series", events.before[0])
		}
		k := takeAt(t, uringSocket(t), 4096)
		c := startWith(t, []string{"HOTPATH_TRANSPORT=io_uring", "HOTPATH_SOCKET=" + k.socket}, program, "/dev/shm/none/none", "sets", "100", "20")
		if c.before[0] != want {
			t.Errorf("%s series", c.before[0])
		}
		m := k.of(c.cmd.Process.Pid)
		c.finish()
		k.drained(m)
		s := k.contents(m)
		for i := range 100 {
			if got := s.counters[fmt.Sprintf("sets.counter{own=yes,s=text,set=%d}", i)]; got != 20 {
				t.Fatalf("set %d has come to %d: %v", i, got, s.counters)
			}
			if i >= 10 {
				continue
			}
			of := fmt.Sprintf("{set=%d}", i)
			if int64(s.counters["sets.updowncounter"+of]) != -20 || s.gauges["sets.gauge"+of] != 0.5+float64(i) || s.histograms["sets.histogram"+of].sum != 40 {
				t.Fatalf("set %d: %v %v %v", i, s.counters, s.gauges, s.histograms)
			}
		}
	})
}

func TestSetsOfAttributesAreBounded(t *testing.T) {
	program := compilers[0].compile(t, "testdata/ring.c", "-lm")
	for _, sets := range []int{20_000, 40_000} { // more than there may be series, and more than are remembered
		t.Run(fmt.Sprint(sets), func(t *testing.T) {
			k := takeAt(t, uringSocket(t), 65536)
			c := startWith(t, []string{"HOTPATH_TRANSPORT=io_uring", "HOTPATH_SOCKET=" + k.socket}, program, "/dev/shm/none/none", "sets", fmt.Sprint(sets), "2")
			m := k.of(c.cmd.Process.Pid)
			c.finish()
			k.drained(m)
			s := k.contents(m)
			var total uint64
			for key, n := range s.counters {
				if strings.HasPrefix(key, "sets.counter") {
					total += n
				}
			}
			if over := s.counters["sets.counter{otel.metric.overflow=true}"]; total != uint64(2*sets) || over < uint64(2*sets)-2*16384 {
				t.Errorf("counted %d, of which %d in the overflow series", total, over)
			}
		})
	}
}

func TestRecordingUnderSanitizers(t *testing.T) {
	for name, flags := range sanitizers {
		t.Run(name, func(t *testing.T) {
			program := compiler{name, flags}.compile(t, "testdata/ring.c", "-lm")
			for _, transport := range []string{"shm", "io_uring", "user_events"} {
				for _, args := range [][]string{{"kinds"}, {"threads", "8", "20000"}, {"sets", "300", "2"}} {
					c := startWith(t, []string{"HOTPATH_TRANSPORT=" + transport, "HOTPATH_SOCKET=@hotpath-nobody"}, program, directory(t), args...)
					if args[0] == "threads" && transport == "shm" {
						if r := c.rings(); r.whole(t)+word(t, r.file, segment.OffUnrecorded) != 160000 {
							t.Errorf("recorded %d of 160000", r.whole(t))
						}
					}
					c.finish()
				}
			}
		})
	}
}

func TestRecordingUnderValgrind(t *testing.T) {
	valgrind := need(t, "valgrind")
	program := compilers[0].compile(t, "testdata/ring.c", "-lm", "-g")
	for _, args := range [][]string{{"kinds"}, {"threads", "4", "5000"}} {
		c := start(t, valgrind, directory(t), append([]string{"-q", "--error-exitcode=9", program}, args...)...)
		c.finish()
	}
}

func TestRingIsTriedAgainWhenThereMayBeRoom(t *testing.T) {
	for _, variant := range []compiler{compilers[0], compilers[3]} {
		t.Run(variant.name, func(t *testing.T) {
			program := variant.compile(t, "testdata/ring.c", "-lm")
			dir := tmpfs(t, "4m")
			ballast := filepath.Join(dir, ".ballast")
			if err := os.WriteFile(ballast, make([]byte, 3<<20), 0o600); err != nil {
				t.Fatal(err)
			}
			c := start(t, program, dir, "lines")
			c.record(5)
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			c.record(5)
			if got := c.rings().used; got != 0 {
				t.Fatalf("%d rings at once", got)
			}
			time.Sleep(1100 * time.Millisecond)
			c.record(5)
			if got := c.rings(); got.used != 1 || len(got.read(t, 0)) != 5 {
				t.Errorf("%d rings, with other than 5 measurements in the first", got.used)
			}
			c.finish()
		})
	}
}
