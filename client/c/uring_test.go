package c

import (
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/uring"
)

func uringProgram(t testing.TB) string {
	t.Helper()
	return compilers[0].compile(t, "testdata/uring.c")
}

// startUring runs a program with the transport io_uring; never tells anything by itself unless the environment says so.
func startUring(t testing.TB, socket string, env []string, program string, args ...string) *client {
	t.Helper()
	env = append([]string{"HOTPATH_TRANSPORT=io_uring", "HOTPATH_SOCKET=" + socket, "HOTPATH_URING_DELAY=3600000000"}, env...)
	return startWith(t, env, program, directory(t), args...)
}

// do has the program do what a line says, and waits until it is done.
func (c *client) do(lines ...string) {
	c.t.Helper()
	for _, line := range lines {
		c.before = nil
		if _, err := io.WriteString(c.stdin, line+"\n"); err != nil {
			c.t.Fatal(err)
		}
		c.await()
	}
}

// eachUringVariant runs a test with each compiler, and each way to count.
func eachUringVariant(t *testing.T, test func(t *testing.T, program string)) {
	for _, c := range compilers {
		t.Run(c.name, func(t *testing.T) { test(t, c.compile(t, "testdata/uring.c")) })
	}
}

func TestUringTellsValuesOfEveryKind(t *testing.T) {
	for _, c := range compilers {
		t.Run(c.name, func(t *testing.T) {
			k := takeAt(t, uringSocket(t), 4096)
			p := startUring(t, k.socket, []string{"OTEL_SERVICE_NAME=exercise", "OTEL_RESOURCE_ATTRIBUTES=k=v"}, c.compile(t, "testdata/exercise.c", "-lm"), "api")
			if p.status != "hotpath: telling 5 series to the Collector at "+k.socket+" by io_uring" {
				t.Errorf("status is %q", p.status)
			}
			m := k.of(p.cmd.Process.Pid)
			p.finish()
			k.drained(m)
			s := k.contents(m)
			if s.counters["api.counter{b=true,d=0.5,i=-5,s=text}"] != 42 || int64(s.counters["api.updowncounter"]) != -7 {
				t.Errorf("counters are %v", s.counters)
			}
			if len(s.gauges) != 1 || s.gauges["api.gauge"] != -3.25 {
				t.Errorf("gauges are %v", s.gauges)
			}
			if h := s.histograms["api.histogram"]; h.count != 6 || h.sum != 1e300 {
				t.Errorf("histogram is %+v", h)
			}
			if m.words[uring.CounterBit+uring.CounterRefused] != 6 {
				t.Errorf("%d values were refused", m.words[uring.CounterBit+uring.CounterRefused])
			}
			for key, want := range map[string]string{"service.name": "exercise", "k": "v", "process.executable.name": "program"} {
				if s.resource[key] != want {
					t.Errorf("resource has %s=%q, want %q", key, s.resource[key], want)
				}
			}
		})
	}
}

func TestUringTellsManySeries(t *testing.T) {
	const n = 5000 // with histograms, more messages than the queue has room for
	for _, sqpoll := range []string{"0", "1"} {
		t.Run("sqpoll "+sqpoll, func(t *testing.T) {
			k := takeAt(t, uringSocket(t), 256)
			p := startUring(t, k.socket, []string{"HOTPATH_URING_SQPOLL=" + sqpoll}, uringProgram(t))
			p.do(fmt.Sprintf("series many %d", n))
			m := k.of(p.cmd.Process.Pid)
			p.finish()
			k.drained(m)
			s := k.contents(m)
			if len(s.counters) != n || len(s.histograms) != n/10 {
				t.Fatalf("%d counters, %d histograms", len(s.counters), len(s.histograms))
			}
			for i := range n {
				if got := s.counters[fmt.Sprintf("many{n=%d}", i)]; got != uint64(i+1) {
					t.Fatalf("counter %d has come to %d", i, got)
				}
				if h := s.histograms[fmt.Sprintf("histograms{n=%d}", i)]; i%10 == 0 && (h.count != 1 || h.sum != float64(i+1)) {
					t.Fatalf("histogram %d has come to %+v", i, h)
				}
			}
		})
	}
}

