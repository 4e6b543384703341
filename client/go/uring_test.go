//go:build linux && (amd64 || arm64)

package hotpath

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

func TestMessagesCarryEveryKindExactly(t *testing.T) {
	for _, polled := range []string{"0", "1"} {
		l := newListener(t, 4096)
		c := l.client("HOTPATH_URING_SQPOLL", polled)
		counter := c.counter("adds", WithUnit("{add}"), WithDescription("Adds."), WithAttributes(String("to", "it"), Int("n", 3)))
		balance := UpDownCounter{c.series(segment.KindUpDownCounter, "balance", nil)}
		gauge, unset := c.gauge("level"), c.gauge("unset")
		histogram := c.histogram("values")
		for i := range 1000 {
			counter.Add(2)
			balance.Add(-1)
			gauge.Set(float64(i))
			histogram.Record(float64(i % 4))
		}
		histogram.Record(1e-12)
		histogram.Record(1e12)
		histogram.Record(-1)
		gauge.Set(math.NaN())
		gauge.Set(-2.5)
		Counter{}.Add(1) // refused by the package's own client, not this one
		c.counter("no blanks, please")
		unset.cell.gauge()
		c.flush()
		l.knows("values")
		l.last(func(h *heard) {
			if n := h.total("adds{n=3,to=it}"); n != 2000 {
				t.Errorf("counter is %d", n)
			}
			if r := h.series["adds{n=3,to=it}"]; r.Unit != "{add}" || r.Description != "Adds." || r.Kind != segment.KindCounter {
				t.Errorf("the counter is %+v", r)
			}
			if n := int64(h.total("balance")); n != -1000 {
				t.Errorf("updowncounter is %d", n)
			}
			if v := math.Float64frombits(h.total("level")); v != -2.5 {
				t.Errorf("gauge is %v", v)
			}
			if _, told := h.words[1<<29|uint32(h.series["unset"].Slot)]; told {
				t.Error("a gauge that was never set is told")
			}
			r := h.series["values"]
			word := func(i uint32) uint64 { return h.words[uint32(r.Slot)+i] }
			if sum := math.Float64frombits(word(0)); sum != 1500+1e12+1e-12 || word(1) != 250 || word(2) != 2 {
				t.Errorf("histogram has sum %v, %d zeros, %d clamped", sum, word(1), word(2))
			}
			want := map[int]uint64{0: 1, 511: 1}
			for _, v := range []float64{1, 2, 3} {
				i, _ := segment.BucketIndex(v)
				want[i] = 250
			}
			if got := h.buckets(r); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("buckets are %v, want %v", got, want)
			}
			if h.words[1<<30] != 1 || h.words[1<<30|3] != 1 {
				t.Errorf("refused %d, rejected %d", h.words[1<<30], h.words[1<<30|3])
			}
			if h.segment != c.header.Load().load(segment.OffSegmentID) || h.pid != os.Getpid() || h.stripe != uint64(roomy().stripe) {
				t.Errorf("the hello has segment %x, pid %d, stripes of %d", h.segment, h.pid, h.stripe)
			}
			if h.resource["process.executable.name"] != filepath.Base(os.Args[0]) {
				t.Errorf("the resource is %v", h.resource)
			}
		})
		if s := c.status(); s != fmt.Sprintf("hotpath tells a Collector of 5 series by io_uring, at %s; 1 measurements were refused; 1 calls for a series were rejected, the last because %s.", l.path, c.lastRejected) {
			t.Errorf("status is %q", s)
		}
	}
}

