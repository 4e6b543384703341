//go:build linux && (amd64 || arm64)

package hotpath

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/userevent"
)

func closeDescriptor(t *testing.T, c *client) {
	t.Helper()
	if err := unix.Close(c.teller.(*updates).descriptor.Load().fd); err != nil {
		t.Fatal(err)
	}
}

// TestUserEventsThatFindTheDescriptorClosedArriveAllTheSame has many calls find it at once, each the only one of its series.
func TestUserEventsThatFindTheDescriptorClosedArriveAllTheSame(t *testing.T) {
	needUserEvents(t)
	c := fresh(userEvents)
	var counters [8]Counter
	for i := range counters {
		counters[i] = c.counter(fmt.Sprint("adds", i))
	}
	tr := newTracer(t)
	tr.listen(true)
	const rounds = 200
	for range rounds {
		closeDescriptor(t, c)
		var ready, group sync.WaitGroup
		ready.Add(len(counters))
		for _, counter := range counters {
			group.Go(func() {
				ready.Done()
				ready.Wait()
				counter.Add(1)
			})
		}
		group.Wait()
	}
	if n := len(tr.events()); n != rounds*len(counters) {
		t.Errorf("%d events were written, want %d", n, rounds*len(counters))
	}
}

// TestUserEventsAreHeardOfAgainOnceThereIsADescriptor is for one that could not be opened again when it was needed.
func TestUserEventsAreHeardOfAgainOnceThereIsADescriptor(t *testing.T) {
	needUserEvents(t)
	for name, again := range map[string]func(*tracer, *client){
		"with the next listener": func(tr *tracer, _ *client) { tr.listen(false); tr.listen(true) },
		"with the next series":   func(_ *tracer, c *client) { c.counter("more") },
	} {
		t.Run(name, func(t *testing.T) {
			c := fresh(userEvents)
			counter := c.counter("adds")
			tr := newTracer(t)
			tr.listen(true)
			closeDescriptor(t, c)
			withoutDescriptors(t, func() { counter.Add(1) })
			if s := c.status(); c.stripes.heard() || !strings.Contains(s, "too many open files") {
				t.Errorf("without a descriptor, heard: %v, status %q", c.stripes.heard(), s)
			}
			counter.Add(1)
			if all := tr.events(); all != nil {
				t.Errorf("%d events were written without a descriptor", len(all))
			}
			again(tr, c)
			counter.Add(1)
			if e := tr.only(); e.value != 3 {
				t.Errorf("the event has %d, want 3", e.value)
			}
			if s := c.status(); !strings.HasSuffix(s, "as one does now.") {
				t.Errorf("status is %q", s)
			}
		})
	}
}

// withoutDescriptors has a function called while the process may open no file.
func withoutDescriptors(t *testing.T, call func()) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	call()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
}

// alone reports whether the test has a process to itself, and else runs it in one: threads that know bits of other tests hand
// all that they learn on to those that they start. The event is declared.
func alone(t *testing.T) bool {
	t.Helper()
	const variable = "HOTPATH_TEST_ALONE"
	if os.Getenv(variable) != "" {
		return true
	}
	fresh(userEvents).counter("first")
	test := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	test.Env = append(os.Environ(), variable+"=1")
	if said, err := test.CombinedOutput(); err != nil {
		t.Errorf("alone: %v\n%s", err, said)
	}
	return false
}

// inThreadThatEnds makes a counter in a thread that has ended when it returns.
func inThreadThatEnds(newCounter func() Counter) Counter {
	made, thread := make(chan Counter), 0
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends
		if thread = unix.Gettid(); thread == unix.Getpid() {
			defer runtime.UnlockOSThread() // the main thread never does; meanwhile it can't be the next one
			counter := inThreadThatEnds(newCounter)
			thread = 0
			made <- counter
			return
		}
		made <- newCounter()
	}()
	counter := <-made
	for {
		if _, err := os.Stat(fmt.Sprint("/proc/self/task/", thread)); thread == 0 || err != nil {
			return counter
		}
		time.Sleep(time.Millisecond)
	}
}

// TestUserEventsStopWhenTheThreadsThatKnewHaveEnded is for a listener that leaves after those threads: the kernel leaves the bit set.
func TestUserEventsStopWhenTheThreadsThatKnewHaveEnded(t *testing.T) {
	needUserEvents(t)
	if !alone(t) {
		return
	}
	tr := newTracer(t)
	tr.listen(true)
	c := fresh(userEvents)
	counter := inThreadThatEnds(func() Counter { return c.counter("adds") })
	counter.Add(1)
	if e := tr.only(); e.value != 1 {
		t.Errorf("the event has %d, want 1", e.value)
	}
	tr.listen(false)
	calls := 1
	for ; c.stripes.heard() && calls < 10_000; calls++ {
		counter.Add(1)
	}
	if c.stripes.heard() {
		t.Error("calls go on writing for nobody")
	}
	tr.listen(true)
	counter.Add(1)
	if e := tr.only(); e.value != uint64(calls)+1 {
		t.Errorf("the event for the next listener has %d, want %d", e.value, calls+1)
	}
}

