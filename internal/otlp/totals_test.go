package otlp_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/hotpath-metrics/hotpath/internal/otlp"
)

func TestDeltasBecomeTotalsFromTheFirstStart(t *testing.T) {
	r := start(t, otlp.Config{Cumulative: true})
	r.add(delta("1", 10, 20, 3), delta("2", 12, 20, 100), delta("1", 20, 30, 4))
	want := []string{
		"{service.name=a}/shop{} n[] counter cumulative {worker=1} 10..30 7",
		"{service.name=a}/shop{} n[] counter cumulative {worker=2} 12..20 100",
	}
	r.wantCollected(want...)
	r.wantCollected(want...) // again, as nothing was accepted
	r.in.Commit()
	r.wantCollected()
	r.add(delta("1", 30, 40, 5))
	r.wantCollected("{service.name=a}/shop{} n[] counter cumulative {worker=1} 10..40 12")
	r.add(delta("1", 40, 50, 1))
	r.in.Commit() // not of what came since
	r.wantCollected("{service.name=a}/shop{} n[] counter cumulative {worker=1} 10..50 13")
	r.wantSkipped(map[string]int64{})
}

func TestTotalsThatChangeAfterTheyWereHandedOverAreHandedOverAgain(t *testing.T) {
	r := start(t, otlp.Config{Cumulative: true, PendingBytes: 100_000})
	r.add(delta("1", 10, 20, 3))
	r.collect()
	r.add(delta("1", 20, 30, 4))
	for range 1000 { // more than may wait, so that the one before is added
		r.add(delta("2", 10, 20, 1))
	}
	r.in.Commit()
	if got := r.collect(); len(got) != 2 || !strings.HasSuffix(got[0], "{worker=1} 10..30 7") {
		t.Errorf("collected %q", got)
	}
}

func TestDeltasAddUpInAnyOrder(t *testing.T) {
	r := start(t, otlp.Config{Cumulative: true})
	r.add(delta("1", 30, 40, 4), delta("1", 10, 20, 1), delta("1", 20, 30, 2))
	r.wantCollected("{service.name=a}/shop{} n[] counter cumulative {worker=1} 10..40 7")
	r.in.Commit()
	r.add(delta("1", 20, 25, 8))
	r.wantCollected("{service.name=a}/shop{} n[] counter cumulative {worker=1} 10..40 15")
	r.add(delta("1", 5, 10, 16)) // before the start that was told
	r.wantCollected("{service.name=a}/shop{} n[] counter cumulative {worker=1} 10..40 15")
	r.wantSkipped(map[string]int64{otlp.ReasonOutOfOrder: 1})
}

func TestEncodingsOfOneStreamAddUp(t *testing.T) {
	r := start(t, otlp.Config{Cumulative: true})
	for _, keys := range []string{"ab", "ba"} {
		r.add(build(func(m pmetric.Metric) {
			fillDelta(m, "1", 10, 20, 3)
			for _, k := range keys {
				m.Sum().DataPoints().At(0).Attributes().PutBool(string(k), true)
			}
		}))
	}
	r.wantCollected("{service.name=a}/shop{} n[] counter cumulative {a=true,b=true,worker=1} 10..20 6")
}

func TestWhatIsNoDeltaPassesBesideTotals(t *testing.T) {
	r := start(t, otlp.Config{Cumulative: true})
	r.add(build(func(m pmetric.Metric) {
		fillDelta(m, "1", 1, 2, 3)
		m.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	}), delta("1", 1, 2, 4), build(func(m pmetric.Metric) {
		m.SetName("g")
		m.SetEmptyGauge().DataPoints().AppendEmpty().SetDoubleValue(math.NaN())
	}))
	want := []string{
		"{service.name=a}/shop{} n[] counter cumulative {worker=1} 1..2 3",
		"{service.name=a}/shop{} g[] gauge unspecified {} 0..0 NaN",
		"{service.name=a}/shop{} n[] counter cumulative {worker=1} 1..2 4",
	}
	r.wantCollected(want...)
	r.wantCollected(want...)
	r.in.Commit()
	r.wantCollected()
}