func TestMessagesOfManySeriesAreExact(t *testing.T) {
	l := newListener(t, 256) // much smaller than what is to be told
	c := l.client()
	const series = maxSeries + 10
	counters := make([]Counter, series)
	for i := range counters {
		counters[i] = c.counter(fmt.Sprint("many", i%7), WithAttributes(Int("i", int64(i)), String("long", "a value of some length, so that the socket is full at times")))
	}
	for round := range 3 {
		for i := range counters {
			counters[i].Add(uint64(i + round))
		}
	}
	eventually(t, "all series are told", func() (all bool) {
		l.last(func(h *heard) {
			total := uint64(0)
			for _, r := range h.series {
				total += h.words[uint32(r.Slot)]
			}
			all = total == 3*series*(series-1)/2+3*series
		})
		return all
	})
	l.last(func(h *heard) {
		for i := range maxSeries {
			name := fmt.Sprintf("many%d{i=%d,long=a value of some length, so that the socket is full at times}", i%7, i)
			if n := h.total(name); n != uint64(3*i+3) {
				t.Fatalf("%s is %d", name, n)
			}
		}
		if h.words[1<<30|1] != 10 || len(h.series) != maxSeries+7 {
			t.Errorf("%d folded, %d series", h.words[1<<30|1], len(h.series))
		}
	})
}

func TestMessagesAreToldInBatches(t *testing.T) {
	l := newListener(t, 4096)
	never := "2000000000" // microseconds
	c := l.client("HOTPATH_URING_BATCH", "10", "HOTPATH_URING_DELAY", never)
	counter := c.counter("adds")
	c.flush()
	l.knows("adds")
	toldAfter := func(adds, want int) {
		t.Helper()
		for range adds {
			counter.Add(1)
		}
		if n := l.now("adds"); n != uint64(want) {
			t.Errorf("after %d more adds %d are told, want %d", adds, n, want)
		}
	}
	toldAfter(9, 0)
	toldAfter(1, 10)
	toldAfter(9, 10)
	toldAfter(1, 20)
	toldAfter(5, 20)
	c.flush()
	toldAfter(0, 25)
	toldAfter(9, 25)
	toldAfter(1, 35)
	toldAfter(1000, 1035)
	l.last(func(h *heard) {
		if h.messages != 1+4+100 { // that it is complete, and one word each time
			t.Errorf("%d messages for 104 batches", h.messages)
		}
	})

	for _, settings := range [][]string{{"HOTPATH_URING_BATCH", "1", "HOTPATH_URING_DELAY", never}, {"HOTPATH_URING_DELAY", "0"}} {
		l = newListener(t, 4096)
		each := l.client(settings...)
		counter = each.counter("adds")
		l.knows("adds")
		for i := range 100 {
			toldAfter(1, i+1)
		}
	}
}

func TestWhatWaitsIsToldAfterTheDelay(t *testing.T) {
	l := newListener(t, 4096)
	c := l.client("HOTPATH_URING_DELAY", "30000")
	counter := c.counter("adds")
	l.knows("adds")
	for i := range 5 {
		time.Sleep(100 * time.Millisecond) // idle: the alarm has to be set anew
		counter.Add(1)
		before := time.Now()
		if n := l.now("adds"); n != uint64(i) && time.Since(before) < 20*time.Millisecond {
			t.Errorf("told at once: %d", n)
		}
		eventually(t, "the add is told", func() bool { return l.now("adds") == uint64(i+1) })
	}
	// Idle now: the alarm rings no more.
	time.Sleep(100 * time.Millisecond)
	if c.teller.(*messages).armed.Load() {
		t.Error("the alarm is set though nothing waits")
	}
}

func TestBadSettingsAreIgnoredAndTold(t *testing.T) {
	m, ignored := newMessages(func(name string) string {
		return map[string]string{"HOTPATH_URING_BATCH": "0", "HOTPATH_URING_DELAY": "soon", "HOTPATH_URING_SQPOLL": "-1"}[name]
	})
	if m.batch != 64 || m.delay != 10*time.Millisecond || m.polled || m.path != "/run/hotpath/io_uring.sock" || len(ignored) != 3 {
		t.Errorf("settings are %d, %v, %v, %s; ignored %v", m.batch, m.delay, m.polled, m.path, ignored)
	}
}