// On one CPU, so that there is one batch.
func TestUringTellsInBatches(t *testing.T) {
	k := takeAt(t, uringSocket(t), 4096)
	taskset := need(t, "taskset")
	p := startUring(t, k.socket, nil, taskset, "-c", "0", uringProgram(t))
	at := func() (uint64, int) {
		t.Helper()
		m := k.of(p.cmd.Process.Pid)
		return k.contents(m).counters["batch"], m.messages
	}
	want := func(what string, value uint64, messages int) {
		t.Helper()
		if got, n := at(); got != value || n != messages {
			t.Errorf("%s: the counter has come to %d in %d messages, want %d in %d", what, got, n, value, messages)
		}
	}
	p.do("make batch")
	want("at first", 0, 0)
	p.do("count batch 63")
	want("63 updates", 0, 0)
	p.do("count batch 1")
	want("64 updates", 64, 1)
	p.do("count batch 63", "count other 64")
	want("another series fills the batch", 127, 3)
	p.do("flush")
	want("flush", 127, 4)
	p.do("flush")
	want("flush again", 127, 4)
	p.do("count batch 1", "flush")
	want("one more", 128, 5)
	p.do("record h 1", "record h 1", "record h 3", "flush")
	if _, n := at(); n != 8 { // two buckets and the sum
		t.Errorf("%d messages, want 8", n)
	}
	for _, batch := range k.images()[0].batches {
		if batch > 64 {
			t.Errorf("%d messages at once", batch)
		}
	}
	p.do("count batch 2")
	p.finish()
	k.drained(k.images()[0])
	want("exit", 130, 9)
}

func TestUringTellsEachUpdateIfAsked(t *testing.T) {
	k := takeAt(t, uringSocket(t), 4096)
	p := startUring(t, k.socket, []string{"HOTPATH_URING_BATCH=1"}, uringProgram(t))
	p.do("count one 100", "record two 1")
	k.until(p.cmd.Process.Pid, func(s *contents) bool { return s.counters["one"] == 100 && s.histograms["two"] == (histogram{1, 1}) })
	if n := k.of(p.cmd.Process.Pid).messages; n != 102 {
		t.Errorf("%d messages", n)
	}
	p.finish()
}

func TestUringTellsAnUpdateThatComesAfterTheDelay(t *testing.T) {
	for _, delay := range []string{"1000", "20000"} {
		k := takeAt(t, uringSocket(t)+delay, 4096)
		p := startUring(t, k.socket, []string{"HOTPATH_URING_DELAY=" + delay}, uringProgram(t))
		p.do("make delay", "count delay 1")
		time.Sleep(40 * time.Millisecond)
		p.do("count delay 1")
		if got := k.contents(k.of(p.cmd.Process.Pid)).counters["delay"]; got != 2 {
			t.Errorf("after %s us, the counter has come to %d of 2", delay, got)
		}
		p.finish()
	}
}

func TestUringTellsAtTheEndOfAThread(t *testing.T) {
	k := takeAt(t, uringSocket(t), 4096)
	p := startUring(t, k.socket, nil, uringProgram(t))
	p.do("threads 1 3")
	k.until(p.cmd.Process.Pid, func(s *contents) bool {
		return s.counters["threads.counter"] == 3 && s.histograms["threads.histogram"].count == 1
	})
	p.finish()
}

func TestUringOfThreadsEndsExact(t *testing.T) {
	const threads, each = 8, 100_000
	eachUringVariant(t, func(t *testing.T, program string) {
		for _, env := range [][]string{{"HOTPATH_URING_BATCH=1"}, {"HOTPATH_URING_DELAY=1000"}, {"HOTPATH_URING_SQPOLL=1"}, {"GLIBC_TUNABLES=glibc.pthread.rseq=0"}} {
			t.Run(env[0], func(t *testing.T) {
				k := takeAt(t, uringSocket(t), 1024)
				p := startUring(t, k.socket, env, program)
				p.do(fmt.Sprintf("threads %d %d", threads, each))
				m := k.of(p.cmd.Process.Pid)
				p.finish()
				k.drained(m)
				var sum float64
				for i := range each / 16 {
					sum += float64(threads * (1 + i*16%7))
				}
				if s := k.contents(m); s.counters["threads.counter"] != threads*each || s.histograms["threads.histogram"] != (histogram{threads * each / 16, sum}) {
					t.Errorf("told %v and %v of %d", s.counters, s.histograms, threads*each)
				}
			})
		}
	})
}

