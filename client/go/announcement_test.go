//go:build linux && (amd64 || arm64)

package hotpath

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

func init() {
	children["ask before renaming threads"] = func() {
		listener, err := filter(unix.SYS_PRCTL, 0, unix.PR_SET_NAME, unix.SECCOMP_RET_USER_NOTIF,
			unix.SECCOMP_FILTER_FLAG_NEW_LISTENER|unix.SECCOMP_FILTER_FLAG_TSYNC|unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH)
		must(err)
		fmt.Println(listener)
		NewCounter("count").Add(5)
		NewCounter("count.again").Add(5)
		fmt.Println(Status())
		waitForEnd()
	}
}

// question is a system call that waits for an answer: struct seccomp_notif (linux/seccomp.h).
type question struct {
	id           uint64
	thread       uint32
	_            uint32
	number       uint32
	architecture uint32
	instruction  uint64
	arguments    [6]uint64
}

// answer is struct seccomp_notif_resp.
type answer struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

// supervisor has the questions of a child's threads.
type supervisor struct {
	t        *testing.T
	pid      int
	listener int
}

func supervise(t *testing.T, pid, number int) *supervisor {
	t.Helper()
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(process)
	listener, err := unix.PidfdGetfd(process, number, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(listener) })
	return &supervisor{t, pid, listener}
}

// asked reports whether a thread asks within some milliseconds.
func (s *supervisor) asked(timeout int) bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(s.listener), Events: unix.POLLIN}}, timeout)
		if err == nil {
			return n == 1
		}
		if err != unix.EINTR {
			s.t.Fatal(err)
		}
	}
}

// next is the next question, which has to come, and the name that the thread is about to take.
func (s *supervisor) next() (*question, string) {
	s.t.Helper()
	if !s.asked(20_000) {
		s.t.Fatal("no thread is renamed")
	}
	q := new(question)
	for s.call(unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(q)) == unix.EINTR {
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", s.pid))
	if err != nil {
		s.t.Fatal(err)
	}
	defer memory.Close()
	var name threadName
	if _, err := memory.ReadAt(name[:], int64(q.arguments[1])); err != nil {
		s.t.Fatal(err)
	}
	return q, unix.ByteSliceToString(name[:])
}

func (s *supervisor) allow(q *question) {
	s.t.Helper()
	s.call(unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&answer{id: q.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}))
}

func (s *supervisor) call(request uintptr, argument unsafe.Pointer) unix.Errno {
	s.t.Helper()
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s.listener), request, uintptr(argument))
	if errno != 0 && errno != unix.EINTR {
		s.t.Fatal(errno)
	}
	return errno
}

// name is what a thread is called now.
func (s *supervisor) name(q *question) string {
	s.t.Helper()
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/comm", s.pid, q.thread))
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSuffix(string(name), "\n")
}

// renaming is a child whose threads ask before they take a name.
func renaming(t *testing.T, environment map[string]string) (*child, *supervisor) {
	t.Helper()
	c := command("ask before renaming threads", environment)
	c.Env = append(c.Env, "GODEBUG=asyncpreemptoff=1") // the signal would have the thread ask again
	c.begin(t)
	var number int
	if _, err := fmt.Sscan(c.line(t), &number); err != nil {
		t.Fatal(err)
	}
	return c, supervise(t, c.Process.Pid, number)
}

func TestAMemfdIsAnnouncedOnceItIsComplete(t *testing.T) {
	for _, environment := range []map[string]string{asMemfd, in("/nowhere/at/all")} {
		c, s := renaming(t, environment)
		first, announcement := s.next()
		own := s.name(first)
		if want := fmt.Sprintf("hp@%012x", mapped(t, c.Process.Pid).address); announcement != want || len(want) != 15 {
			t.Errorf("the announcement is %q, want %q", announcement, want)
		}
		path := held(t, c.Process.Pid)
		if got := seals(t, path); got&segment.MemfdSeals != segment.MemfdSeals || !locked(t, path) {
			t.Errorf("when announced, the memfd has the seals %#x, lock %v", got, locked(t, path))
		}
		if p := read(t, path); p.resource["service.name"] == nil || p.field(segment.OffStripesUsed) != 1 {
			t.Errorf("when announced, the segment says %v", p)
		}
		s.allow(first)

		second, back := s.next()
		if name := s.name(second); second.thread != first.thread || name != announcement {
			t.Errorf("thread %d is called %q, thread %d was to announce", second.thread, name, first.thread)
		}
		s.allow(second)
		if back != own || strings.HasPrefix(own, "hp@") {
			t.Errorf("the thread takes the name %q, it was called %q", back, own)
		}
		if status := c.line(t); !strings.Contains(status, "as a memfd") || s.asked(0) {
			t.Errorf("a thread is renamed again; status is %q", status)
		}
		if name := s.name(second); name != own {
			t.Errorf("the thread is called %q in the end, want %q", name, own)
		}
		if n := read(t, path).series["count"].words[0]; n != 5 {
			t.Errorf("counter is %d", n)
		}
		c.end(t)
	}
}

func TestAFileIsNotAnnounced(t *testing.T) {
	c, s := renaming(t, in(directoryOnTmpfs(t)))
	if status := c.line(t); !strings.Contains(status, "hotpath publishes 2 series in") || s.asked(0) {
		t.Errorf("a thread is renamed; status is %q", status)
	}
	c.end(t)
}
