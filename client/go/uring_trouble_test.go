//go:build linux && (amd64 || arm64)

package hotpath

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

func TestAFullQueueIsNotPostedInto(t *testing.T) {
	for _, polled := range []string{"0", "1"} {
		l := newListener(t, 8)
		c := l.client("HOTPATH_URING_SQPOLL", polled, "HOTPATH_URING_BATCH", "1")
		var counters [100]Counter
		for i := range counters {
			counters[i] = c.counter(fmt.Sprint("adds", i))
		}
		l.knows("adds99")
		c.flush()
		l.last(func(*heard) {})
		l.pause(true)
		for range 1000 {
			for _, counter := range counters {
				counter.Add(1)
			}
		}
		before := time.Now()
		c.flush()
		if took := time.Since(before); took < firstMoment/2 || took > 20*firstMoment {
			t.Errorf("with a full queue, a flush takes %v", took)
		}
		if s := c.status(); !strings.HasSuffix(s, ", which has no room at the moment.") {
			t.Errorf("status is %q", s)
		}
		l.last(func(h *heard) {
			if n := atomic.LoadUint32(h.tail) - atomic.LoadUint32(h.head); n != 8 {
				t.Errorf("%d messages wait in a queue of 8", n)
			}
			overflown := fmt.Sprintf("/proc/self/fdinfo/%d", h.ring)
			if b, err := os.ReadFile(overflown); err != nil || strings.Contains(string(b), "user_data=") {
				t.Errorf("the kernel keeps more than the queue: %v\n%s", err, b)
			}
		})
		l.pause(false)
		for i := range counters {
			eventually(t, "a counter is told", func() bool { return l.now(fmt.Sprint("adds", i)) == 1000 })
		}
	}
}

// change updates series in ways that a new Collector can only learn from what they have come to.
func change(c *client) {
	c.counter("adds").Add(7)
	balance := UpDownCounter{c.series(segment.KindUpDownCounter, "balance", nil)}
	balance.Add(5)
	balance.Add(-5)
	c.gauge("level").Set(1.5)
	c.histogram("values").Record(3)
}

func (l *listener) hearsOfChanges(n int) {
	l.t.Helper()
	eventually(l.t, "everything is told", func() (all bool) {
		l.last(func(h *heard) {
			slot := uint32(h.series["values"].Slot)
			bucket, _ := segment.BucketIndex(3)
			_, told := h.words[uint32(h.series["balance"].Slot)]
			all = h.total("adds") == uint64(7*n) && told && h.total("balance") == 0 && h.total("level") == math.Float64bits(1.5) &&
				h.words[slot] == math.Float64bits(float64(3*n)) && h.words[slot+8+uint32(bucket)] == uint64(n)
		})
		return all
	})
}

func TestARestartedCollectorLearnsEverything(t *testing.T) {
	for _, how := range []string{"by an update", "by a flush", "by a series"} {
		l := newListener(t, 64)
		c := l.client()
		change(c)
		l.hearsOfChanges(1)
		for n := 2; n < 4; n++ {
			l.close()
			change(c)
			eventually(t, "the end is noticed", func() bool { return !c.teller.(*messages).linked.Load() })
			if s := c.status(); !strings.Contains(s, "private memory until it can tell a Collector by io_uring") {
				t.Errorf("status is %q", s)
			}
			l.listen()
			l.hearsOfChanges(n)
		}
		// Of an end that nobody has noticed, the next one does.
		l.close()
		l.listen()
		switch how {
		case "by an update":
			c.counter("adds").Add(0)
		case "by a flush":
			time.Sleep(retryAfter) // not too early for another attempt
			c.flush()
		case "by a series":
			c.counter("more")
		}
		l.hearsOfChanges(3)
	}
}

func TestALateCollectorLearnsEverythingFromAnIdleProcess(t *testing.T) {
	l := newListener(t, 64)
	l.close()
	c := l.client()
	before := time.Now()
	change(c)
	if took := time.Since(before); took > firstMoment {
		t.Errorf("without a Collector, the first series take %v", took)
	}
	if s := c.status(); !strings.Contains(s, "connect to "+l.path+": no such file or directory") && !strings.Contains(s, "connection refused") {
		t.Errorf("status is %q", s)
	}
	time.Sleep(1500 * time.Millisecond)
	l.listen()
	l.hearsOfChanges(1)
}

