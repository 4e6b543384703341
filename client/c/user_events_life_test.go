package c

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hotpath-metrics/hotpath/client/go/userevent"
	"github.com/hotpath-metrics/hotpath/internal/kerneltest"
)

func TestUserEventsOfAForkedChildAreItsOwn(t *testing.T) {
	for _, how := range []string{"forks", "raw-forks"} {
		t.Run(how, func(t *testing.T) {
			l := listen(t)
			c := eventsClient(t, how)
			l.enable(true)
			c.step() // the child counts for the first time
			first := l.read()
			if len(first) != 1 || first[0].Value != 10 || first[0].Number != 1 || int(first[0].PID) == c.cmd.Process.Pid {
				t.Fatalf("the child's first event is %+v", first)
			}
			l.enable(false)
			l.enable(true)
			c.step()
			s := l.series(first[0].Segment)
			if value(s, "forks.counter") != 20 || value(s, "forks.new") != 7 || s["forks.gauge"].float() != 2 ||
				s["forks.histogram"].count() != 1 || s["forks.histogram"].float() != 2 || s["forks.gauge"].Number != 1 {
				t.Errorf("the child has counted %v", s)
			}
			c.step() // the child ends, and its parent counts
			ids := l.segments()
			if len(ids) != 2 {
				t.Fatalf("%d segments", len(ids))
			}
			own := l.series(ids[1])["forks.counter"]
			if own.Value != 2 || own.Number != 1 || int(own.PID) != c.cmd.Process.Pid || own.Instance == first[0].Instance {
				t.Errorf("the parent has counted %+v", own)
			}
			c.finish()
		})
	}
}

// With a listener from the start, and none when the child counts: its bit falls.
func TestUserEventsOfAForkedChildStopWithTheListener(t *testing.T) {
	l := listen(t)
	l.enable(true)
	c := eventsClient(t, "forks")
	l.enable(false)
	l.read()
	c.step()
	if got := l.read(); len(got) != 0 || !strings.HasSuffix(c.status, "none does now") {
		t.Errorf("%d events, status %q", len(got), c.status)
	}
	l.enable(true)
	c.step()
	if got := value(l.series(l.segments()[1]), "forks.counter"); got != 20 {
		t.Errorf("the child has counted %d", got)
	}
}

func TestUserEventsNeverGoToTheApplicationsFiles(t *testing.T) {
	for _, limit := range []int{64, 1024, 1600} {
		t.Run(strconv.Itoa(limit), func(t *testing.T) {
			l := listen(t)
			c := eventsClient(t, "descriptors", t.TempDir(), strconv.Itoa(limit))
			l.enable(true)
			c.step()
			if got := l.only()["descriptors.counter"]; got.Value != 2 || got.events != 2 {
				t.Errorf("after closefrom, %d events came to %d", got.events, got.Value)
			}
			c.step()
			if files, _ := strconv.Atoi(c.before[0]); files != limit-3 && files != limit-4 {
				t.Errorf("the program could open %d files", files)
			}
			c.step()
			if got := l.only()["descriptors.counter"]; got.Value != 4002 {
				t.Errorf("with descriptors to be had again, events came to %d of 4002", got.Value)
			}
			c.finish()
		})
	}
}

// A pipe gets the descriptor's number over and over, between the look at it and the writing as well.
func TestUserEventsNeverGoToAPipeThatReplacesTheDescriptor(t *testing.T) {
	l := listen(t)
	l.enable(true)
	c := eventsClient(t, "replaced", "30000")
	c.step()
	if written, _ := strconv.Atoi(c.before[0]); written != 0 {
		t.Errorf("%d bytes went to the application's pipe", written)
	}
	if got := value(l.only(), "replaced.counter"); got != 30001 {
		t.Errorf("events came to %d of 30001", got)
	}
	c.finish()
}

// The descriptor is closed between the look at it and the writing.
func TestUserEventsAreWrittenAgainWhenTheDescriptorIsClosedMeanwhile(t *testing.T) {
	l := listen(t)
	l.enable(true)
	c := eventsClient(t, "closed")
	c.step()
	if got := value(l.only(), "closed.counter"); got != 1 {
		t.Errorf("events came to %d of 1", got)
	}
	c.finish()
}

// Before it is moved, the new descriptor has a low number, which a pipe gets here: it is neither written to, copied nor closed.
func TestUserEventsLeaveAloneAPipeThatReplacesTheNewDescriptor(t *testing.T) {
	l := listen(t)
	l.enable(true)
	c := eventsClient(t, "new-descriptor")
	if got := value(l.only(), "new.counter"); got != 1 || !strings.HasSuffix(c.status, "which one does now") {
		t.Errorf("counted %d of 1, status %q", got, c.status)
	}
	c.finish()
}

