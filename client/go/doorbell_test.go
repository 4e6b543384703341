//go:build linux && (amd64 || arm64)

package hotpath

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

// newDoorbell makes one in a directory, in the place of what is there, as a Collector does.
func newDoorbell(t *testing.T, dir string) (path string) {
	t.Helper()
	path = filepath.Join(dir, segment.Doorbell)
	if err := os.WriteFile(path+".new", make([]byte, segment.DoorbellSize), 0o444); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	return path
}

// waiter waits at a doorbell.
type waiter struct {
	t      *testing.T
	word   unsafe.Pointer
	thread int
	woken  chan struct{}
}

func waitAt(t *testing.T, path string) waiter {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	word, err := unix.MmapPtr(int(f.Fd()), 0, nil, segment.DoorbellSize, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	w := waiter{t: t, word: word, woken: make(chan struct{})}
	var over atomic.Bool
	began, ended := make(chan int), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread()
		began <- unix.Gettid()
		for !over.Load() {
			timeout := unix.NsecToTimespec(int64(time.Minute))
			if _, _, errno := unix.Syscall6(unix.SYS_FUTEX, uintptr(word), 0, 0, uintptr(unsafe.Pointer(&timeout)), 0, 0); errno == 0 {
				w.woken <- struct{}{}
			}
		}
	}()
	t.Cleanup(func() {
		over.Store(true)
		for {
			_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(word), futexWake, 1, 0, 0, 0)
			select {
			case <-w.woken:
			case <-time.After(time.Millisecond):
			case <-ended:
				_ = unix.MunmapPtr(word, segment.DoorbellSize)
				return
			}
		}
	})
	w.thread = <-began
	w.settle()
	return w
}

// settle returns once it waits.
func (w waiter) settle() {
	w.t.Helper()
	waiting := fmt.Sprintf("%d %#x 0x0 ", unix.SYS_FUTEX, uintptr(w.word))
	eventually(w.t, "somebody waits at the doorbell", func() bool {
		call, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/syscall", w.thread))
		return err != nil || strings.HasPrefix(string(call), waiting)
	})
}

func (w waiter) within(d time.Duration) bool {
	select {
	case <-w.woken:
		w.settle()
		return true
	case <-time.After(d):
		return false
	}
}

// quarters has a client record into one ring, quarter by quarter.
type quarters struct {
	t       *testing.T
	client  *client
	counter Counter
	r       *ringReader
}

func newQuarters(t *testing.T, environment map[string]string) *quarters {
	onOneP(t)
	c := fresh(environment)
	q := &quarters{t: t, client: c, counter: c.counter("adds")}
	q.r = c.ringReader(t, q.counter)
	return q
}

func (q *quarters) head() uint64 { return q.r.word(q.r.word(segment.OffRingsOffset)) }

// fill records until one more measurement would cross a quarter.
func (q *quarters) fill() {
	before := q.head()
	q.one()
	size := q.head() - before
	quarter := q.r.word(segment.OffRingWords) / 4
	for range (quarter - q.head()%quarter - 1) / size {
		q.one()
	}
}

func (q *quarters) one() { q.counter.AddWith(1, Int("n", 1)) }

// again has the doorbell looked for at the next time that nobody wakes, though less than a second went by.
func (q *quarters) again() { q.client.stripes.rings.doorbell.looked = 0 }

func TestTheDoorbellRingsAtEachQuarterAndNotBefore(t *testing.T) {
	dir := directoryOnTmpfs(t)
	w := waitAt(t, newDoorbell(t, dir))
	q := newQuarters(t, in(dir))
	for i := range 6 {
		q.fill()
		if w.within(100 * time.Millisecond) {
			t.Fatalf("it rang before quarter %d, at word %d", i+1, q.head())
		}
		q.one()
		if !w.within(10 * time.Second) {
			t.Fatalf("it did not ring at quarter %d, at word %d", i+1, q.head())
		}
	}
}