// TestCompleteComesBehindWhatWasThereBefore has a few words changing all the time, more than there ever is room for: the others
// get their turn all the same.
func TestCompleteComesBehindWhatWasThereBefore(t *testing.T) {
	l := newListener(t, 4)
	l.close()
	c := l.client("HOTPATH_URING_BATCH", "1")
	var hot [16]Counter
	for i := range hot {
		hot[i] = c.counter(fmt.Sprint("hot", i))
	}
	for i := range 500 {
		c.counter(fmt.Sprint("cold", i)).Add(uint64(i))
	}
	var group sync.WaitGroup
	stop := make(chan struct{})
	group.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				for _, counter := range hot {
					counter.Add(1)
				}
			}
		}
	})
	l.listen()
	eventually(t, "it is complete", func() (complete bool) {
		l.last(func(h *heard) { complete = h.before != nil })
		return complete
	})
	close(stop)
	group.Wait()
	c.flush()
	l.last(func(h *heard) {
		if n := h.per[1<<30|4]; n != 1 {
			t.Errorf("it is complete %d times", n)
		}
		for i := range 500 {
			if n, told := h.before[uint32(h.series[fmt.Sprint("cold", i)].Slot)]; !told || n != uint64(i) {
				t.Errorf("cold%d is %d when all is complete", i, n)
			}
		}
	})
}

func TestAnAbstractSocketWillDo(t *testing.T) {
	l := newListener(t, 64)
	l.close()
	l.path = fmt.Sprintf("@hotpath-go-%d", os.Getpid())
	l.listen()
	c := l.client()
	change(c)
	l.hearsOfChanges(1)
}

// answers are what a Collector may say instead of what it should, and what becomes of that.
var answers = map[string]struct {
	say  func(conn int)
	want string
}{
	"refusal": {func(conn int) { write(conn, message(5, []byte("go \"away\""))) }, `the Collector refuses: "go \"away\""`},
	"refusal after the hello": {func(conn int) {
		write(conn, message(1, []byte{64, 0, 0, 0, 0, 0, 0, 0}))
		_, _ = unix.Read(conn, make([]byte, 8)) // some of it
		write(conn, message(5, []byte("no")))
	}, `the Collector refuses: "no"`},
	"nothing":          {func(int) {}, "the Collector closed the connection"},
	"garbage":          {func(conn int) { write(conn, []byte(strings.Repeat("\xffgarbage", 100))) }, "the Collector speaks version"},
	"a giant":          {func(conn int) { write(conn, []byte{255, 255, 255, 127, 1, 0, 1, 0}) }, "the Collector says something of 2147483647 bytes"},
	"a dwarf":          {func(conn int) { write(conn, []byte{7, 0, 0, 0, 1, 0, 1, 0}) }, "the Collector says something of 7 bytes"},
	"another version":  {func(conn int) { write(conn, []byte{16, 0, 0, 0, 1, 0, 2, 0, 64, 0, 0, 0, 0, 0, 0, 0}) }, "the Collector speaks version 2"},
	"another message":  {func(conn int) { write(conn, message(3, make([]byte, 8))) }, "the Collector says something of type 3 and 16 bytes"},
	"a short greeting": {func(conn int) { write(conn, message(1, make([]byte, 4))) }, "the Collector says something of type 1 and 12 bytes"},
	"no entries":       {func(conn int) { write(conn, message(1, make([]byte, 8))) }, "wants a completion queue of 0 entries"},
	"no power of two":  {func(conn int) { write(conn, message(1, []byte{65, 0, 0, 0, 0, 0, 0, 0})) }, "wants a completion queue of 65 entries"},
	"half a greeting":  {func(conn int) { write(conn, []byte{16, 0, 0}) }, "the Collector closed the connection"},
	"entries in the ready": {func(conn int) {
		write(conn, message(1, []byte{64, 0, 0, 0, 0, 0, 0, 0}))
		write(conn, message(4, make([]byte, 8)))
	}, "the Collector says something of type 4"},
}

