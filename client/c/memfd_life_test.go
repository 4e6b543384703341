package c

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// heard is what the program testdata/hears.c says of one announcement.
type heard struct {
	pid, tid, name string
	fd, seals      string // of what it holds
	memfds         string // that the process has open
}

// hear runs a program under testdata/hears.c, and returns what was said until it is ready. The segments are held from their announcement on.
func hear(t *testing.T, env []string, args ...string) (*client, []heard) {
	t.Helper()
	hears := compilers[0].compile(t, "testdata/hears.c")
	c := startWith(t, append(env, "OTEL_SERVICE_NAME=heard"), hears, "/dev/shm/none/none", args...)
	var said []heard
	for _, line := range c.before {
		f := strings.Fields(line)
		switch {
		case len(f) >= 4 && f[0] == "named":
			said = append(said, heard{pid: f[1], tid: f[2], name: strings.Join(f[3:], " ")})
		case len(f) == 4 && f[0] == "holds":
			last := &said[len(said)-1]
			last.fd, last.seals, last.memfds = f[1], f[2], f[3]
		}
	}
	return c, said
}

// announced are the segments of which somebody heard, in order.
func announced(t *testing.T, c *client, said []heard) (all []*held) {
	t.Helper()
	for _, s := range said {
		if s.fd != "" {
			all = append(all, hold(t, fmt.Sprintf("/proc/%d/fd/%s", c.cmd.Process.Pid, s.fd)))
		}
	}
	return all
}

func TestMemfdIsAnnouncedByTheThreadThatMadeIt(t *testing.T) {
	for _, compiler := range []compiler{compilers[0], compilers[2], compilers[5], {"library", []string{"gcc", "-std=c11", "-fPIC"}}} {
		t.Run(compiler.name, func(t *testing.T) {
			program := compiler.compile(t, "testdata/memfd.c")
			c, said := hear(t, []string{"HOTPATH_TRANSPORT=bpf"}, program, "thread")
			if len(said) != 3 || said[0].name != "a worker's name" || said[2].name != said[0].name {
				t.Fatalf("heard %+v", said)
			}
			it := said[1]
			if it.tid != said[0].tid || it.tid == it.pid || it.memfds != "1" {
				t.Errorf("it was announced as %+v", it)
			}
			if seals, err := strconv.ParseInt(it.seals, 0, 32); err != nil || seals&sealed != sealed {
				t.Errorf("when it is announced, its seals are %s", it.seals)
			}
			pid, err := strconv.Atoi(it.pid)
			if err != nil {
				t.Fatal(err)
			}
			addresses, paths := mappings(t, pid)
			if len(addresses) != 1 || it.name != fmt.Sprintf("hp@%012s", addresses[0]) {
				t.Fatalf("%q is mapped at %v", it.name, addresses)
			}
			for _, h := range append(announced(t, c, said), hold(t, paths[0])) {
				if s := h.read(); s.counters["memfd.counter"] != 1 || s.header.PID != uint64(pid) || !h.locked() {
					t.Errorf("counted %v, process %d, locked %t", s.counters, s.header.PID, h.locked())
				}
			}
			c.finish()
		})
	}
}

func TestOnlyAMemfdIsAnnounced(t *testing.T) {
	program := compilers[0].compile(t, "testdata/memfd.c")
	for _, env := range []string{"HOTPATH_DIR=" + directory(t), "HOTPATH_TRANSPORT=off"} {
		_, said := hear(t, []string{env}, program, "thread")
		if len(said) != 1 || said[0].name != "a worker's name" {
			t.Errorf("%s: heard %+v", env, said)
		}
	}
	if _, said := hear(t, nil, program, "thread"); len(said) != 3 {
		t.Errorf("where no directory is, heard %+v", said)
	}
}

func TestForkedProcessesAnnounceMemfdsOfTheirOwn(t *testing.T) {
	eachVariant(t, func(t *testing.T, program string) {
		c, said := hear(t, []string{"HOTPATH_TRANSPORT=bpf"}, program, "forks")
		// The parent, two children and their two children; the two that never count are not seen.
		values, pids := map[uint64]int{}, map[uint64]bool{}
		all := announced(t, c, said)
		for i, h := range all {
			s := h.read()
			values[s.counters["forks.counter"]]++
			pids[s.header.PID] = true
			if h.locked() != (i == 0) {
				t.Errorf("process %d: locked is %t", s.header.PID, h.locked())
			}
			if _, ok := s.gauges["forks.gauge"]; ok != (i == 0) {
				t.Errorf("process %d has the gauges %v", s.header.PID, s.gauges)
			}
		}
		if len(all) != 5 || len(pids) != 5 || values[2] != 1 || values[10] != 2 || values[100] != 2 {
			t.Errorf("%d segments, their counts are %v", len(all), values)
		}
		for _, s := range said {
			if s.fd != "" && s.memfds != "1" {
				t.Errorf("process %s has %s memfds when it announces its own", s.pid, s.memfds)
			}
		}
		c.finish()
	})
}

