package emit

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

var (
	requests = &Instrument{Name: "requests", Unit: "{request}", Description: "Requests served.", Kind: KindCounter}
	queue    = &Instrument{Name: "queue", Unit: "{request}", Kind: KindUpDownCounter}
	heat     = &Instrument{Name: "heat", Unit: "Cel", Kind: KindGauge}
	latency  = &Instrument{Name: "latency", Unit: "s", Kind: KindHistogram}
)

func text(key, value string) Attribute { return Attribute{Key: key, Type: AttributeString, Str: value} }

func shop() *Process {
	return &Process{Resource: []Attribute{text("service.name", "shop")}, Start: 100}
}

// build plays one batch, collected at 1000.
func build(t *testing.T, temporality pmetric.AggregationTemporality, play func(Sink)) (pmetric.ResourceMetricsSlice, int) {
	t.Helper()
	b := NewBuilder("1.2.3", temporality)
	b.Begin(1000)
	play(b)
	batch, points := b.Take()
	require.Equal(t, batch.DataPointCount(), points)
	return batch.ResourceMetrics(), points
}

const cumulative, delta = pmetric.AggregationTemporalityCumulative, pmetric.AggregationTemporalityDelta

func TestEachProcessIsAResourceWithOneMetricPerInstrument(t *testing.T) {
	get, put := &Series{Instrument: requests, Attributes: []Attribute{text("op", "get")}}, &Series{
		// Equal instruments need not be the same.
		Instrument: &Instrument{Name: "requests", Unit: "{request}", Kind: KindCounter}, Attributes: []Attribute{text("op", "put")},
	}
	other := shop()
	other.Resource = []Attribute{text("service.name", "bakery")}
	rms, points := build(t, cumulative, func(s Sink) {
		s.Process(shop())
		s.Counter(get, 1)
		s.Counter(put, 2)
		s.Gauge(&Series{Instrument: heat}, 3)
		s.Process(other)
		s.Counter(get, 4)
	})
	require.Equal(t, 4, points)
	require.Equal(t, 2, rms.Len())
	require.Equal(t, map[string]any{"service.name": "shop"}, rms.At(0).Resource().Attributes().AsRaw())
	require.Equal(t, map[string]any{"service.name": "bakery"}, rms.At(1).Resource().Attributes().AsRaw())
	require.Equal(t, 1, rms.At(0).ScopeMetrics().Len())
	scope := rms.At(0).ScopeMetrics().At(0)
	require.Equal(t, "github.com/hotpath-metrics/hotpath", scope.Scope().Name())
	require.Equal(t, "1.2.3", scope.Scope().Version())
	require.Equal(t, 2, scope.Metrics().Len())
	m := scope.Metrics().At(0)
	require.Equal(t, "requests", m.Name())
	require.Equal(t, "{request}", m.Unit())
	require.Equal(t, "Requests served.", m.Description())
	require.Equal(t, 2, m.Sum().DataPoints().Len())
	require.Equal(t, map[string]any{"op": "put"}, m.Sum().DataPoints().At(1).Attributes().AsRaw())
	require.Equal(t, 1, rms.At(1).ScopeMetrics().At(0).Metrics().Len())
}

func TestInstrumentsThatDifferInKindOrUnitAreMetricsOfTheirOwn(t *testing.T) {
	rms, _ := build(t, cumulative, func(s Sink) {
		s.Process(shop())
		s.Counter(&Series{Instrument: &Instrument{Name: "n", Kind: KindCounter}}, 1)
		s.UpDownCounter(&Series{Instrument: &Instrument{Name: "n", Kind: KindUpDownCounter}}, 1)
		s.UpDownCounter(&Series{Instrument: &Instrument{Name: "n", Unit: "By", Kind: KindUpDownCounter}}, 1)
	})
	require.Equal(t, 3, rms.At(0).ScopeMetrics().At(0).Metrics().Len())
}