func TestUringOfSignalHandlersEndsExact(t *testing.T) {
	eachUringVariant(t, func(t *testing.T, program string) {
		k := takeAt(t, uringSocket(t), 1024)
		p := startUring(t, k.socket, []string{"HOTPATH_URING_BATCH=1"}, program)
		p.do("signals 100000")
		counts := strings.Fields(p.before[0])
		p.do("flush")
		s := k.contents(k.of(p.cmd.Process.Pid))
		if got := strconv.FormatUint(s.counters["signals.counter"], 10); got != counts[0] {
			t.Errorf("told %s of %s", got, counts[0])
		}
		if got := strconv.FormatUint(s.histograms["signals.histogram"].count, 10); got != counts[1] || got == "0" {
			t.Errorf("told %s of %s", got, counts[1])
		}
		p.finish()
	})
}

func TestUringKeepsWhatWasToldBeforeAKill(t *testing.T) {
	for _, sqpoll := range []string{"0", "1"} {
		k := takeAt(t, uringSocket(t)+sqpoll, 4096)
		p := startUring(t, k.socket, []string{"HOTPATH_URING_SQPOLL=" + sqpoll}, uringProgram(t))
		p.do("make killed")
		m := k.of(p.cmd.Process.Pid)
		k.pause(true) // the queue is read when nobody is left
		p.do("count killed 1000", "count killed 7", "flush")
		p.kill()
		k.pause(false)
		k.drained(m)
		if got := k.contents(m).counters["killed"]; got != 1007 {
			t.Errorf("sqpoll %s: told %d of 1007", sqpoll, got)
		}
	}
}

// While nobody reads, no more is posted than the queue has room for, and everything is exact afterwards.
func TestUringWaitsForRoomInAFullQueue(t *testing.T) {
	for _, sqpoll := range []string{"0", "1"} {
		t.Run("sqpoll "+sqpoll, func(t *testing.T) {
			k := takeAt(t, uringSocket(t), 16)
			p := startUring(t, k.socket, []string{"HOTPATH_URING_BATCH=1", "HOTPATH_URING_SQPOLL=" + sqpoll}, uringProgram(t))
			p.do("series full 10", "flush")
			m := k.of(p.cmd.Process.Pid)
			k.contents(m)
			k.pause(true)
			before := time.Now()
			p.do("series full 100", "count full.other 100000")
			if took := time.Since(before); took > 5*time.Second {
				t.Errorf("counting with a full queue took %v", took)
			}
			if used := int(*m.ring.tail - *m.ring.head); used != 16 {
				t.Errorf("the queue has %d messages of 16", used)
			}
			if overflown := fdinfo(t, m.ring.fd); strings.Contains(overflown, "user_data") {
				t.Errorf("messages went to the kernel's list: %s", overflown)
			}
			k.pause(false)
			p.do("flush")
			s := k.contents(m)
			for i := range 100 {
				want := uint64(i + 1)
				if i < 10 {
					want *= 2
				}
				if got := s.counters[fmt.Sprintf("full{n=%d}", i)]; got != want {
					t.Errorf("series %d has come to %d of %d", i, got, want)
				}
			}
			if got := s.counters["full.other"]; got != 100000 {
				t.Errorf("told %d of 100000", got)
			}
			p.finish()
		})
	}
}

// fdinfo has the overflow list behind "CqOverflowList:".
func fdinfo(t *testing.T, fd int) string {
	t.Helper()
	var b [65536]byte
	info, err := unix.Open(filepath.Join("/proc/self/fdinfo", strconv.Itoa(fd)), unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(info)
	n, err := unix.Read(info, b[:])
	if err != nil {
		t.Fatal(err)
	}
	_, list, ok := strings.Cut(string(b[:n]), "CqOverflowList:")
	if !ok {
		t.Fatalf("fdinfo is %s", b[:n])
	}
	return list
}