func TestAnotherDoorbellIsFoundWhenNobodyWaitsAtTheOldOne(t *testing.T) {
	dir := directoryOnTmpfs(t)
	path := newDoorbell(t, dir)
	q := newQuarters(t, in(dir))
	at := q.client.stripes.rings.doorbell.word
	if at == nil {
		t.Fatal("the doorbell was not mapped with the first ring")
	}
	w := waitAt(t, newDoorbell(t, dir))
	cross := func() bool {
		q.fill()
		q.one()
		return w.within(200 * time.Millisecond)
	}
	if cross() {
		t.Error("it was looked for again within a second")
	}
	time.Sleep(lookAfter)
	if cross() {
		t.Error("it rang at once") // this time it was found
	}
	if !cross() {
		t.Error("the new one does not ring")
	}
	if q.client.stripes.rings.doorbell.word != at {
		t.Error("it was not mapped in the place of the old one, where others may be")
	}

	// Whatever is there now does no harm, and what is mapped stays.
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	q.again()
	if cross() {
		t.Error("a truncated doorbell rings")
	}
	if err := os.Truncate(path, segment.DoorbellSize); err != nil {
		t.Fatal(err)
	}
	w = waitAt(t, path)
	if q.again(); !cross() {
		t.Error("the doorbell does not ring with its size")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if q.again(); !cross() {
		t.Error("a doorbell without a name does not ring")
	}
}

// Whoever waits at the old one need not be a Collector.
func TestAnotherDoorbellIsFoundThoughSomebodyWaitsAtTheOldOne(t *testing.T) {
	dir := directoryOnTmpfs(t)
	old := waitAt(t, newDoorbell(t, dir))
	q := newQuarters(t, in(dir))
	w := waitAt(t, newDoorbell(t, dir))
	cross := func() {
		t.Helper()
		q.fill()
		q.one()
	}
	for range 2 {
		if cross(); !old.within(10 * time.Second) {
			t.Fatal("the old one does not ring")
		}
	}
	q.client.stripes.rings.doorbell.looked -= int64(lookAfterWake)
	if cross(); !old.within(10 * time.Second) {
		t.Fatal("the old one does not ring")
	}
	if cross(); !w.within(10 * time.Second) {
		t.Error("the new one does not ring")
	}
}

func TestWhatIsNoDoorbellIsLeftAlone(t *testing.T) {
	dir := directoryOnTmpfs(t)
	path := filepath.Join(dir, segment.Doorbell)
	q := newQuarters(t, in(dir))
	elsewhere := newDoorbell(t, directoryOnTmpfs(t))
	for what, put := range map[string]func() error{
		"nothing":     func() error { return nil },
		"a FIFO":      func() error { return unix.Mkfifo(path, 0o666) },
		"a link":      func() error { return os.Symlink(elsewhere, path) },
		"a directory": func() error { return os.Mkdir(path, 0o777) },
		"a device":    func() error { return unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))) }, // /dev/zero
	} {
		if err := put(); err != nil {
			t.Logf("%s: %v", what, err)
			continue
		}
		before := descriptors(t)
		q.again()
		q.fill()
		q.one()
		if q.client.stripes.rings.doorbell.word != nil {
			t.Fatalf("%s was mapped", what)
		}
		if n := descriptors(t); n != before {
			t.Errorf("%s: %d descriptors, %d before", what, n, before)
		}
		os.Remove(path)
	}
	w := waitAt(t, newDoorbell(t, dir))
	q.again()
	q.fill()
	q.one()
	q.fill()
	if q.one(); !w.within(10 * time.Second) {
		t.Error("the doorbell that came later does not ring")
	}
}

func TestAMemfdHasNoDoorbell(t *testing.T) {
	onOneP(t)
	c := fresh(asMemfd)
	counter := c.counter("adds")
	if d := c.stripes.rings.doorbell; d.directory != "" {
		t.Fatalf("its doorbell is in %q", d.directory)
	}
	for range math.MaxUint16 {
		counter.AddWith(1, Int("n", 1))
	}
	if c.stripes.rings.doorbell.word != nil {
		t.Error("it was mapped")
	}
}