func TestKinds(t *testing.T) {
	buckets := &[segment.HistogramBuckets]uint64{200: 3, 202: 1}
	for _, temporality := range []pmetric.AggregationTemporality{cumulative, delta} {
		rms, _ := build(t, temporality, func(s Sink) {
			p := shop()
			if temporality == delta {
				p.Since = 500
			}
			s.Process(p)
			s.Counter(&Series{Instrument: requests}, 7)
			s.UpDownCounter(&Series{Instrument: queue}, -7)
			s.Gauge(&Series{Instrument: heat}, 0.5)
			s.Histogram(&Series{Instrument: latency}, &HistogramValue{Sum: 2.5, ZeroCount: 2, Buckets: buckets})
		})
		since := map[pmetric.AggregationTemporality]int64{cumulative: 100, delta: 500}[temporality]
		metrics := rms.At(0).ScopeMetrics().At(0).Metrics()

		sum := metrics.At(0).Sum()
		require.True(t, sum.IsMonotonic())
		require.Equal(t, temporality, sum.AggregationTemporality())
		require.Equal(t, int64(7), sum.DataPoints().At(0).IntValue())
		require.Equal(t, timestamp(since), sum.DataPoints().At(0).StartTimestamp())
		require.Equal(t, timestamp(1000), sum.DataPoints().At(0).Timestamp())

		sum = metrics.At(1).Sum()
		require.False(t, sum.IsMonotonic())
		require.Equal(t, cumulative, sum.AggregationTemporality(), "levels have no delta")
		require.Equal(t, int64(-7), sum.DataPoints().At(0).IntValue())
		require.Equal(t, timestamp(100), sum.DataPoints().At(0).StartTimestamp())

		gauge := metrics.At(2).Gauge().DataPoints().At(0)
		require.Equal(t, 0.5, gauge.DoubleValue())
		require.Zero(t, gauge.StartTimestamp())

		require.Equal(t, temporality, metrics.At(3).ExponentialHistogram().AggregationTemporality())
		h := metrics.At(3).ExponentialHistogram().DataPoints().At(0)
		require.Equal(t, int32(3), h.Scale())
		require.Equal(t, int32(-40), h.Positive().Offset())
		require.Equal(t, []uint64{3, 0, 1}, h.Positive().BucketCounts().AsRaw())
		require.Equal(t, uint64(2), h.ZeroCount())
		require.Equal(t, uint64(6), h.Count())
		require.Equal(t, 2.5, h.Sum())
		require.Equal(t, timestamp(since), h.StartTimestamp())
	}
}

func TestCountersAboveInt64BecomeDoubles(t *testing.T) {
	rms, _ := build(t, cumulative, func(s Sink) {
		s.Process(shop())
		s.Counter(&Series{Instrument: requests}, math.MaxInt64)
		s.Counter(&Series{Instrument: requests}, math.MaxInt64+1)
	})
	points := rms.At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints()
	require.Equal(t, int64(math.MaxInt64), points.At(0).IntValue())
	require.Equal(t, pmetric.NumberDataPointValueTypeDouble, points.At(1).ValueType())
	require.Equal(t, 9223372036854775808.0, points.At(1).DoubleValue())
}

func TestSumsWithFractionsAreDoublesAndAMetricOfTheirOwn(t *testing.T) {
	seconds := &Instrument{Name: "time", Unit: "s", Kind: KindCounter, Double: true}
	whole := &Instrument{Name: "time", Unit: "s", Kind: KindCounter}
	load := &Instrument{Name: "load", Kind: KindUpDownCounter, Double: true}
	rms, points := build(t, cumulative, func(s Sink) {
		p := shop()
		s.Process(p)
		s.Sum(&Series{Instrument: seconds, Start: 400}, 0.5)
		s.Counter(&Series{Instrument: whole}, 1)
		s.Sum(&Series{Instrument: load}, -0.5)
		gone := *p
		gone.State = Gone
		s.Process(&gone)
		s.Sum(&Series{Instrument: seconds}, 0.5)
	})
	require.Equal(t, 4, points)
	metrics := rms.At(0).ScopeMetrics().At(0).Metrics()
	require.Equal(t, 3, metrics.Len())
	require.True(t, metrics.At(0).Sum().IsMonotonic())
	p := metrics.At(0).Sum().DataPoints().At(0)
	require.Equal(t, pmetric.NumberDataPointValueTypeDouble, p.ValueType())
	require.Equal(t, 0.5, p.DoubleValue())
	require.Equal(t, timestamp(400), p.StartTimestamp())
	require.Equal(t, pmetric.NumberDataPointValueTypeInt, metrics.At(1).Sum().DataPoints().At(0).ValueType())
	require.False(t, metrics.At(2).Sum().IsMonotonic())
	require.Equal(t, -0.5, metrics.At(2).Sum().DataPoints().At(0).DoubleValue())
	end := rms.At(1).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().At(0)
	require.True(t, end.Flags().NoRecordedValue())
	require.Equal(t, pmetric.NumberDataPointValueTypeEmpty, end.ValueType())
}

