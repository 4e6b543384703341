//go:build linux && (amd64 || arm64)

package hotpath

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

func TestUpdatesOfWhatIsFoldedAreOfTheOverflowSeries(t *testing.T) {
	w := newFileOfEvents(t)
	c := writing(t, int(w.Fd()), nil)
	var last Counter
	for i := range maxSeries {
		last = c.counter("adds", WithAttributes(Int("n", int64(i))))
	}
	a, b := c.counter("adds", WithAttributes(Int("n", -1))), c.counter("adds", WithAttributes(Int("n", -2)))
	gauge := c.gauge("level", WithAttributes(Int("n", 1)))
	c.listen(true)
	last.Add(1)
	ordinary := w.only(t)
	a.Add(1)
	b.Add(2)
	all := w.events(t)
	if len(all) != 2 || all[1].name != "adds{otel.metric.overflow=true}" || all[1].value != 3 || all[1].number != 2 ||
		all[0].series != all[1].series || all[1].series == ordinary.series || all[1].record.Flags != segment.FlagOverflow {
		t.Errorf("the events of folded series are %+v", all)
	}
	gauge.Set(1)
	if e := w.only(t); e.name != "level{otel.metric.overflow=true}" || e.series == all[0].series {
		t.Errorf("the event of a folded gauge is %+v", e)
	}
}

// TestSeriesAreMadeAndUpdatedWhileListenersComeAndGo is for the race detector as well.
func TestSeriesAreMadeAndUpdatedWhileListenersComeAndGo(t *testing.T) {
	w := newFileOfEvents(t)
	c := writing(t, int(w.Fd()), nil)
	const goroutines, series = 4, 200
	var done atomic.Bool
	var listener, group sync.WaitGroup
	listener.Go(func() {
		for i := 0; !done.Load(); i++ {
			c.listen(i%2 == 0)
			_ = c.status()
		}
	})
	for range goroutines {
		group.Go(func() {
			for i := range series {
				c.counter(fmt.Sprint("adds", i)).Add(1)
				c.gauge(fmt.Sprint("level", i)).Set(float64(i))
				c.histogram(fmt.Sprint("values", i)).Record(1)
			}
		})
	}
	group.Wait()
	done.Store(true)
	listener.Wait()
	c.listen(true)
	w.events(t)
	got, numbers := collector{}, map[uint32]bool{}
	for i := range series {
		c.counter(fmt.Sprint("adds", i)).Add(0)
		c.gauge(fmt.Sprint("level", i)).Set(float64(i))
		c.histogram(fmt.Sprint("values", i)).Record(0)
	}
	for _, e := range w.events(t) {
		got.take(e)
		numbers[e.series] = true
	}
	if len(got) != 3*series || len(numbers) != 3*series {
		t.Fatalf("%d series with %d numbers were heard of, want %d", len(got), len(numbers), 3*series)
	}
	for i := range series {
		if n := got[fmt.Sprint("adds", i)].value; n != goroutines {
			t.Errorf("counter %d is %d, want %d", i, n, goroutines)
		}
		if v := math.Float64frombits(got[fmt.Sprint("level", i)].value); v != float64(i) {
			t.Errorf("gauge %d is %v", i, v)
		}
		if h := got[fmt.Sprint("values", i)]; h.count() != goroutines+1 || h.sum() != goroutines {
			t.Errorf("histogram %d has %d values with sum %v, want %d", i, h.count(), h.sum(), goroutines)
		}
	}
}

func TestUpdatesCarryExtremeValues(t *testing.T) {
	w := newFileOfEvents(t)
	c := writing(t, int(w.Fd()), nil)
	c.listen(true)
	counter, balance, gauge := c.counter("adds"), UpDownCounter{c.series(segment.KindUpDownCounter, "balance", nil)}, c.gauge("level")
	counter.Add(math.MaxUint64)
	if e := w.only(t); e.value != math.MaxUint64 {
		t.Errorf("the counter is %d", e.value)
	}
	balance.Add(math.MinInt64)
	if e := w.only(t); int64(e.value) != math.MinInt64 {
		t.Errorf("the updowncounter is %d", int64(e.value))
	}
	for _, v := range []float64{math.Inf(1), math.Inf(-1), math.Copysign(0, -1), math.MaxFloat64, -math.SmallestNonzeroFloat64} {
		gauge.Set(v)
		if e := w.only(t); e.value != math.Float64bits(v) {
			t.Errorf("the gauge of %v is %v", v, math.Float64frombits(e.value))
		}
	}
	gauge.Set(math.Float64frombits(segment.GaugeUnset))
	if e := w.only(t); !math.IsNaN(math.Float64frombits(e.value)) || e.value == segment.GaugeUnset {
		t.Errorf("the gauge of the NaN that says unset is %#x", e.value)
	}
	h := c.histogram("values")
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1} {
		h.Record(v)
	}
	if n := c.header.Load().load(segment.OffRefused); n != 4 || w.events(t) != nil {
		t.Errorf("%d values were refused, want 4 and no event", n)
	}
	h.Record(math.MaxFloat64)
	if e := w.only(t); e.first != segment.HistogramBuckets-1 || len(e.buckets) != 1 || math.Float64frombits(e.value) != math.MaxFloat64 {
		t.Errorf("the histogram's event of the largest value is %+v", e)
	}
}

// TestTheLastSetOfAGaugeHasTheHighestNumber sets from everywhere: whatever stays is what the highest number says.
func TestTheLastSetOfAGaugeHasTheHighestNumber(t *testing.T) {
	w := newFileOfEvents(t)
	c := writing(t, int(w.Fd()), nil)
	gauge := c.gauge("level")
	c.listen(true)
	for range 2_000 {
		var group sync.WaitGroup
		for g := range 4 {
			group.Go(func() {
				for i := range 3 {
					gauge.Set(float64(g*100 + i))
				}
			})
		}
		group.Wait()
		got := collector{}
		for _, e := range w.events(t) {
			got.take(e)
		}
		if last := *(*float64)(gauge.cell.word); got["level"].sum() != last {
			t.Fatalf("the highest number says %v, the gauge is %v", got["level"].sum(), last)
		}
	}
}
