package c

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/client/go/userevent"
	"github.com/hotpath-metrics/hotpath/internal/kerneltest"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/format"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/page"
)

const tracefs = "/sys/kernel/tracing"

// listener is a tracefs instance of the test's own, with hotpath's event in it.
type listener struct {
	t     *testing.T
	dir   string
	id    uint16
	pipes []int
	page  [65536]byte
	seen  []update // all that was read
}

// update is an event as it was read.
type update struct {
	userevent.Update
	time    uint64
	record  []byte // with a slot of 0
	name    string
	buckets []uint64
}

// listen makes the instance, not enabled yet.
func listen(t *testing.T) *listener {
	t.Helper()
	kerneltest.Need(t)
	declare(t, userevent.Declaration)
	l := &listener{t: t, dir: filepath.Join(tracefs, "instances", fmt.Sprintf("hotpath-c-%d", os.Getpid()))}
	if err := os.Mkdir(l.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	l.set("trace_clock", "mono")
	l.set("buffer_size_kb", "8192")
	text, err := os.ReadFile(filepath.Join(l.dir, "events/user_events", userevent.Name, "format"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := format.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	l.id = f.ID
	pipes, _ := filepath.Glob(l.dir + "/per_cpu/cpu*/trace_pipe_raw")
	for _, pipe := range pipes {
		fd, err := unix.Open(pipe, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		l.pipes = append(l.pipes, fd)
	}
	return l
}

// declare keeps an event there, as a collector does, so that it can be enabled before anybody else registers it.
func declare(t *testing.T, declaration string) {
	t.Helper()
	declared, done, gone := make(chan error), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		runtime.LockOSThread() // the kernel notes the bit for this thread
		fd, err := userevent.Open()
		if err != nil {
			declared <- err
			return
		}
		defer unix.Close(fd)
		word := new(uint64)
		for range 100 { // an event goes some time after its last user
			if _, err = userevent.Register(fd, unsafe.Pointer(word), 0, 8, 0, declaration); !errors.Is(err, userevent.ErrDeclared) {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		declared <- err
		if err != nil {
			return
		}
		<-done
		if err := userevent.Unregister(fd, unsafe.Pointer(word), 0); err != nil {
			t.Error(err)
		}
	}()
	if err := <-declared; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(done); <-gone })
}

func (l *listener) set(file, value string) {
	l.t.Helper()
	if err := os.WriteFile(filepath.Join(l.dir, file), []byte(value), 0); err != nil {
		l.t.Fatal(err)
	}
}

func (l *listener) enable(on bool) {
	l.t.Helper()
	value := "0"
	if on {
		value = "1"
	}
	l.set("events/user_events/"+userevent.Name+"/enable", value)
}

func (l *listener) close() {
	l.enable(false)
	for _, fd := range l.pipes {
		unix.Close(fd)
	}
	if err := unix.Rmdir(l.dir); err != nil {
		l.t.Error(err)
	}
}

// read returns what was written since the last reading, in the order of time.
func (l *listener) read() []update {
	l.t.Helper()
	var updates []update
	for _, fd := range l.pipes {
		for {
			n, err := unix.Read(fd, l.page[:4096])
			if errors.Is(err, unix.EAGAIN) || err == nil && n == 0 {
				break
			}
			if err != nil {
				l.t.Fatal(err)
			}
			var p page.Page
			p.Reset(l.page[:n])
			for p.Next() {
				if p.ID == l.id {
					updates = append(updates, l.parse(p.Record[8:], p.Time))
				}
			}
			if p.Err() != nil {
				l.t.Fatal(p.Err())
			}
		}
	}
	slices.SortStableFunc(updates, func(a, b update) int {
		if a.time < b.time {
			return -1
		}
		return 1
	})
	l.seen = append(l.seen, updates...)
	return updates
}

func (l *listener) parse(b []byte, time uint64) update {
	l.t.Helper()
	u := update{time: time}
	u.Segment = binary.NativeEndian.Uint64(b[userevent.OffSegment:])
	u.Number = binary.NativeEndian.Uint64(b[userevent.OffNumber:])
	u.Start = binary.NativeEndian.Uint64(b[userevent.OffStart:])
	u.Value = binary.NativeEndian.Uint64(b[userevent.OffValue:])
	u.Zero = binary.NativeEndian.Uint64(b[userevent.OffZero:])
	copy(u.Instance[:], b[userevent.OffInstanceHi:])
	u.PID = binary.NativeEndian.Uint32(b[userevent.OffPID:])
	u.Series = binary.NativeEndian.Uint32(b[userevent.OffSeries:])
	u.First = binary.NativeEndian.Uint16(b[userevent.OffFirst:])
	u.Flags = binary.NativeEndian.Uint16(b[userevent.OffFlags:])
	next := userevent.HeaderSize
	part := func(offset int) []byte {
		loc := binary.NativeEndian.Uint32(b[offset:])
		at, size := offset+4+int(loc&0xffff), int(loc>>16)
		if at != next || size%8 != 0 || at+size > len(b) || at+size > userevent.MaxSize {
			l.t.Fatalf("field at %d has %d bytes at %d of %d, want them at %d", offset, size, at, len(b), next)
		}
		next = at + size
		return slices.Clone(b[at:next])
	}
	u.record = part(userevent.OffRecord)
	resource := part(userevent.OffResource)
	buckets := part(userevent.OffBuckets)
	if len(u.record) < segment.RecordHeaderSize || len(resource) < segment.RecordHeaderSize || resource[segment.RecordKind] != segment.KindResource ||
		int(binary.NativeEndian.Uint32(resource)) != len(resource) || int(binary.NativeEndian.Uint32(u.record)) != len(u.record) {
		l.t.Fatalf("records are %q and %q", u.record, resource)
	}
	clear(u.record[segment.RecordSlot:][:8])
	u.name = string(u.record[segment.RecordHeaderSize:][:binary.NativeEndian.Uint16(u.record[segment.RecordNameLen:])])
	for ; len(buckets) > 0; buckets = buckets[8:] {
		u.buckets = append(u.buckets, binary.NativeEndian.Uint64(buckets))
	}
	if u.Series >= userevent.MaxSeries || int(u.First)+len(u.buckets) > segment.HistogramBuckets || len(u.buckets) > userevent.MaxBuckets {
		l.t.Fatalf("series %d, buckets from %d: %d", u.Series, u.First, len(u.buckets))
	}
	return u
}

// last is what a reader knows of a series of a process in the end: the update with the highest number, of whichever segment.
type last struct {
	update
	histogram [segment.HistogramBuckets]uint64
	events    int
}

func (u *last) count() uint64 {
	n := u.Zero
	for _, v := range u.histogram {
		n += v
	}
	return n
}

func (u *last) float() float64 { return math.Float64frombits(u.Value) }

// series gives the state of each series by its name, of one segment.
func (l *listener) series(segmentID uint64) map[string]*last {
	l.t.Helper()
	l.read()
	state := map[string]*last{}
	for _, u := range l.seen {
		if u.Segment != segmentID {
			continue
		}
		s := state[u.name]
		if s == nil {
			s = &last{}
			state[u.name] = s
		}
		s.events++
		if u.Number > s.Number {
			s.update = u
		}
		for i, v := range u.buckets {
			s.histogram[int(u.First)+i] = max(s.histogram[int(u.First)+i], v)
		}
	}
	return state
}

// segments are those seen, in the order of their first events.
func (l *listener) segments() []uint64 {
	l.t.Helper()
	l.read()
	var ids []uint64
	for _, u := range l.seen {
		if !slices.Contains(ids, u.Segment) {
			ids = append(ids, u.Segment)
		}
	}
	return ids
}

// only is the state of the one segment there is.
func (l *listener) only() map[string]*last {
	l.t.Helper()
	ids := l.segments()
	if len(ids) != 1 {
		l.t.Fatalf("%d segments", len(ids))
	}
	return l.series(ids[0])
}

// value of a series, 0 if nothing was heard of it.
func value(series map[string]*last, name string) uint64 {
	if s := series[name]; s != nil {
		return s.Value
	}
	return 0
}

// program compiles testdata/events.c and its like, unless the folder that HOTPATH_PROGRAMS names has it ready: compilers are slow in
// an emulated machine.
func program(t *testing.T, name string, compiler ...string) string {
	t.Helper()
	if ready := filepath.Join(os.Getenv("HOTPATH_PROGRAMS"), name); filepath.IsAbs(ready) {
		if _, err := os.Stat(ready); err == nil {
			return ready
		}
	}
	need(t, compiler[0])
	binary := filepath.Join(t.TempDir(), name)
	run(t, append(append(append([]string{}, compiler...), strict...), "-o", binary)...)
	return binary
}

func eventsProgram(t *testing.T) string {
	t.Helper()
	return program(t, "events", "gcc", "-std=c11", "-O2", "testdata/events.c", "-lm")
}

func eventsClient(t *testing.T, args ...string) *client {
	t.Helper()
	return startWith(t, []string{"HOTPATH_TRANSPORT=user_events", "OTEL_SERVICE_NAME=events"}, eventsProgram(t), "/dev/shm/none", args...)
}