func TestNumbersAddUpAsTheyCan(t *testing.T) {
	sum := func(monotonic bool, values ...any) []byte {
		return build(func(m pmetric.Metric) {
			m.SetName("n")
			s := m.SetEmptySum()
			s.SetIsMonotonic(monotonic)
			s.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
			for _, v := range values {
				p := s.DataPoints().AppendEmpty()
				p.SetTimestamp(5)
				switch v := v.(type) {
				case int:
					p.SetIntValue(int64(v))
				case float64:
					p.SetDoubleValue(v)
				case pmetric.DataPointFlags:
					p.SetIntValue(99)
					p.SetFlags(v)
				}
			}
		})
	}
	noValue := pmetric.DefaultDataPointFlags.WithNoRecordedValue(true)
	for _, c := range []struct {
		monotonic bool
		values    []any
		want      string
		invalid   int64
	}{
		{true, []any{1, 0.5}, "1.5", 0},
		{true, []any{0.5, 1}, "1.5", 0},
		{true, []any{math.MaxInt, 1}, "9.223372036854776e+18", 0},
		{false, []any{math.MinInt, -1}, "-9.223372036854776e+18", 0},
		{false, []any{3, -5, 1}, "-1", 0},
		{true, []any{3, -5, 1}, "4", 1},
		{true, []any{0.5, -0.25}, "0.5", 1},
		{true, []any{1.5, math.NaN(), math.Inf(1), nil}, "1.5", 3},
		{true, []any{1, noValue, 2}, "3", 0},
	} {
		r := start(t, otlp.Config{Cumulative: true})
		r.add(sum(c.monotonic, c.values...))
		got := r.collect()
		if len(got) != 1 || !strings.HasSuffix(got[0], " {} 5..5 "+c.want) || r.skipped[otlp.ReasonValue] != c.invalid {
			t.Errorf("%v: %q, skipped %v; want %s", c.values, got, r.skipped, c.want)
		}
	}
}

func histogram(from, to pcommon.Timestamp, bounds []float64, counts []uint64, change ...func(pmetric.HistogramDataPoint)) []byte {
	return build(func(m pmetric.Metric) {
		m.SetName("h")
		m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		p := m.Histogram().DataPoints().AppendEmpty()
		p.SetStartTimestamp(from)
		p.SetTimestamp(to)
		for _, n := range counts {
			p.SetCount(p.Count() + n)
		}
		p.SetSum(float64(p.Count()) / 2)
		p.SetMin(float64(from))
		p.SetMax(float64(to))
		p.ExplicitBounds().FromRaw(bounds)
		p.BucketCounts().FromRaw(counts)
		for _, f := range change {
			f(p)
		}
	})
}

func TestHistogramsAddUp(t *testing.T) {
	r := start(t, otlp.Config{Cumulative: true})
	r.add(histogram(2, 3, []float64{1, 2}, []uint64{1, 2, 3}), histogram(3, 4, []float64{1, 2}, []uint64{10, 0, 1}))
	r.wantCollected("{service.name=a}/shop{} h[] histogram cumulative {} 2..4 n=17 sum=true/8.5 min=true/2 max=true/4 [1 2] [11 2 4]")
	r.in.Commit()
	r.add(histogram(4, 5, []float64{1, 2}, []uint64{0, 1, 0}, func(p pmetric.HistogramDataPoint) {
		p.RemoveSum()
		p.RemoveMin()
		p.RemoveMax()
	}))
	r.wantCollected("{service.name=a}/shop{} h[] histogram cumulative {} 2..5 n=18 sum=false/0 min=false/0 max=false/0 [1 2] [11 3 4]")
}

func TestHistogramWithOtherBoundsStartsAgain(t *testing.T) {
	r := start(t, otlp.Config{Cumulative: true})
	r.add(histogram(2, 3, []float64{1}, []uint64{1, 2}), histogram(2, 4, []float64{9}, []uint64{5, 6}))
	r.wantCollected("{service.name=a}/shop{} h[] histogram cumulative {} 3..4 n=11 sum=true/5.5 min=true/2 max=true/4 [9] [5 6]")
}

func TestImpossibleHistogramsAreLeftOut(t *testing.T) {
	r := start(t, otlp.Config{Cumulative: true})
	good := histogram(2, 3, []float64{1}, []uint64{1, 2})
	r.add(good,
		histogram(3, 4, []float64{1}, []uint64{1}),
		histogram(3, 4, nil, []uint64{1, 2}),
		histogram(3, 4, []float64{1}, []uint64{1, 2}, func(p pmetric.HistogramDataPoint) { p.SetSum(math.NaN()) }),
		histogram(3, 4, []float64{1}, []uint64{1, 2}, func(p pmetric.HistogramDataPoint) { p.SetMax(math.NaN()) }))
	r.wantCollected("{service.name=a}/shop{} h[] histogram cumulative {} 2..3 n=3 sum=true/1.5 min=true/2 max=true/3 [1] [1 2]")
	r.wantSkipped(map[string]int64{otlp.ReasonValue: 4})
}