func TestOddHistograms(t *testing.T) {
	none := new([segment.HistogramBuckets]uint64)
	rms, points := build(t, cumulative, func(s Sink) {
		s.Process(shop())
		h := &Series{Instrument: latency}
		s.Histogram(h, &HistogramValue{Buckets: none})
		s.Histogram(h, &HistogramValue{Sum: math.NaN(), Buckets: &[segment.HistogramBuckets]uint64{0: 1, 511: 1}})
		s.Histogram(h, &HistogramValue{ZeroCount: 1, Buckets: &[segment.HistogramBuckets]uint64{3: math.MaxUint64}})
	})
	require.Equal(t, 2, points, "a count that overflows is dropped")
	h := rms.At(0).ScopeMetrics().At(0).Metrics().At(0).ExponentialHistogram().DataPoints()
	require.Zero(t, h.At(0).Count())
	require.True(t, h.At(0).HasSum())
	require.Zero(t, h.At(0).Positive().BucketCounts().Len())
	require.False(t, h.At(1).HasSum())
	require.Equal(t, int32(-240), h.At(1).Positive().Offset())
	require.Equal(t, 512, h.At(1).Positive().BucketCounts().Len())
}

func TestOfTheGoneOnlyTheEndIsTold(t *testing.T) {
	rms, points := build(t, cumulative, func(s Sink) {
		p := shop()
		p.State = Gone
		s.Process(p)
		s.Counter(&Series{Instrument: requests}, 7)
		s.UpDownCounter(&Series{Instrument: queue}, 7)
		s.Gauge(&Series{Instrument: heat}, 7)
		s.Histogram(&Series{Instrument: latency}, nil)
	})
	require.Equal(t, 4, points)
	metrics := rms.At(0).ScopeMetrics().At(0).Metrics()
	for _, p := range []pmetric.NumberDataPoint{
		metrics.At(0).Sum().DataPoints().At(0), metrics.At(1).Sum().DataPoints().At(0), metrics.At(2).Gauge().DataPoints().At(0),
	} {
		require.True(t, p.Flags().NoRecordedValue())
		require.Equal(t, pmetric.NumberDataPointValueTypeEmpty, p.ValueType())
	}
	require.True(t, metrics.At(3).ExponentialHistogram().DataPoints().At(0).Flags().NoRecordedValue())
}

func TestAProcessWithoutSeriesIsNoResource(t *testing.T) {
	rms, points := build(t, cumulative, func(s Sink) {
		s.Process(shop())
		s.Process(shop())
		s.Gauge(&Series{Instrument: heat}, 1)
		s.Process(shop())
		s.Histogram(&Series{Instrument: latency}, &HistogramValue{ZeroCount: 1, Buckets: &[segment.HistogramBuckets]uint64{math.MaxUint8: math.MaxUint64}})
		s.Process(shop())
	})
	require.Equal(t, 1, points)
	require.Equal(t, 1, rms.Len())
}

func TestTimes(t *testing.T) {
	for _, tt := range []struct {
		name        string
		process     Process
		start, time int64
	}{
		{"of the collection", Process{Start: 100}, 100, 1000},
		{"of the source", Process{Start: 100, Time: 900}, 100, 900},
		{"a start in the future is the time", Process{Start: 1001}, 1000, 1000},
		{"an interval that starts in the future is empty", Process{Start: 100, Since: 2000}, 1000, 1000},
		{"before 1970 is unknown", Process{Start: -1}, 0, 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rms, _ := build(t, cumulative, func(s Sink) {
				s.Process(&tt.process)
				s.Counter(&Series{Instrument: requests}, 1)
			})
			p := rms.At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().At(0)
			require.Equal(t, timestamp(tt.start), p.StartTimestamp())
			require.Equal(t, timestamp(tt.time), p.Timestamp())
		})
	}
}