func init() {
	// look says what a program has of the one that executed it, whose variables were at the same addresses.
	look := func() {
		NewCounter("adds").Add(1)
		time.Sleep(100 * time.Millisecond) // for a kernel that would still write
		links, _ := filepath.Glob("/proc/self/fd/*")
		var open []string
		for _, link := range links {
			if path, _ := os.Readlink(link); strings.Contains(path, "user_events") {
				open = append(open, path)
			}
		}
		fmt.Println("heard:", process.stripes.heard(), "open:", open)
	}
	children["is executed"] = look
	children["executes"] = func() {
		NewCounter("adds").Add(1)
		fmt.Println("heard:", process.stripes.heard())
		os.Setenv("HOTPATH_TRANSPORT", "off")
		os.Setenv(childVariable, "is executed")
		forked := exec.Command(os.Args[0], "-test.run=^$")
		forked.Stdout, forked.Stderr = os.Stdout, os.Stderr
		if err := forked.Run(); err != nil {
			fmt.Println(err)
		}
		fmt.Println(unix.Exec(os.Args[0], []string{os.Args[0], "-test.run=^$"}, os.Environ()))
	}
}

func TestUserEventsAreNothingToExecutedPrograms(t *testing.T) {
	needUserEvents(t)
	fresh(userEvents).counter("first") // declares the event
	tr := newTracer(t)
	tr.listen(true)
	child := start(t, "executes", userEvents)
	for i, want := range []string{"heard: true", "heard: false open: []", "heard: false open: []"} {
		if got := child.line(t); got != want {
			t.Errorf("program %d says %q, want %q", i, got, want)
		}
	}
	child.end(t)
	for _, e := range tr.events() {
		if e.pid != uint32(child.Process.Pid) || e.number != 1 {
			t.Errorf("process %d wrote update %d", e.pid, e.number)
		}
	}
}

// TestUserEventsOfSeriesMadeMeanwhileAreExact makes the same series from everywhere while listeners come and go.
func TestUserEventsOfSeriesMadeMeanwhileAreExact(t *testing.T) {
	needUserEvents(t)
	c := fresh(userEvents)
	c.counter("first")
	tr := newTracer(t)
	const goroutines, series = 4, 50
	var group sync.WaitGroup
	for range goroutines {
		group.Go(func() {
			for i := range series {
				c.counter("adds", WithAttributes(Int("n", int64(i)))).Add(1)
				c.histogram("values", WithAttributes(Int("n", int64(i)))).Record(1)
			}
		})
	}
	for n := range 10 {
		tr.listen(n%2 == 0)
	}
	tr.listen(true)
	group.Wait()
	tr.events()
	got := collector{}
	for i := range series {
		c.counter("adds", WithAttributes(Int("n", int64(i)))).Add(0)
		c.histogram("values", WithAttributes(Int("n", int64(i)))).Record(0)
	}
	for _, e := range tr.events() {
		got.take(e)
	}
	if len(got) != 2*series {
		t.Errorf("%d series were heard of, want %d", len(got), 2*series)
	}
	for name, s := range got {
		if n := s.value; strings.HasPrefix(name, "adds") && n != goroutines {
			t.Errorf("%s is %d, want %d", name, n, goroutines)
		}
		if n := s.count(); strings.HasPrefix(name, "values") && (n != goroutines+1 || s.sum() != goroutines) {
			t.Errorf("%s has %d values with sum %v, want %d", name, n, s.sum(), goroutines)
		}
	}
}

// TestUserEventsSayWhoIsNotAllowed is for the right to write that the kernel leaves to root.
func TestUserEventsSayWhoIsNotAllowed(t *testing.T) {
	needUserEvents(t)
	said := make(chan string)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with its rights
		_ = unix.Setfsuid(65534)
		c := fresh(userEvents)
		c.counter("adds").Add(1)
		said <- c.status()
	}()
	if s := <-said; !strings.Contains(s, "where no Collector sees them (user_events: open ") || !strings.Contains(s, "permission denied (") {
		t.Errorf("status is %q", s)
	}
	if _, err := userevent.Open(); err != nil {
		t.Error(err)
	}
}