// exponential makes a delta that counts values as a histogram of a scale does: (2^(i/2^scale), 2^((i+1)/2^scale)].
func exponential(from, to pcommon.Timestamp, scale int32, positive, negative []int32, change ...func(pmetric.ExponentialHistogramDataPoint)) []byte {
	put := func(b pmetric.ExponentialHistogramDataPointBuckets, indexes []int32) {
		if len(indexes) == 0 {
			return
		}
		first, last := slices.Min(indexes), slices.Max(indexes)
		b.SetOffset(first)
		b.BucketCounts().FromRaw(make([]uint64, int(last)-int(first)+1))
		for _, i := range indexes {
			b.BucketCounts().SetAt(int(i-first), b.BucketCounts().At(int(i-first))+1)
		}
	}
	return build(func(m pmetric.Metric) {
		m.SetName("x")
		m.SetEmptyExponentialHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
		p := m.ExponentialHistogram().DataPoints().AppendEmpty()
		p.SetStartTimestamp(from)
		p.SetTimestamp(to)
		p.SetScale(scale)
		p.SetZeroCount(1)
		p.SetCount(uint64(1 + len(positive) + len(negative)))
		p.SetSum(1)
		put(p.Positive(), positive)
		put(p.Negative(), negative)
		for _, f := range change {
			f(p)
		}
	})
}

func TestExponentialHistogramsAddUpAtTheLowerScale(t *testing.T) {
	for _, c := range []struct {
		name     string
		requests [][]byte
		want     string
	}{
		{"one", [][]byte{exponential(1, 2, 3, []int32{-1, 2}, []int32{4})}, "n=4 sum=true/1 scale=3 zero=1 +-1[1 0 0 1] -4[1]"},
		{
			"apart",
			[][]byte{exponential(1, 2, 3, []int32{5}, nil), exponential(1, 2, 3, []int32{8}, []int32{-7})},
			"n=5 sum=true/2 scale=3 zero=2 +5[1 0 0 1] --7[1]",
		},
		{
			"lower",
			[][]byte{exponential(1, 2, 3, []int32{-3, -2, -1, 0, 1, 2}, nil), exponential(1, 2, 2, []int32{0}, nil)},
			"n=9 sum=true/2 scale=2 zero=2 +-2[1 2 3 1] -0[]",
		},
		{
			"higher",
			[][]byte{exponential(1, 2, -1, []int32{0}, nil), exponential(1, 2, 1, []int32{-4, 3, 4}, []int32{-1})},
			"n=7 sum=true/2 scale=-1 zero=2 +-1[1 2 1] --1[1]",
		},
		{
			"empty buckets",
			[][]byte{exponential(1, 2, 3, nil, nil, func(p pmetric.ExponentialHistogramDataPoint) {
				p.Positive().SetOffset(-400)
				p.Positive().BucketCounts().FromRaw(append(make([]uint64, 400), 1, 0, 0, 0))
			}), exponential(1, 2, 3, []int32{159}, nil)},
			"n=3 sum=true/2 scale=3 zero=2 +0[1" + strings.Repeat(" 0", 158) + " 1] -0[]",
		},
		{
			"only zeros keep the scale",
			[][]byte{exponential(1, 2, 5, []int32{7}, nil), exponential(1, 2, 0, nil, nil)},
			"n=3 sum=true/2 scale=5 zero=2 +7[1] -0[]",
		},
		{
			"zeros first",
			[][]byte{exponential(1, 2, 0, nil, nil), exponential(1, 2, 5, []int32{7}, nil)},
			"n=3 sum=true/2 scale=0 zero=2 +0[1] -0[]",
		},
	} {
		r := start(t, otlp.Config{Cumulative: true})
		r.add(c.requests...)
		if got, want := r.collect(), "{service.name=a}/shop{} x[] exponential cumulative {} 1..2 "+c.want; len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %q", c.name, got, want)
		}
	}
}