func TestWhatACollectorSaysWrongIsToldAndHarmsNothing(t *testing.T) {
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newListener(t, 64)
			var sane atomic.Bool
			l.doFirst(func(conn int) bool {
				if !sane.Load() {
					answer.say(conn)
				}
				return sane.Load()
			})
			c := l.client()
			change(c)
			eventually(t, "status says "+answer.want, func() bool { return strings.Contains(c.status(), answer.want) })
			time.Sleep(2500 * time.Millisecond)
			if n := l.connections(); n < 2 || n > 4 {
				t.Errorf("it connects %d times in 2.5 s", n)
			}
			sane.Store(true)
			l.hearsOfChanges(1)
		})
	}
}

func TestASilentCollectorHoldsNobodyUp(t *testing.T) {
	for name, say := range map[string][]byte{"silent": nil, "silent after the greeting": message(1, []byte{64, 0, 0, 0, 0, 0, 0, 0})} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newListener(t, 64)
			goOn := make(chan struct{})
			l.doFirst(func(conn int) bool {
				write(conn, say)
				<-goOn
				return say == nil
			})
			c := l.client()
			before := time.Now()
			change(c)
			if took := time.Since(before); took < firstMoment || took > 20*firstMoment {
				t.Errorf("the first series take %v", took)
			}
			before = time.Now()
			change(c)
			change(c)
			if took := time.Since(before); took > firstMoment {
				t.Errorf("others take %v", took)
			}
			close(goOn)
			if say != nil {
				return // that one has got half a handshake
			}
			l.hearsOfChanges(3)
		})
	}
}

func TestManyGoroutinesAreToldExactly(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, procs := range []int{1, 2, 8} {
		for _, settings := range [][]string{{"HOTPATH_URING_BATCH", "1"}, {"HOTPATH_URING_BATCH", "64"}, {"HOTPATH_URING_SQPOLL", "1", "HOTPATH_URING_BATCH", "3"}} {
			runtime.GOMAXPROCS(procs)
			l := newListener(t, 64)
			c := l.client(settings...)
			counter, histogram, gauge := c.counter("adds"), c.histogram("values"), c.gauge("level")
			const goroutines, each = 8, 5000
			var group sync.WaitGroup
			for g := range goroutines {
				group.Go(func() {
					own := c.counter(fmt.Sprint("own", g))
					for i := range each {
						counter.Add(1)
						own.Add(uint64(i))
						histogram.Record(float64(i % 8))
						gauge.Set(1)
						if i%1000 == 0 {
							c.flush()
						}
					}
				})
			}
			group.Wait()
			gauge.Set(2)
			m := c.teller.(*messages)
			eventually(t, "everything is told", func() bool { // on a busy machine, later than a flush waits
				c.flush()
				return m.toldAll()
			})
			l.knows("adds")
			for g := range goroutines {
				l.knows(fmt.Sprint("own", g))
			}
			l.last(func(h *heard) {
				if n := h.total("adds"); n != goroutines*each {
					t.Errorf("%d Ps, %v: counter is %d", procs, settings, n)
				}
				for g := range goroutines {
					if n := h.total(fmt.Sprint("own", g)); n != each*(each-1)/2 {
						t.Errorf("%d Ps, %v: own counter is %d", procs, settings, n)
					}
				}
				r := h.series["values"]
				n := h.words[uint32(r.Slot)+1]
				for _, of := range h.buckets(r) {
					n += of
				}
				if sum := math.Float64frombits(h.words[uint32(r.Slot)]); n != goroutines*each || sum != 3.5*goroutines*each {
					t.Errorf("%d Ps, %v: histogram has %d values, sum %v", procs, settings, n, sum)
				}
				if v := math.Float64frombits(h.total("level")); v != 2 {
					t.Errorf("%d Ps, %v: gauge is %v", procs, settings, v)
				}
			})
		}
	}
}

func TestAnUpdateThatIsToldAllocatesNothing(t *testing.T) {
	for _, settings := range [][]string{{"HOTPATH_URING_BATCH", "1"}, {}, {"HOTPATH_URING_SQPOLL", "1"}, {"HOTPATH_SOCKET", "/nowhere"}} {
		l := newListener(t, 4096)
		c := l.client(settings...)
		counter, gauge, histogram := c.counter("adds"), c.gauge("level"), c.histogram("values")
		if n := testing.AllocsPerRun(20_000, func() {
			counter.Add(1)
			gauge.Set(2)
			histogram.Record(3)
		}); n != 0 {
			t.Errorf("%v: %v allocations", settings, n)
		}
	}
}

