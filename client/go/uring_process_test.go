//go:build linux && (amd64 || arm64)

package hotpath

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func init() {
	children["flush and wait"] = func() {
		if os.Getenv("UNPRIVILEGED") != "" {
			must(syscall.Setgid(65534))
			must(syscall.Setuid(65534))
		}
		counter, gauge, histogram := NewCounter("count"), NewGauge("level"), NewHistogram("values")
		for i := range 1000 {
			counter.Add(1)
			gauge.Set(float64(i))
			histogram.Record(2)
		}
		Flush()
		fmt.Println(Status())
		waitForEnd()
	}
	children["flush and die"] = func() {
		counters := make([]Counter, 2000)
		for i := range counters {
			counters[i] = NewCounter(fmt.Sprint("count", i))
			counters[i].Add(uint64(i))
		}
		NewCounter("last").Add(9)
		before := time.Now()
		Flush()
		for time.Since(before) >= firstMoment && !process.teller.(*messages).toldAll() { // it gave up: a slow machine
			time.Sleep(time.Millisecond)
		}
		must(unix.Kill(os.Getpid(), unix.SIGKILL))
	}
	children["start others"] = func() {
		counter := NewCounter("count")
		var group sync.WaitGroup
		for range 2 {
			group.Go(func() {
				for range 50_000 {
					counter.Add(1)
				}
			})
		}
		for range 20 {
			must(exec.Command("/bin/true").Run())
			fork := exec.Command("/bin/true") // with a copy of the memory, as long as it takes to execute
			fork.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
			_ = fork.Run() // where there are no user namespaces there are no copies
		}
		group.Wait()
		listing, err := exec.Command("/bin/ls", "-l", "/proc/self/fd").CombinedOutput()
		must(err)
		Flush()
		fmt.Println(strings.Count(string(listing), "io_uring") + strings.Count(string(listing), "socket:"))
		waitForEnd()
	}
}

func (l *listener) environment() map[string]string {
	return map[string]string{"HOTPATH_TRANSPORT": "io_uring", "HOTPATH_SOCKET": l.path}
}

func TestWhatWasFlushedSurvivesSIGKILL(t *testing.T) {
	for _, polled := range []string{"0", "1"} {
		l := newListener(t, 256)
		for range 10 {
			environment := l.environment()
			environment["HOTPATH_URING_SQPOLL"] = polled
			c := start(t, "flush and die", environment)
			_ = c.Wait()
			if status, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != unix.SIGKILL {
				t.Fatalf("the child ended: %v\n%s", c.ProcessState, c.err.String())
			}
			eventually(t, "the end is seen", func() (ended bool) {
				l.last(func(h *heard) { ended = h.ended })
				return ended
			})
			l.last(func(h *heard) {
				if n := h.total("last"); n != 9 {
					t.Errorf("the last add is %d", n)
				}
				for i := range 2000 {
					if n := h.total(fmt.Sprint("count", i)); n != uint64(i) {
						t.Errorf("counter %d is %d", i, n)
					}
				}
			})
		}
	}
}

func TestAnUnprivilegedProcessIsHeardByRoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to drop it")
	}
	l := newListener(t, 64)
	environment := l.environment()
	environment["UNPRIVILEGED"] = "yes"
	c := start(t, "flush and wait", environment)
	if s := c.line(t); !strings.Contains(s, "tells a Collector of 3 series") {
		t.Error(s)
	}
	l.knows("values")
	l.last(func(h *heard) {
		if h.peer.Uid != 65534 || h.total("count") != 1000 || h.total("level") != math.Float64bits(999) || h.words[uint32(h.series["values"].Slot)] != math.Float64bits(2000) {
			t.Errorf("of user %d was heard: %v", h.peer.Uid, h.words)
		}
	})
	c.end(t)
}

func TestOtherProgramsInheritNothingOfALink(t *testing.T) {
	l := newListener(t, 64)
	c := start(t, "start others", l.environment())
	if s := c.line(t); s != "0" {
		t.Errorf("a program inherited %s descriptors", s)
	}
	if n := l.now("count"); n != 100_000 {
		t.Errorf("counter is %d", n)
	}
	if n := l.connections(); n != 1 {
		t.Errorf("there were %d connections", n)
	}
	c.end(t)
}

func TestWithoutIoUringItIsShm(t *testing.T) {
	for _, c := range []struct {
		call, argument, value int
		errno                 unix.Errno
		want                  string
	}{
		{unix.SYS_IO_URING_SETUP, 0, 1, unix.ENOSYS, "set up an io_uring: function not implemented; the kernel has none, or a seccomp filter hides it"},
		{unix.SYS_IO_URING_SETUP, 0, 1, unix.EPERM, "set up an io_uring: operation not permitted; a seccomp filter may forbid it, as those of containers do"},
		{unix.SYS_IO_URING_REGISTER, 1, registerProbe, unix.EINVAL, "ask an io_uring what it can do: invalid argument"},
	} {
		dir := directoryOnTmpfs(t)
		p := start(t, "with a call refused", map[string]string{"HOTPATH_TRANSPORT": "io_uring", "HOTPATH_DIR": dir, "REFUSE": fmt.Sprint(c.call, c.argument, c.value, int(c.errno))})
		if s := p.line(t); !matches(s, `^hotpath publishes 3 series in `+dir) || !strings.HasSuffix(s, "; io_uring is not to be had ("+c.want+").") {
			t.Errorf("status is %q, want %q", s, c.want)
		}
		if n := readOnly(t, dir).series["count"].words[0]; n != 3 {
			t.Errorf("counter is %d", n)
		}
		p.end(t)
	}
}

// TestSettingIoUringThatTheSystemForbidsIsNotUsed is for a machine whose settings may be changed.
func TestSettingIoUringThatTheSystemForbidsIsNotUsed(t *testing.T) {
	const setting = "/proc/sys/kernel/io_uring_disabled"
	if os.Getenv("HOTPATH_TEST_MACHINE") == "" {
		t.Skip("needs a machine of its own: HOTPATH_TEST_MACHINE")
	}
	if err := os.WriteFile(setting, []byte("2"), 0); err != nil {
		t.Skip("needs root and Linux 6.6: ", err)
	}
	defer func() {
		if err := os.WriteFile(setting, []byte("0"), 0); err != nil {
			t.Error(err)
		}
	}()
	c := fresh(map[string]string{"HOTPATH_TRANSPORT": "io_uring", "HOTPATH_DIR": directoryOnTmpfs(t)})
	c.counter("adds").Add(1)
	if s := c.status(); !strings.Contains(s, "hotpath publishes 1 series") || !strings.Contains(s, "kernel.io_uring_disabled is 2") {
		t.Errorf("status is %q", s)
	}
}

func TestALinkTakesThreeDescriptorsAndGivesThemBack(t *testing.T) {
	l := newListener(t, 64)
	l.client().counter("first") // what the listener's side takes
	before := descriptors(t)
	c := l.client()
	c.counter("adds")
	eventually(t, "they are linked", func() bool { return c.teller.(*messages).linked.Load() })
	if n := descriptors(t) - before; n != 5 { // the listener has two of the five
		t.Errorf("a link takes %d descriptors", n)
	}
	c.forget()
	time.Sleep(10 * time.Millisecond)
	if n := descriptors(t) - before; n != 2 {
		t.Errorf("a link that is given up leaves %d descriptors", n-2)
	}
}