func TestExponentialHistogramsSpanBoundedBuckets(t *testing.T) {
	r := start(t, otlp.Config{Cumulative: true})
	far := func(offset int32) func(pmetric.ExponentialHistogramDataPoint) {
		return func(p pmetric.ExponentialHistogramDataPoint) { p.Positive().SetOffset(offset) }
	}
	r.add(exponential(1, 2, 20, []int32{0}, nil, far(-1074<<20)), exponential(1, 2, 20, []int32{0}, nil, far(1023<<20)),
		exponential(1, 2, 10, []int32{0, 200}, nil))
	r.collect()
	p := r.got.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).ExponentialHistogram().DataPoints().At(0)
	var n uint64
	for _, count := range p.Positive().BucketCounts().All() {
		n += count
	}
	if p.Positive().BucketCounts().Len() > 160 || n != 4 || p.Scale() != -4 {
		t.Errorf("%d values in %d buckets at scale %d", n, p.Positive().BucketCounts().Len(), p.Scale())
	}
	r.wantSkipped(map[string]int64{})
	for _, offset := range []int32{math.MinInt32, math.MaxInt32, 1025 << 10, -1076 << 10} {
		r.add(exponential(1, 2, 10, []int32{0}, nil, far(offset)))
	}
	r.add(exponential(1, 2, 21, nil, nil), exponential(1, 2, -11, nil, nil), exponential(1, 2, math.MaxInt32, []int32{1}, nil),
		exponential(1, 2, 0, nil, nil, func(p pmetric.ExponentialHistogramDataPoint) { p.SetZeroThreshold(math.NaN()) }))
	r.wantSkipped(map[string]int64{})
	r.collect()
	r.wantSkipped(map[string]int64{otlp.ReasonValue: 8})
}

func TestExponentialHistogramWithOtherZeroThresholdStartsAgain(t *testing.T) {
	r := start(t, otlp.Config{Cumulative: true})
	r.add(exponential(1, 2, 0, []int32{1}, nil), exponential(2, 3, 0, []int32{2}, nil,
		func(p pmetric.ExponentialHistogramDataPoint) { p.SetZeroThreshold(0.5) }))
	r.wantCollected("{service.name=a}/shop{} x[] exponential cumulative {} 2..3 n=2 sum=true/1 scale=0 zero=1 +2[1] -0[]")
}

func TestStreamsBeyondTheLimitAreLeftOut(t *testing.T) {
	r := start(t, otlp.Config{Cumulative: true, MaxSeries: 3})
	for i := range 10 {
		r.add(delta(fmt.Sprint(i), 1, 2, 1))
	}
	r.add(delta("0", 2, 3, 1))
	if got := r.collect(); len(got) != 3 || !strings.HasSuffix(got[0], "{worker=0} 1..3 2") {
		t.Errorf("collected %q", got)
	}
	r.wantSkipped(map[string]int64{otlp.ReasonSeriesLimit: 7})

	large := start(t, otlp.Config{Cumulative: true, MaxSeries: 3})
	large.add(delta(strings.Repeat("x", 5000), 1, 2, 1), histogram(1, 2, make([]float64, 1000), make([]uint64, 1001)), delta("0", 1, 2, 1))
	if got := large.collect(); len(got) != 1 {
		t.Errorf("collected %q", got)
	}
	large.wantSkipped(map[string]int64{otlp.ReasonSeriesLimit: 2})

	grown := start(t, otlp.Config{Cumulative: true, MaxSeries: 20})
	for _, bounds := range []int{1, 1000, 3000} {
		grown.add(histogram(1, 2, make([]float64, bounds), make([]uint64, bounds+1)))
	}
	for i := range 10 {
		grown.add(delta(fmt.Sprint(i), 1, 2, 1))
	}
	if got := grown.collect(); len(got) != 5 {
		t.Errorf("collected %q", got)
	}
	grown.wantSkipped(map[string]int64{otlp.ReasonSeriesLimit: 7})
}

func TestStreamsThatAreLeftOutTakeNothing(t *testing.T) {
	r := start(t, otlp.Config{Cumulative: true, MaxSeries: 1, PendingBytes: 100_000})
	r.add(delta("1", 1, 2, 1))
	r.collect()
	before := heap()
	for i := range 20_000 {
		r.add(build(func(m pmetric.Metric) {
			fillDelta(m, "1", 1, 2, 3)
			m.SetName(fmt.Sprint(i))
		}))
	}
	if held := heap() - before; held > 1<<20 {
		t.Errorf("%d bytes are held", held)
	}
	r.wantCollected("{service.name=a}/shop{} n[] counter cumulative {worker=1} 1..2 1")
	r.wantSkipped(map[string]int64{otlp.ReasonSeriesLimit: 20_000})
}