// TestADescriptorThatIsClosedIsNotWrittenTo has the program close each of the link's, and get the number for a ring of its own: the
// one file that could be written to by mistake. Within a millisecond it may get a batch, but the Collector does so too.
func TestADescriptorThatIsClosedIsNotWrittenTo(t *testing.T) {
	for _, polled := range []string{"0", "1"} {
		for _, after := range []time.Duration{0, 2 * time.Millisecond} {
			closeDescriptors(t, polled, after)
		}
	}
}

func closeDescriptors(t *testing.T, polled string, after time.Duration) {
	for name, of := range map[string]func(*link) int{
		"socket":  func(l *link) int { return l.socket.fd },
		"target":  func(l *link) int { return l.target.fd },
		"sending": func(l *link) int { return l.sending.fd },
	} {
		t.Run(fmt.Sprint(name, ", polled ", polled, ", after ", after), func(t *testing.T) {
			l := newListener(t, 64)
			c := l.client("HOTPATH_URING_BATCH", "1", "HOTPATH_URING_SQPOLL", polled)
			change(c)
			l.hearsOfChanges(1)
			m := c.teller.(*messages)
			eventually(t, "nobody tells", func() bool { return m.busy.CompareAndSwap(false, true) })
			fd := of(m.link)
			other, err := newRing(ringParameters{submissions: 8})
			if err != nil {
				t.Fatal(err)
			}
			if err := unix.Dup3(other.fd, fd, unix.O_CLOEXEC); err != nil {
				t.Fatal(err)
			}
			m.busy.Store(false)
			time.Sleep(after)
			change(c)
			l.hearsOfChanges(2)
			if n := atomic.LoadUint32(other.cqTail); n != 0 && after > 0 {
				t.Errorf("%d messages came to the program's ring", n)
			}
			if at := (openFile{fd: fd, dev: other.dev, inode: other.inode}); !at.ours() {
				t.Error("the program's ring was closed")
			}
			unix.Close(fd)
			other.close()
		})
	}
}

func TestMarksAreFoundOnceAndNoneIsLost(t *testing.T) {
	const words = 70_000
	m := newMarks(words)
	for _, i := range []uint32{0, 63, 64, 4095, 4096, words - 1} {
		m.set(i)
		m.set(i)
	}
	var got []uint32
	if !m.any() || m.take(0, func(i uint32) bool { got = append(got, i); return i != 4095 }) || fmt.Sprint(got) != "[0 63 64 4095]" {
		t.Errorf("took %v", got)
	}
	m.set(5)
	all := func(i uint32) bool { got = append(got, i); return true }
	if got = nil; !m.take(4096, all) || !m.any() || fmt.Sprint(got) != fmt.Sprint([]uint32{4096, words - 1}) {
		t.Errorf("from 4096 on, took %v", got)
	}
	m.set(4097)
	m.set(words - 1)
	if got = nil; !m.take(0, all) || m.any() || fmt.Sprint(got) != fmt.Sprint([]uint32{5, 4095, 4097, words - 1}) {
		t.Errorf("took %v", got)
	}

	// What is added before a mark is set is seen by the one who takes it.
	var values [words]atomic.Uint64
	var sum, taken uint64
	var group sync.WaitGroup
	var done atomic.Int32
	const goroutines, each = 8, 50_000
	for g := range goroutines {
		group.Go(func() {
			for i := range each {
				at := uint32(i*(g+1)) % 200 * 349
				values[at].Add(1)
				m.set(at)
			}
			done.Add(1)
		})
	}
	last := map[uint32]uint64{}
	for from := uint32(0); ; {
		finished := done.Load() == goroutines
		if !m.take(from, func(i uint32) bool {
			taken++
			last[i] = values[i].Load()
			from = i
			return taken%1000 != 0
		}) {
			continue
		}
		from = 0
		if finished && !m.any() {
			break
		}
	}
	group.Wait()
	for _, n := range last {
		sum += n
	}
	if sum != goroutines*each {
		t.Errorf("%d of %d were seen", sum, goroutines*each)
	}
}