func TestUserEventsOutliveTheThreadThatRegistered(t *testing.T) {
	for _, command := range []string{"ends", "ends-gauge", "ends-keys"} {
		t.Run(command, func(t *testing.T) {
			l := listen(t)
			c := eventsClient(t, command)
			l.enable(true)
			c.step()
			s := l.only()
			want := uint64(4)
			if command == "ends-gauge" {
				want = 3
			}
			if got := value(s, "ends.counter"); got != want || s["ends.gauge"].float() != 4 {
				t.Errorf("counter came to %d of %d, gauge to %v", got, want, s["ends.gauge"].float())
			}
			c.finish()
		})
	}
}

func TestUserEventsOfALibraryThatWasClosed(t *testing.T) {
	for _, kind := range []string{"library.c", "library.cc"} {
		t.Run(kind, func(t *testing.T) {
			compiler := []string{"gcc", "-std=c11", "-O2", "-fPIC", "-shared", "testdata/library.c"}
			if kind == "library.cc" {
				compiler = []string{"g++", "-std=c++17", "-O2", "-fPIC", "-shared", "testdata/library.cc"}
			}
			l := listen(t)
			c := eventsClient(t, "library", program(t, filepath.Base(kind)+".so", compiler...))
			for range 3 {
				l.enable(true)
				l.enable(false)
			}
			l.enable(true)
			c.step()
			var got []uint64
			var instances [][16]byte
			for _, id := range l.segments() {
				s := l.series(id)["library.counter"]
				got, instances = append(got, s.Value), append(instances, s.Instance)
			}
			slices.Sort(got)
			if !slices.Equal(got, []uint64{2, 110}) || instances[0] != instances[1] {
				t.Errorf("executable and library came to %v, instances %x", got, instances)
			}
			c.finish()
		})
	}
}

func TestUserEventsFromSignalHandlersWhileDescriptorsAreClosed(t *testing.T) {
	l := listen(t)
	c := eventsClient(t, "signals", "20000")
	for range 5 {
		l.enable(true)
		l.enable(false)
	}
	l.enable(true)
	c.step()
	if got := strconv.FormatUint(value(l.only(), "signals.counter"), 10); got != c.before[0] {
		t.Errorf("counted %s of %s", got, c.before[0])
	}
	c.finish()
}

func TestUserEventsThatCannotBeSentSayWhy(t *testing.T) {
	filter := program(t, "without", "gcc", "-std=c11", "-O2", "testdata/without.c")
	limited := eventsProgram(t)
	for name, c := range map[string]struct {
		command []string
		status  string
	}{
		"no descriptor": {[]string{limited, "limited", "files"}, "cannot open /sys/kernel/tracing/user_events_data: Too many open files"},
		"no right":      {[]string{limited, "limited", "user"}, "may not write to /sys/kernel/tracing/user_events_data: Permission denied; give a group"},
		"no tracefs":    {[]string{limited, "limited", "root"}, "tracefs is not mounted at /sys/kernel/tracing (mount -t tracefs"},
		"no ioctl":      {[]string{filter, "ioctls", limited, "limited"}, "cannot register the event hotpath_v1: Operation not permitted"},
		"no pwritev":    {[]string{filter, "writes", limited, "limited"}, "hotpath: sending"},
		"no fcntl":      {[]string{filter, "flags", limited, "limited"}, "cannot open /sys/kernel/tracing/user_events_data: Bad file descriptor"},
	} {
		t.Run(name, func(t *testing.T) {
			l := listen(t)
			client := startWith(t, []string{"HOTPATH_TRANSPORT=user_events"}, c.command[0], "/dev/shm/none", c.command[1:]...)
			if !strings.Contains(client.status, c.status) {
				t.Errorf("status is %q", client.status)
			}
			l.enable(true)
			client.step()
			if got := l.read(); len(got) != 0 {
				t.Errorf("%d events", len(got))
			}
			client.finish()
		})
	}
}

func TestUserEventsDeclaredByAnotherProgram(t *testing.T) {
	kerneltest.Need(t)
	declare(t, userevent.Name+" u32 other")
	c := eventsClient(t, "limited")
	if !strings.Contains(c.status, "some program declared the event hotpath_v1 with other fields") {
		t.Errorf("status is %q", c.status)
	}
	c.step()
	c.finish()
}