func TestIdleChildKeepsNothingOfItsParentsMemfd(t *testing.T) {
	c := startMemfd(t, compilers[0].compile(t, "testdata/exercise.c", "-lm"), "orphan")
	h := c.memfd()
	if !h.locked() {
		t.Error("it is not locked")
	}
	c.finish()
	if h.locked() || h.read().counters["orphan.counter"] != 3 {
		t.Errorf("locked is %t, counted %v", h.locked(), h.read().counters)
	}
}

// A child of a raw clone, which runs no handlers, lets go of its parent's descriptor and lock when it counts.
func TestChildWithoutHandlersLetsGoOfItsParentsMemfdWhenItCounts(t *testing.T) {
	c := startMemfd(t, compilers[0].compile(t, "testdata/memfd.c"), "raw-child")
	child, err := strconv.Atoi(c.before[0])
	if err != nil {
		t.Fatal(err)
	}
	own, parents := memfds(t, child), c.memfd()
	if len(own) != 1 {
		t.Fatalf("the child has %v", own)
	}
	h := hold(t, own[0])
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.cmd.Process.Wait(); err != nil {
		t.Fatal(err)
	}
	if parents.locked() || parents.read().counters["memfd.counter"] != 1 {
		t.Errorf("the parent has ended: locked is %t, counted %v", parents.locked(), parents.read().counters)
	}
	if !h.locked() || h.read().counters["memfd.counter"] != 10 || h.read().header.Instance == parents.read().header.Instance {
		t.Errorf("the child: locked is %t, counted %v", h.locked(), h.read().counters)
	}
	_ = syscall.Kill(child, syscall.SIGKILL)
}

func TestNumberOfTheDescriptorMayBecomeTheApplications(t *testing.T) {
	program := compilers[0].compile(t, "testdata/memfd.c")
	for _, command := range []string{"reused", "raw-reused"} {
		t.Run(command, func(t *testing.T) {
			c := startMemfd(t, program, command) // which looks after its file itself
			_, paths := mappings(t, c.cmd.Process.Pid)
			if len(paths) != 1 || len(memfds(t, c.cmd.Process.Pid)) != 0 {
				t.Fatalf("the process has the mappings %v", paths)
			}
			h := hold(t, paths[0])
			if !h.locked() || h.read().counters["memfd.counter"] != 1 {
				t.Errorf("locked is %t, counted %v", h.locked(), h.read().counters)
			}
			c.finish()
			if h.locked() {
				t.Error("it is locked though its process has ended")
			}
		})
	}
}