// What describes a stream that is left out counts against the limit no longer than it is there.
func TestStreamsThatAreLeftOutGiveTheirRoomBack(t *testing.T) {
	fat := strings.Repeat("x", 5<<10)
	for name, describe := range map[string]func(pmetric.ResourceMetrics){
		"resource": func(rm pmetric.ResourceMetrics) { rm.Resource().Attributes().PutStr("fat", fat) },
		"scope":    func(rm pmetric.ResourceMetrics) { rm.ScopeMetrics().At(0).Scope().SetName(fat) },
		"metric":   func(rm pmetric.ResourceMetrics) { rm.ScopeMetrics().At(0).Metrics().At(0).SetDescription(fat) },
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, otlp.Config{Cumulative: true, MaxSeries: 3})
			r.add(delta("1", 1, 2, 1))
			md := pmetric.NewMetrics()
			rm := md.ResourceMetrics().AppendEmpty()
			fillDelta(rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty(), "2", 1, 2, 1)
			describe(rm)
			r.add(marshal(md))
			r.collect()
			r.add(delta("3", 1, 2, 1), delta("4", 1, 2, 1), delta("5", 1, 2, 1))
			r.wantCollected(
				"{service.name=a}/shop{} n[] counter cumulative {worker=1} 1..2 1",
				"{service.name=a}/shop{} n[] counter cumulative {worker=3} 1..2 1",
				"{service.name=a}/shop{} n[] counter cumulative {worker=4} 1..2 1",
			)
			r.wantSkipped(map[string]int64{otlp.ReasonSeriesLimit: 2})
		})
	}
}

// One request with metrics that are refused before, between and behind others.
func TestStreamsBesideThoseThatAreLeftOutAreTaken(t *testing.T) {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	metrics := rm.ScopeMetrics().AppendEmpty().Metrics()
	for i, value := range []int64{-1, 1, -1, 2, -1} {
		m := metrics.AppendEmpty()
		fillDelta(m, "1", 1, 2, value) // a monotonic sum does not fall
		m.SetName(fmt.Sprint("n", i))
	}
	bad := rm.ScopeMetrics().AppendEmpty()
	bad.Scope().SetName("bad")
	fillDelta(bad.Metrics().AppendEmpty(), "1", 1, 2, -1)
	good := rm.ScopeMetrics().AppendEmpty()
	good.Scope().SetName("good")
	fillDelta(good.Metrics().AppendEmpty(), "1", 1, 2, 3)
	r := start(t, otlp.Config{Cumulative: true})
	r.add(marshal(md), marshal(md))
	want := []string{
		"{}/{} n1[] counter cumulative {worker=1} 1..2 2",
		"{}/{} n3[] counter cumulative {worker=1} 1..2 4",
		"{}/good{} n[] counter cumulative {worker=1} 1..2 6",
	}
	r.wantCollected(want...)
	r.wantSkipped(map[string]int64{otlp.ReasonValue: 8})
}

func TestIdleStreamsMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, otlp.Config{Cumulative: true, MaxSeries: 2, Idle: time.Minute})
		r.add(delta("1", 1, 2, 1), delta("2", 1, 2, 1))
		r.collect()
		time.Sleep(time.Hour) // refused meanwhile, so it is no time to forget them
		r.collect()
		r.in.Commit()
		r.in.Commit()
		r.add(delta("2", 2, 3, 5))
		r.wantCollected("{service.name=a}/shop{} n[] counter cumulative {worker=2} 2..3 5")
		r.in.Commit()
		time.Sleep(59 * time.Second)
		r.add(delta("3", 1, 2, 1), delta("4", 1, 2, 1))
		r.wantCollected("{service.name=a}/shop{} n[] counter cumulative {worker=3} 1..2 1")
		r.in.Commit()
		r.wantSkipped(map[string]int64{otlp.ReasonSeriesLimit: 1})
		time.Sleep(2 * time.Second)
		r.collect()
		r.in.Commit()
		r.add(delta("4", 1, 2, 1))
		r.wantCollected("{service.name=a}/shop{} n[] counter cumulative {worker=4} 1..2 1")
	})
}

// TestTotalsNeedNoRoomForPoints floods far beyond what may wait, between two collections.
func TestTotalsNeedNoRoomForPoints(t *testing.T) {
	r := start(t, otlp.Config{Cumulative: true, PendingBytes: 100_000})
	before := heap()
	for i := range 100_000 {
		r.add(delta(fmt.Sprint(i%10), pcommon.Timestamp(i+1), pcommon.Timestamp(i+2), 1))
	}
	if held := heap() - before; held > 1<<20 {
		t.Errorf("%d bytes are held", held)
	}
	got := r.collect()
	if len(got) != 10 || !strings.HasSuffix(got[9], "{worker=9} 10..100001 10000") {
		t.Errorf("collected %q", got)
	}
	r.wantSkipped(map[string]int64{})
}