func TestASeriesWithAStartOfItsOwnStartsThere(t *testing.T) {
	for _, tt := range []struct {
		name               string
		since, start       int64
		wantTotal, wantSum int64 // of what the temporality applies to, and of the updowncounter
	}{
		{"and not with its process", 0, 400, 400, 400},
		{"but a delta begins with its interval", 500, 400, 500, 400},
		{"but not in the future", 0, 1001, 1000, 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rms, _ := build(t, cumulative, func(s Sink) {
				p := shop()
				p.Since = tt.since
				s.Process(p)
				for _, start := range []int64{tt.start, 0} {
					s.Counter(&Series{Instrument: requests, Start: start}, 1)
				}
				s.UpDownCounter(&Series{Instrument: queue, Start: tt.start}, 1)
				s.Gauge(&Series{Instrument: heat, Start: tt.start}, 1)
				s.Histogram(&Series{Instrument: latency, Start: tt.start}, &HistogramValue{Buckets: new([segment.HistogramBuckets]uint64)})
			})
			metrics := rms.At(0).ScopeMetrics().At(0).Metrics()
			require.Equal(t, timestamp(tt.wantTotal), metrics.At(0).Sum().DataPoints().At(0).StartTimestamp())
			require.Equal(t, timestamp(max(tt.since, 100)), metrics.At(0).Sum().DataPoints().At(1).StartTimestamp(), "the next series")
			require.Equal(t, timestamp(tt.wantSum), metrics.At(1).Sum().DataPoints().At(0).StartTimestamp())
			require.Zero(t, metrics.At(2).Gauge().DataPoints().At(0).StartTimestamp())
			require.Equal(t, timestamp(tt.wantTotal), metrics.At(3).ExponentialHistogram().DataPoints().At(0).StartTimestamp())
		})
	}
}

// OTLP demands it, and a client that is interrupted between the two can show otherwise.
func TestAHistogramWithoutValuesHasNoSum(t *testing.T) {
	rms, _ := build(t, cumulative, func(s Sink) {
		s.Process(shop())
		for _, sum := range []float64{3, math.NaN(), math.Inf(1)} {
			s.Histogram(&Series{Instrument: latency}, &HistogramValue{Sum: sum, Buckets: new([segment.HistogramBuckets]uint64)})
		}
	})
	points := rms.At(0).ScopeMetrics().At(0).Metrics().At(0).ExponentialHistogram().DataPoints()
	for i := range points.Len() {
		p := points.At(i)
		require.True(t, p.HasSum())
		require.Zero(t, p.Sum())
		require.Zero(t, p.Count())
		require.Zero(t, p.ZeroCount())
		require.Equal(t, int32(segment.HistogramScale), p.Scale())
		require.Zero(t, p.Positive().BucketCounts().Len())
	}
}