func TestDaemonThatClosesEveryDescriptorIsFoundByItsMapping(t *testing.T) {
	c := startMemfd(t, compilers[0].compile(t, "testdata/exercise.c", "-lm"), "daemon")
	pid, err := strconv.Atoi(c.before[0])
	if err != nil {
		t.Fatal(err)
	}
	_, paths := mappings(t, pid)
	if len(paths) != 1 || len(memfds(t, pid)) != 0 {
		t.Fatalf("the daemon has the mappings %v", paths)
	}
	h := hold(t, paths[0])
	if s := h.read(); !h.locked() || s.counters["daemon.counter"] != 2 || s.counters["daemon.later"] != 1 || s.header.PID != uint64(pid) {
		t.Errorf("locked is %t, process %d counted %v", h.locked(), s.header.PID, s.counters)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
}

func TestNothingOfAMemfdIsLeftAfterExec(t *testing.T) {
	c, said := hear(t, []string{"HOTPATH_TRANSPORT=bpf"}, compilers[0].compile(t, "testdata/memfd.c"), "exec")
	all := announced(t, c, said)
	if len(all) != 2 {
		t.Fatalf("heard %+v", said)
	}
	before, after := all[0].read(), all[1].read()
	if all[0].locked() || before.counters["memfd.before"] != 1 || !all[1].locked() || after.counters["memfd.counter"] != 1 || before.header.PID != after.header.PID {
		t.Errorf("before: locked %t, %v; after: locked %t, %v", all[0].locked(), before.counters, all[1].locked(), after.counters)
	}
	c.finish()
}

func TestExecutableAndLibrariesHaveAMemfdEach(t *testing.T) {
	lib := filepath.Join(t.TempDir(), "library")
	run(t, append(append([]string{"gcc", "-std=c11", "-O2", "-fPIC", "-shared"}, strict...), "testdata/library.c", "-o", lib+"1.so")...)
	run(t, append(append([]string{"g++", "-x", "c++", "-std=c++17", "-fPIC", "-shared"}, strict...), "testdata/library.cc", "-o", lib+"2.so")...)
	program := compilers[0].compile(t, "testdata/exercise.c", "-lm", "-Wl,--no-as-needed", lib+"1.so")
	for command, open := range map[string]int{"libraries": 3, "libraries-unloaded": 2} { // the linked one stays
		t.Run(command, func(t *testing.T) {
			c := startMemfd(t, program, command, lib+"1.so", lib+"2.so")
			pid, total := c.cmd.Process.Pid, uint64(0)
			_, paths := mappings(t, pid)
			if len(paths) != 3 || len(memfds(t, pid)) != open {
				t.Fatalf("mappings %v, descriptors %v", paths, memfds(t, pid))
			}
			first := hold(t, paths[0]).read().header.Instance
			for _, path := range paths {
				h := hold(t, path)
				total += h.read().counters["library.counter"]
				if !h.locked() || h.read().header.Instance != first {
					t.Errorf("locked is %t, instance %x of %x", h.locked(), h.read().header.Instance, first)
				}
			}
			if total != 21 {
				t.Errorf("the process counted %d of 21", total)
			}
			c.finish()
		})
	}
	t.Run("unloaded over and over", func(t *testing.T) {
		c := startMemfd(t, compilers[0].compile(t, "testdata/memfd.c"), "unload", lib+"2.so")
		if c.before[0] != "0" {
			t.Errorf("%s descriptors are left", c.before[0])
		}
		_, paths := mappings(t, c.cmd.Process.Pid)
		total := uint64(0)
		for _, path := range paths {
			total += hold(t, path).read().counters["library.counter"]
		}
		if total != 50 {
			t.Errorf("%d segments counted %d of 50", len(paths), total)
		}
		c.finish()
	})
}

// What TestKilledWritersLoseNothing says of files, of descriptors that were taken in time.
func TestKilledWritersLoseNothingOfAMemfd(t *testing.T) {
	const processes, rounds = 8, 50
	program := compilers[0].compile(t, "testdata/exercise.c", "-lm")
	notes, adds := t.TempDir(), uint64(0)
	for round := range rounds {
		var clients []*client
		for i := range processes {
			clients = append(clients, launch(t, []string{"HOTPATH_TRANSPORT=bpf"}, program, "", "killed", filepath.Join(notes, strconv.Itoa(i))))
		}
		var segments []*held
		for _, c := range clients {
			c.await()
			segments = append(segments, c.memfd())
		}
		for _, i := range rand.Perm(processes) {
			time.Sleep(rand.N(2 * time.Millisecond))
			if err := clients[i].cmd.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		for i, c := range clients {
			_ = c.cmd.Wait()
			progress, err := os.ReadFile(filepath.Join(notes, strconv.Itoa(i)))
			if err != nil {
				t.Fatal(err)
			}
			if segments[i].locked() {
				t.Fatalf("round %d: the lock outlives its process", round)
			}
			counters := segments[i].read().counters
			for thread := range 4 {
				completed := binary.NativeEndian.Uint64(progress[8*thread:])
				got := counters["killed.adds{thread="+strconv.Itoa(thread)+"}"]
				if got != completed && got != completed+1 {
					t.Fatalf("round %d: %d of %d", round, got, completed)
				}
				adds += completed
			}
			segments[i].file.Close()
		}
	}
	t.Logf("%d processes killed, %d adds", rounds*processes, adds)
}

// The same programs as of files, whose ends are all that counts here.
func TestMemfdUnderTheSameTrials(t *testing.T) {
	eachVariant(t, func(t *testing.T, program string) {
		for _, args := range [][]string{{"signals", "2000000"}, {"fork-signals", "20"}, {"storm", "50"}, {"atfork"}, {"stack"}, {"bad"}} {
			c := startMemfd(t, program, args...)
			s := c.memfd().read()
			switch args[0] {
			case "signals":
				if got := strconv.FormatUint(s.counters["signals.counter"], 10); got != c.before[0] {
					t.Errorf("counted %s of %s", got, c.before[0])
				}
			case "fork-signals":
				if got := s.counters["fork_signals.counter"]; got != 20*200000 {
					t.Errorf("the process that was forked counted %d", got)
				}
			case "stack":
				if got := s.counters["stack.counter{stack=small}"]; got != 1 {
					t.Errorf("counted %d", got)
				}
			case "bad":
				if !strings.Contains(c.status, "12 refused") || len(s.counters) != 4 {
					t.Errorf("status %q, counters %v", c.status, s.counters)
				}
			}
			c.finish()
		}
	})
}
