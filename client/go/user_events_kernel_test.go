//go:build linux && (amd64 || arm64)

package hotpath

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/client/go/userevent"
)

var userEvents = map[string]string{"HOTPATH_TRANSPORT": "user_events"}

func TestUserEventsCarryTheTotalFromTheFirstOneOn(t *testing.T) {
	needUserEvents(t)
	c := fresh(userEvents)
	counter, gauge, histogram := c.counter("adds", WithAttributes(Bool("on", true))), c.gauge("level"), c.histogram("values")
	tr := newTracer(t)
	for range 5 {
		counter.Add(2)
		gauge.Set(1)
		histogram.Record(1)
	}
	if s := c.status(); s != "hotpath counts 3 series in private memory and writes user_events of them while a Collector listens, as none does now." {
		t.Errorf("status is %q", s)
	}
	tr.listen(true)
	if s := c.status(); !strings.HasSuffix(s, "as one does now.") {
		t.Errorf("status is %q", s)
	}
	counter.Add(1)
	if e := tr.only(); e.value != 11 || e.number != 1 || e.name != "adds{on=true}" || e.pid != uint32(os.Getpid()) {
		t.Errorf("the counter's event is %+v", e)
	}
	gauge.Set(2.5)
	if e := tr.only(); e.value != 0x4004000000000000 || e.name != "level" {
		t.Errorf("the gauge's event is %+v", e)
	}
	histogram.Record(0x1p-30)
	histogram.Record(0x1p34)
	all := tr.events()
	got := collector{}
	for _, e := range all {
		got.take(e)
	}
	if h := got["values"]; len(all) != 2+4 || h.count() != 7 || h.sum() != 0x1p34+5+0x1p-30 {
		t.Errorf("the histogram's %d events say %+v", len(all), h)
	}
	tr.listen(false)
	counter.Add(1)
	if c.stripes.heard() || len(tr.events()) != 0 {
		t.Error("events are written when nobody listens any more")
	}
	tr.listen(true)
	counter.Add(1)
	if e := tr.only(); e.value != 13 || e.number != 2 {
		t.Errorf("the event for the next listener is %+v", e)
	}
	if n := c.teller.(*updates).failed.Load(); n != 0 {
		t.Errorf("%d updates failed", n)
	}
}

func TestUserEventsOfTheLargestSizeArrive(t *testing.T) {
	needUserEvents(t)
	tr := newTracer(t)
	c := fresh(userEvents)
	c.counter("first")
	room := userevent.MaxSize - userevent.HeaderSize - len(c.teller.(*updates).resource)
	var options []Option
	r := segment.Record{Kind: segment.KindCounter, Name: "large"}
	for i := 0; r.Size() < room; i++ {
		r.Attributes = append(r.Attributes, segment.Attribute{Key: fmt.Sprint("k", i), Type: segment.AttributeString})
		last := &r.Attributes[i]
		last.Str = strings.Repeat("v", min(segment.MaxString, max(0, room-r.Size())))
		for ; r.Size() > room; last.Str = last.Str[1:] {
		}
		options = append(options, WithAttributes(String(last.Key, last.Str)))
	}
	counter := c.counter("large", options...)
	tr.listen(true)
	counter.Add(1)
	if e := tr.only(); e.size != userevent.MaxSize || e.value != 1 || len(e.record.Attributes) != len(options) {
		t.Errorf("an event of %d bytes has value %d and %d attributes", e.size, e.value, len(e.record.Attributes))
	}
}