func TestSeriesThatEndedHasAPointWithoutAValueAmongOthers(t *testing.T) {
	over := func(in *Instrument) *Series {
		return &Series{Instrument: in, Attributes: []Attribute{text("op", "put")}, Start: 400, Ended: true}
	}
	seconds := &Instrument{Name: "seconds", Kind: KindCounter, Double: true}
	for _, temporality := range []pmetric.AggregationTemporality{cumulative, delta} {
		rms, points := build(t, temporality, func(s Sink) {
			s.Process(shop())
			s.Counter(&Series{Instrument: requests}, 7)
			s.Counter(over(requests), 8)
			s.UpDownCounter(over(queue), -7)
			s.Gauge(over(heat), 0.5)
			s.Sum(over(seconds), 0.5)
			s.Histogram(over(latency), &HistogramValue{Sum: 2.5, ZeroCount: 2, Buckets: &[segment.HistogramBuckets]uint64{200: 3}})
			s.Counter(&Series{Instrument: requests, Attributes: []Attribute{text("op", "get")}}, 9)
		})
		require.Equal(t, 7, points)
		metrics := rms.At(0).ScopeMetrics().At(0).Metrics()
		sum := metrics.At(0).Sum().DataPoints()
		require.Equal(t, 2, sum.Len())
		require.Equal(t, int64(7), sum.At(0).IntValue())
		require.False(t, sum.At(0).Flags().NoRecordedValue())
		for _, p := range []pmetric.NumberDataPoint{
			sum.At(1), metrics.At(1).Sum().DataPoints().At(0), metrics.At(2).Gauge().DataPoints().At(0), metrics.At(3).Sum().DataPoints().At(0),
		} {
			require.True(t, p.Flags().NoRecordedValue())
			require.Equal(t, pmetric.NumberDataPointValueTypeEmpty, p.ValueType())
			require.Equal(t, map[string]any{"op": "put"}, p.Attributes().AsRaw())
			require.Equal(t, timestamp(1000), p.Timestamp())
		}
		require.Equal(t, timestamp(400), sum.At(1).StartTimestamp())
		h := metrics.At(4).ExponentialHistogram().DataPoints().At(0)
		require.True(t, h.Flags().NoRecordedValue())
		require.Zero(t, h.Count())
		require.Zero(t, h.Positive().BucketCounts().Len())
		require.Equal(t, int64(9), metrics.At(5).Sum().DataPoints().At(0).IntValue())
	}
}

// A source that finds a process unreadable goes from Live to Gone without Final.
func TestAProcessThatIsGoneAtOnceEndsEverySeriesThatItHad(t *testing.T) {
	p, s := shop(), &Series{Instrument: latency}
	b := NewBuilder("1", cumulative)
	b.Begin(1000)
	b.Process(p)
	b.Histogram(s, &HistogramValue{Sum: 1, ZeroCount: 1, Buckets: new([segment.HistogramBuckets]uint64)})
	first, _ := b.Take()
	b.Begin(2000)
	p.State = Gone
	b.Process(p)
	b.Histogram(s, &HistogramValue{Buckets: new([segment.HistogramBuckets]uint64)})
	second, _ := b.Take()
	value, end := first.ResourceMetrics().At(0), second.ResourceMetrics().At(0)
	require.Equal(t, value.Resource().Attributes().AsRaw(), end.Resource().Attributes().AsRaw())
	was := value.ScopeMetrics().At(0).Metrics().At(0).ExponentialHistogram().DataPoints().At(0)
	is := end.ScopeMetrics().At(0).Metrics().At(0).ExponentialHistogram().DataPoints().At(0)
	require.Equal(t, was.StartTimestamp(), is.StartTimestamp())
	require.Greater(t, is.Timestamp(), was.Timestamp())
	require.True(t, is.Flags().NoRecordedValue())
	require.Zero(t, is.Count())
	require.Zero(t, is.Sum())
}

func TestAttributes(t *testing.T) {
	rms, _ := build(t, cumulative, func(s Sink) {
		s.Process(&Process{})
		s.Gauge(&Series{Instrument: heat, Attributes: []Attribute{
			{Key: "bool", Type: AttributeBool, Bits: 1},
			{Key: "double", Type: AttributeDouble, Bits: math.Float64bits(-0.5)},
			{Key: "int", Type: AttributeInt, Bits: math.MaxUint64},
			text("string", "s"),
		}}, 1)
	})
	require.Equal(t, map[string]any{"bool": true, "double": -0.5, "int": int64(-1), "string": "s"},
		rms.At(0).ScopeMetrics().At(0).Metrics().At(0).Gauge().DataPoints().At(0).Attributes().AsRaw())
}

func TestABatchLeavesNothingToTheNext(t *testing.T) {
	b := NewBuilder("1", cumulative)
	s := &Series{Instrument: heat}
	b.Begin(1000)
	b.Process(shop())
	b.Gauge(s, 1)
	first, _ := b.Take()
	b.Begin(2000)
	b.Process(shop())
	b.Gauge(s, 2)
	second, points := b.Take()
	require.Equal(t, 1, points)
	require.Equal(t, 1, first.DataPointCount())
	require.Equal(t, 1, second.DataPointCount())
}
