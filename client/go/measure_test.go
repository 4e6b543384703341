//go:build linux && (amd64 || arm64)

package hotpath

import (
	"math"
	"runtime"
	"sync"
	"testing"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

func (c *client) counter(name string, o ...Option) Counter {
	return Counter{c.series(segment.KindCounter, name, o)}
}

func (c *client) gauge(name string, o ...Option) Gauge {
	return c.series(segment.KindGauge, name, o).gauge()
}

func (c *client) histogram(name string, o ...Option) Histogram {
	return Histogram{c.series(segment.KindHistogram, name, o)}
}

func TestTotalsAreExactWhileGOMAXPROCSChanges(t *testing.T) {
	inBothPlaces(t, func(t *testing.T, environment map[string]string) {
		c := fresh(environment)
		counter, histogram := c.counter("adds"), c.histogram("values")
		balance := UpDownCounter{c.series(segment.KindUpDownCounter, "balance", nil)}
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))

		const goroutines, each = 32, 50_000
		var group sync.WaitGroup
		stop := make(chan struct{})
		for g := range goroutines {
			group.Go(func() {
				for i := range each {
					counter.Add(3)
					histogram.Record(float64(i % 4))
					balance.Add(int64(g%2*2 - 1)) // half of them up, half of them down
					if i%1000 == 0 {
						runtime.Gosched()
					}
				}
				if g%2 == 0 {
					balance.Add(-5)
				}
			})
		}
		var switcher sync.WaitGroup
		switcher.Go(func() {
			for n := 1; ; n = n%13 + 1 {
				select {
				case <-stop:
					return
				default:
					runtime.GOMAXPROCS(n)
				}
			}
		})
		group.Wait()
		close(stop)
		switcher.Wait()

		p := c.read(t)
		if got := p.series["adds"].words[0]; got != 3*goroutines*each {
			t.Errorf("counter is %d, want %d", got, 3*goroutines*each)
		}
		if got := int64(p.series["balance"].words[0]); got != -5*goroutines/2 {
			t.Errorf("updowncounter is %d, want %d", got, -5*goroutines/2)
		}
		h := p.series["values"]
		if h.count() != goroutines*each || h.words[segment.HistogramZero] != goroutines*each/4 || h.sum != goroutines*each/4*6 {
			t.Errorf("histogram has count %d, %d zeros and sum %v", h.count(), h.words[segment.HistogramZero], h.sum)
		}
		if p.field(segment.OffStripesUsed) < 2 {
			t.Error("no P got a stripe")
		}
	})
}

func TestWithoutAStripePsCountTogether(t *testing.T) {
	dir := directoryOnTmpfs(t)
	c := fresh(in(dir))
	counter, histogram := c.counter("adds"), c.histogram("values")
	c.stripes.limit.Store(0)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := range 10_000 {
				counter.Add(1)
				histogram.Record(float64(i&1) * 1e11)
			}
		})
	}
	group.Wait()
	p := readOnly(t, dir)
	h := p.series["values"]
	if p.field(segment.OffStripesUsed) != 1 || p.series["adds"].words[0] != 80_000 {
		t.Errorf("%d in %d stripes", p.series["adds"].words[0], p.field(segment.OffStripesUsed))
	}
	if h.count() != 80_000 || h.words[segment.HistogramClamped] != 40_000 || h.sum != 40_000*1e11 {
		t.Errorf("histogram has count %d, %d clamped and sum %v", h.count(), h.words[segment.HistogramClamped], h.sum)
	}
}

func TestHistogramPutsEachValueWhereItBelongs(t *testing.T) {
	dir := directoryOnTmpfs(t)
	c := fresh(in(dir))
	h := c.histogram("values", WithUnit("s"))
	values := []float64{1, 1.5, 0, math.Copysign(0, -1), math.Ldexp(1, -30), 5e-324, math.Ldexp(1, 34), 1e300}
	for range 2 { // the first one in stripe 0, then in the P's own
		for _, v := range values {
			h.Record(v)
		}
	}
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, -5e-324} {
		h.Record(v)
	}
	p := readOnly(t, dir)
	got := p.series["values"]
	want := map[int]uint64{
		segment.HistogramZero:              4,
		segment.HistogramClamped:           6,
		segment.HistogramFirstBucket:       4,
		segment.HistogramFirstBucket + 239: 2, // 1 is an upper bound
		segment.HistogramFirstBucket + 244: 2, // 1.5 is between 2^(4/8) and 2^(5/8)
		segment.HistogramFirstBucket + 511: 4,
	}
	for i, n := range got.words {
		if i != segment.HistogramSum && n != want[i] {
			t.Errorf("word %d is %d, want %d", i, n, want[i])
		}
	}
	if got.sum != 2e300 {
		t.Errorf("sum is %v", got.sum)
	}
	if got.record.Slot%8 != 0 {
		t.Errorf("slot %d is not a multiple of 8", got.record.Slot)
	}
	if refused := p.field(segment.OffRefused); refused != 5 {
		t.Errorf("%d refused, want 5", refused)
	}
}

func TestGaugeKeepsItsLastValueAndIsUnsetBefore(t *testing.T) {
	dir := directoryOnTmpfs(t)
	c := fresh(in(dir))
	g := c.gauge("level")
	bits := func() uint64 { return readOnly(t, dir).series["level"].words[0] }
	if bits() != segment.GaugeUnset {
		t.Errorf("a new gauge holds %#x", bits())
	}
	for _, v := range []float64{1, -2.5, 0, math.Inf(-1)} {
		g.Set(v)
		if bits() != math.Float64bits(v) {
			t.Errorf("gauge holds %#x, want the bits of %v", bits(), v)
		}
	}
	g.Set(math.Float64frombits(segment.GaugeUnset))
	if b := bits(); b == segment.GaugeUnset || !math.IsNaN(math.Float64frombits(b)) {
		t.Errorf("a gauge set to NaN holds %#x", b)
	}
}

func TestZeroHandlesRefuse(t *testing.T) {
	NewCounter("some.counter")
	before := process.header.Load().load(segment.OffRefused)
	Counter{}.Add(1)
	UpDownCounter{}.Add(1)
	Gauge{}.Set(1)
	Histogram{}.Record(1)
	Histogram{}.Record(0)
	Histogram{}.Record(math.NaN())
	if n := process.header.Load().load(segment.OffRefused) - before; n != 6 {
		t.Errorf("%d measurements were refused, want 6", n)
	}
}

func TestNoMeasurementAllocates(t *testing.T) {
	c := fresh(in(directoryOnTmpfs(t)))
	counter, gauge, histogram := c.counter("a"), c.gauge("b"), c.histogram("c")
	if n := testing.AllocsPerRun(100, func() {
		counter.Add(1)
		gauge.Set(1)
		histogram.Record(1)
		histogram.Record(-1)
		Counter{}.Add(1)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