func TestUserEventsOfManyGoroutinesAreExact(t *testing.T) {
	needUserEvents(t)
	c := fresh(userEvents)
	counter, histogram := c.counter("adds"), c.histogram("values")
	tr := newTracer(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	var group sync.WaitGroup
	got := collector{}
	take := func() (n int) {
		for _, e := range tr.events() {
			n++
			got.take(e)
		}
		return n
	}
	var done atomic.Bool
	var added atomic.Uint64
	for range 4 {
		group.Go(func() {
			for !done.Load() {
				counter.Add(1)
				histogram.Record(float64(added.Add(1) % 4))
			}
		})
	}
	for n := range 20 {
		tr.listen(n%4 != 0)
		runtime.GOMAXPROCS(n%5 + 1)
	}
	tr.listen(true)
	done.Store(true)
	group.Wait()
	heard := take()
	counter.Add(0)
	histogram.Record(0)
	take()
	if n := added.Load(); got["adds"].value != n || heard == 0 {
		t.Errorf("the counter is %d after %d events, want %d", got["adds"].value, heard, n)
	}
	if h := got["values"]; h.count() != added.Load()+1 {
		t.Errorf("the histogram has count %d, want %d", h.count(), added.Load()+1)
	}
}

func init() {
	children["closes all"] = func() {
		counter := NewCounter("adds")
		counter.Add(1)
		d := process.teller.(*updates).descriptor.Load()
		fmt.Println("number", d.fd)
		commands := bufio.NewScanner(os.Stdin)
		for commands.Scan() {
			switch command, path, _ := strings.Cut(commands.Text(), " "); command {
			case "close":
				_ = unix.CloseRange(3, 1<<31-1, 0)
			case "open":
				for fd := 0; fd < d.fd; {
					var err error
					if fd, err = unix.Open(path, unix.O_RDWR|unix.O_APPEND|unix.O_CLOEXEC, 0); err != nil {
						fmt.Println(err)
					}
				}
			case "add":
				counter.Add(1)
			}
			fmt.Println(Status())
		}
	}
}

// TestUserEventsGoOnAfterTheProgramClosedItsDescriptors does what daemons do: close all, then open their own.
func TestUserEventsGoOnAfterTheProgramClosedItsDescriptors(t *testing.T) {
	needUserEvents(t)
	tr := newTracer(t)
	file := filepath.Join(directoryOnTmpfs(t), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	child := start(t, "closes all", userEvents)
	var number int
	if _, err := fmt.Sscanf(child.line(t), "number %d", &number); err != nil || number < 512 {
		t.Errorf("the descriptor has the number %d, %v", number, err)
	}
	tr.listen(true)
	say := func(command string) string {
		fmt.Fprintln(child.in, command)
		return child.line(t)
	}
	value := func() uint64 {
		t.Helper()
		e := tr.only()
		if e.pid != uint32(child.Process.Pid) {
			t.Errorf("the event is of process %d", e.pid)
		}
		return e.value
	}
	say("add")
	if n := value(); n != 2 {
		t.Errorf("the first event has %d, want 2", n)
	}
	say("close")
	say("add") // finds it closed
	if n := value(); n != 3 {
		t.Errorf("the event after closing has %d, want 3", n)
	}
	say("close")
	say("open " + file) // takes the number
	say("add")
	if n := value(); n != 4 {
		t.Errorf("the event after closing and opening has %d, want 4", n)
	}
	if s := say("add"); !strings.HasSuffix(s, "as one does now.") {
		t.Errorf("status is %q", s)
	}
	if n := value(); n != 5 {
		t.Errorf("the next event has %d, want 5", n)
	}
	child.end(t)
	if stat, err := os.Stat(file); err != nil || stat.Size() != 0 {
		t.Errorf("the program's own file has %d bytes, %v", stat.Size(), err)
	}
}

// TestUserEventsAreHeardOfAgainWithTheNextSeries is for threads that end: with the last one that knows of it, the kernel forgets the bit.
func TestUserEventsAreHeardOfAgainWithTheNextSeries(t *testing.T) {
	needUserEvents(t)
	if !alone(t) {
		return
	}
	c := fresh(userEvents)
	tr := newTracer(t)
	counter := inThreadThatEnds(func() Counter { return c.counter("adds") })
	counter.Add(1)
	c.counter("more")
	tr.listen(true)
	counter.Add(1)
	if e := tr.only(); e.value != 2 {
		t.Errorf("the event has %d, want 2", e.value)
	}
}

func TestUserEventsAreRegisteredAsTheKernelSays(t *testing.T) {
	needUserEvents(t)
	fd, err := userevent.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { unix.Close(fd) }()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	words := new([2]uint64)
	at := func(i int) unsafe.Pointer { return unsafe.Pointer(&words[i]) }
	name := fmt.Sprintf("hotpath_go_test_%d", os.Getpid())

	first, err := userevent.Register(fd, at(0), 3, 8, 0, name+" u32 a; u64 b")
	if err != nil {
		t.Fatal(err)
	}
	again, err := userevent.Register(fd, at(1), 31, 4, 0, name+" u32 a; u64 b")
	if err != nil || again != first {
		t.Errorf("the second registration gives index %d after %d, %v", again, first, err)
	}
	if _, err := userevent.Register(fd, at(1), 31, 4, 0, name+" u32 a; u64 b"); !errors.Is(err, userevent.ErrDeclared) {
		t.Errorf("a bit may be registered twice: %v", err)
	}
	if _, err := userevent.Register(fd, at(1), 0, 4, 0, name+" u32 other"); !errors.Is(err, userevent.ErrDeclared) {
		t.Errorf("the same name with other fields: %v", err)
	}
	if _, err := userevent.Register(fd, at(1), 64, 8, 0, name+"_bit u32 a"); !errors.Is(err, unix.EINVAL) {
		t.Errorf("bit 64: %v", err)
	}

	enable := filepath.Join(tracing, "events/user_events", name, "enable")
	if err := os.WriteFile(enable, []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	if words[0] != 1<<3 || words[1] != 1<<31 {
		t.Errorf("while somebody listens the words are %#x", *words)
	}
	if err := userevent.Unregister(fd, at(0), 3); err != nil || words[0] != 0 {
		t.Errorf("unregistered, the word is %#x, %v", words[0], err)
	}
	if err := userevent.Unregister(fd, at(0), 3); !errors.Is(err, unix.ENOENT) {
		t.Errorf("unregistered twice: %v", err)
	}
	if err := os.WriteFile(enable, []byte("0"), 0); err != nil || words[1] != 0 {
		t.Errorf("when nobody listens any more the word is %#x, %v", words[1], err)
	}
	if err := userevent.Unregister(fd, at(1), 31); err != nil {
		t.Error(err)
	}

	persistent := name + "_stays"
	if _, err := userevent.Register(fd, at(0), 0, 4, userevent.FlagPersist, persistent+" u32 a"); err != nil {
		t.Fatal(err)
	}
	if err := userevent.Delete(fd, persistent); !errors.Is(err, unix.EBUSY) {
		t.Errorf("an event that is held is deleted: %v", err)
	}
	if err := userevent.Unregister(fd, at(0), 0); err != nil {
		t.Error(err)
	}
	unix.Close(fd)
	if fd, err = userevent.Open(); err != nil {
		t.Fatal(err)
	}
	// The kernel lets go of an event some time after close(2).
	err = userevent.Delete(fd, persistent)
	for deadline := time.Now().Add(10 * time.Second); errors.Is(err, unix.EBUSY) && time.Now().Before(deadline); err = userevent.Delete(fd, persistent) {
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		t.Error(err)
	}
	if err := userevent.Delete(fd, persistent); !errors.Is(err, unix.ENOENT) {
		t.Errorf("deleted twice: %v", err)
	}
}

// The kernel's own benchmarks are for ratios: it may be emulated.

func BenchmarkUserEventsGetppid(b *testing.B) {
	for b.Loop() {
		unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
	}
}

func BenchmarkUserEventsUnheard(b *testing.B) {
	needUserEvents(b)
	benchmarkUpdates(b, fresh(userEvents))
}

func BenchmarkUserEventsHeard(b *testing.B) {
	needUserEvents(b)
	c := fresh(userEvents)
	c.counter("first")
	tr := newTracer(b)
	tr.listen(true)
	benchmarkUpdates(b, c)
}
