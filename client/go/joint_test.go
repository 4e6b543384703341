//go:build linux && (amd64 || arm64)

package hotpath

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

func TestWithUserEventsACallsAttributesMakeASeries(t *testing.T) {
	w := newFileOfEvents(t)
	c := writing(t, int(w.Fd()), nil)
	counter := c.counter("adds", WithUnit("{add}"), WithDescription("Adds."), WithAttributes(String("own", "o"), String("to", "outweighed")))
	balance, gauge, histogram := c.upDownCounter("balance"), c.gauge("level"), c.histogram("values")
	c.listen(true)

	counter.AddWith(3, String("to", "it"), Int("n", 1))
	e := w.only(t)
	if e.name != "adds{n=1,own=o,to=it}" || e.value != 3 || e.record.Unit != "{add}" || e.record.Description != "Adds." || e.record.Kind != segment.KindCounter {
		t.Errorf("the event is %+v", e)
	}
	counter.AddWith(4, Int("n", 1), String("to", "it")) // in another order
	if e := w.only(t); e.name != "adds{n=1,own=o,to=it}" || e.value != 7 || e.number != 2 {
		t.Errorf("the next event is %+v", e)
	}
	c.counter("adds", WithUnit("{add}"), WithAttributes(String("own", "o"), String("to", "it"), Int("n", 1))).Add(1)
	if e := w.only(t); e.value != 8 || e.number != 3 {
		t.Errorf("the event of a handle with the same attributes is %+v", e)
	}
	counter.AddWith(1, String("to", "outweighed"))
	if e := w.only(t); e.name != "adds{own=o,to=outweighed}" || e.value != 1 {
		t.Errorf("the event of the handle's own attributes is %+v", e)
	}
	balance.AddWith(-2, Bool("b", true))
	if e := w.only(t); e.name != "balance{b=true}" || int64(e.value) != -2 || e.record.Kind != segment.KindUpDownCounter {
		t.Errorf("the updowncounter's event is %+v", e)
	}
	gauge.SetWith(-2.5, String("k", "\xff"))
	if e := w.only(t); e.name != "level{k=\uFFFD}" || math.Float64frombits(e.value) != -2.5 || e.record.Kind != segment.KindGauge {
		t.Errorf("the gauge's event is %+v", e)
	}
	histogram.RecordWith(0, Float64("f", 0.5))
	if e := w.only(t); e.name != "values{f=0.5}" || e.zero != 1 || e.record.Kind != segment.KindHistogram {
		t.Errorf("the histogram's event is %+v", e)
	}

	var many []Attribute
	for i := range segment.MaxAttributes - 1 {
		many = append(many, Int(fmt.Sprint("k", i), 0))
	}
	counter.AddWith(1, many...) // with the handle's two
	counter.AddWith(1, Attribute{})
	histogram.RecordWith(-1, Int("n", 1))
	if all := w.events(t); all != nil {
		t.Errorf("refused measurements made %d events", len(all))
	}
	h := c.header.Load()
	if h.load(segment.OffRefused) != 3 || h.load(segment.OffRejected) != 0 || h.load(segment.OffUnrecorded) != 0 {
		t.Errorf("%d refused, %d rejected, %d unrecorded", h.load(segment.OffRefused), h.load(segment.OffRejected), h.load(segment.OffUnrecorded))
	}
}

func TestWithoutRingsMeasurementsWithAttributesAreExact(t *testing.T) {
	c := writing(t, int(newFileOfEvents(t).Fd()), nil)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	counter := c.counter("adds")
	const goroutines, each, sets = 8, 20_000, 100
	var group sync.WaitGroup
	for g := range goroutines {
		group.Go(func() {
			for i := range each {
				counter.AddWith(1, Int("set", int64(i%sets)), String("long", strings.Repeat("x", i%sets)))
				if g == 0 && i%500 == 0 {
					runtime.GOMAXPROCS(i/500%7 + 1)
				}
			}
		})
	}
	group.Wait()
	if len(c.made) != 1+sets || c.joints.used != sets {
		t.Errorf("%d series were made, %d are remembered", len(c.made), c.joints.used)
	}
	for i := range sets {
		made := c.counter("adds", WithAttributes(Int("set", int64(i)), String("long", strings.Repeat("x", i))))
		if n := total(c, made.cell); n != goroutines*each/sets {
			t.Errorf("set %d has %d", i, n)
		}
	}
	if len(c.made) != 1+sets {
		t.Error("handles made series of their own")
	}
}

func TestWithoutRingsAttributeSetsAreBounded(t *testing.T) {
	c := writing(t, int(newFileOfEvents(t).Fd()), nil)
	counter := c.counter("adds")
	const calls = maxSeries + 1000
	for range 2 {
		for i := range calls {
			counter.AddWith(1, Int("i", int64(i)))
		}
	}
	overflow := c.counter("adds", WithAttributes(Int("one", 1), Int("more", 1)))
	const own = maxSeries - 1 // beside the handle's
	if n := total(c, overflow.cell); n != 2*(calls-own) {
		t.Errorf("the overflow series has %d, want %d", n, 2*(calls-own))
	}
	if n := total(c, c.counter("adds", WithAttributes(Int("i", own-1))).cell); n != 2 {
		t.Errorf("the last series has %d", n)
	}
	overflow.AddWith(1, Int("whatever", 1))
	if n := total(c, overflow.cell); n != 2*(calls-own)+1 || len(c.made) != maxSeries+1 || c.joints.used != maxJoint {
		t.Errorf("the overflow series has %d, of %d series, and %d sets are remembered", n, len(c.made), c.joints.used)
	}
}

func TestWithoutRingsOnlyTheFirstMeasurementOfASetAllocates(t *testing.T) {
	c := writing(t, int(newFileOfEvents(t).Fd()), nil)
	counter, gauge, histogram := c.counter("a"), c.gauge("b"), c.histogram("c")
	if n := testing.AllocsPerRun(100, func() {
		counter.AddWith(1, String("method", "GET"), Int("code", 200))
		gauge.SetWith(1, Bool("b", true))
		histogram.RecordWith(1, Float64("load", 0.5))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTextsThatChangeLaterStayInTheirSeries(t *testing.T) {
	w := newFileOfEvents(t)
	c := writing(t, int(w.Fd()), nil)
	own, called := []byte("own"), []byte("called")
	text := func(b []byte) string { return unsafe.String(&b[0], len(b)) } // as some web frameworks hand them out
	counter := c.counter("adds", WithAttributes(String("own", text(own))))
	c.listen(true)
	for i := range uint64(3) {
		copy(called, "called")
		counter.AddWith(1, String("call", text(called)))
		copy(called, "xxxxxx")
		copy(own, "xxx")
		if e := w.only(t); e.name != "adds{call=called,own=own}" || e.value != i+1 {
			t.Fatalf("event %d is %+v", i, e)
		}
	}
	counter.AddWith(1, String("another", "one"))
	if e := w.only(t); e.name != "adds{another=one,own=own}" {
		t.Errorf("the event of other attributes is %+v", e)
	}
}

func TestMessagesCarryMeasurementsWithAttributes(t *testing.T) {
	l := newListener(t, 4096)
	c := l.client()
	counter := c.counter("adds", WithAttributes(String("own", "o")))
	for range 1000 {
		counter.AddWith(2, Int("n", 3))
	}
	c.flush()
	l.knows("adds{n=3,own=o}")
	l.last(func(h *heard) {
		if n := h.total("adds{n=3,own=o}"); n != 2000 {
			t.Errorf("counter is %d", n)
		}
	})
}
