package aggregate

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
)

const later = int64(10 * time.Second) // than everything measured here

var ample = MeasurementLimits{Processes: 1000, Series: 1000, SeriesPerUID: 1000}

// told collects, and returns the processes in order.
func told(m *Measurements) []*emittest.Process {
	var r emittest.Recorder
	m.Collect(&r, later)
	return r.Processes
}

// one is a table with one process and one stream without attributes.
func one(in emit.Instrument, factor float64) (*Measurements, func(Number) Refusal) {
	m := NewMeasurements(ample)
	s, p := m.Stream(in, nil, NewScale(factor)), m.Process(emit.Process{Owner: 7, Start: 1})
	return m, func(n Number) Refusal {
		s.Begin()
		return s.Record(p, n, 2)
	}
}

func TestMeasurementsBecomeRunningTotals(t *testing.T) {
	m := NewMeasurements(ample)
	attributed := func(kind string) *Stream { return m.Stream(*instruments[kind], []string{"op", "id"}, NewScale(1)) }
	streams := []*Stream{attributed("requests"), attributed("queue"), attributed("heat"), attributed("latency"), attributed("seconds"), attributed("load")}
	a, b := m.Process(emit.Process{Owner: 7, Start: 100}), m.Process(emit.Process{Owner: 8, Start: 200})
	for _, p := range []*Measured{a, b, a} {
		for _, s := range streams {
			for _, v := range []int64{3, 2} {
				s.Begin()
				s.PutString([]byte("get"))
				s.PutInt(-1)
				require.Empty(t, s.Record(p, Int(v), 300))
			}
		}
	}
	for range 2 { // nothing was committed
		processes := told(m)
		require.Len(t, processes, 2)
		first := processes[0]
		require.Equal(t, uint32(7), first.Info.Owner)
		require.Equal(t, int64(100), first.Info.Start)
		const set = "{id=-1,op=get}"
		require.Equal(t, uint64(10), first.Counters["requests"+set])
		require.Equal(t, int64(10), first.UpDownCounters["queue"+set])
		require.Equal(t, 2.0, first.Gauges["heat"+set])
		require.Equal(t, 10.0, first.Sums["seconds"+set])
		require.Equal(t, 10.0, first.Sums["load"+set])
		h := first.Histograms["latency"+set]
		require.Equal(t, uint64(4), h.Count)
		require.Equal(t, 10.0, h.Sum)
		three, _ := segment.BucketIndex(3)
		require.Equal(t, uint64(2), h.Buckets[three])
		require.Equal(t, uint64(5), processes[1].Counters["requests"+set])
	}
}

func TestNumbers(t *testing.T) {
	for _, tt := range []struct {
		instrument string
		factor     float64
		number     Number
		want       any // the total, or a Refusal
	}{
		{"requests", 1, Uint(math.MaxUint64), uint64(math.MaxUint64)},
		{"requests", 1, Int(0), uint64(0)},
		{"requests", 1, Int(-1), RefusedNegative},
		{"requests", 1, Float(1), RefusedNotInteger},
		{"requests", 1024, Uint(3), uint64(3072)},
		{"requests", 1024, Uint(1 << 60), RefusedTooLarge},
		{"queue", 1, Int(math.MinInt64 + 1), int64(math.MinInt64 + 1)},
		{"queue", -1, Int(-5), int64(5)},
		{"queue", -2, Uint(5), int64(-10)},
		{"queue", 1, Uint(1 << 63), RefusedTooLarge},
		{"queue", 4, Int(1 << 62), RefusedTooLarge},
		{"seconds", 1e-9, Uint(300_000_000), 0.3},
		{"seconds", 1e-9, Int(-1), RefusedNegative},
		{"seconds", 1, Float(0.25), 0.25},
		{"seconds", 1, Float(math.NaN()), RefusedNotFinite},
		{"seconds", 1, Float(math.Inf(1)), RefusedNotFinite},
		{"seconds", 1, Float(math.MaxFloat64), RefusedTooLarge},
		{"load", 0.1, Int(-3), -0.3},
		{"load", -1e-3, Int(5), -0.005},
		{"load", 1, Float(math.Inf(-1)), RefusedNotFinite},
		{"heat", 1e-9, Int(-700_000_000), -0.7},
		{"heat", 1.8, Int(-10), -18.0},
		{"heat", 1, Float(math.NaN()), RefusedNotFinite},
		{"heat", math.MaxFloat64, Int(10), RefusedNotFinite},
		{"latency", 1e-6, Uint(100_000), 0.1},
		{"latency", 1, Int(-1), RefusedNegative},
		{"latency", 1, Float(math.NaN()), RefusedNotFinite},
		{"latency", 1, Float(math.Inf(1)), RefusedNotFinite},
		{"latency", 1, Float(math.MaxFloat64), RefusedTooLarge},
	} {
		t.Run(fmt.Sprintf("%s %v of %+v", tt.instrument, tt.factor, tt.number), func(t *testing.T) {
			m, record := one(*instruments[tt.instrument], tt.factor)
			refusal := record(tt.number)
			if want, refused := tt.want.(Refusal); refused {
				require.Equal(t, want, refusal)
				return
			}
			require.Empty(t, refusal)
			p := told(m)[0]
			switch want := tt.want.(type) {
			case uint64:
				require.Equal(t, want, p.Counters[tt.instrument])
			case int64:
				require.Equal(t, want, p.UpDownCounters[tt.instrument])
			case float64:
				require.Equal(t, want, p.Sums[tt.instrument]+p.Gauges[tt.instrument]+p.Histograms[tt.instrument].Sum)
			}
		})
	}
}

func TestWhatIsRefusedBeginsNoSeries(t *testing.T) {
	m, record := one(*instruments["requests"], 1)
	require.Equal(t, RefusedNegative, record(Int(-1)))
	require.Empty(t, told(m))
}

func TestACounterStopsAtTheLargestNumber(t *testing.T) {
	m, record := one(*instruments["requests"], 1)
	record(Uint(math.MaxUint64))
	record(Uint(2))
	require.Equal(t, uint64(math.MaxUint64), told(m)[0].Counters["requests"])
}

// A million tenths, added up as they come, are 100000.00000133288.
func TestSumsOfFractionsDoNotDrift(t *testing.T) {
	for _, instrument := range []string{"seconds", "load", "latency"} {
		m, record := one(*instruments[instrument], 1e-3)
		for range 1_000_000 {
			record(Uint(100))
		}
		p := told(m)[0]
		require.Equal(t, 100_000.0, p.Sums[instrument]+p.Histograms[instrument].Sum)
	}
}

func TestZeroAndClampedValuesOfAHistogram(t *testing.T) {
	m, record := one(*instruments["latency"], 1)
	for _, v := range []float64{0, math.Copysign(0, -1), 1e-20, 1e20, 1} {
		require.Empty(t, record(Float(v)))
	}
	h := told(m)[0].Histograms["latency"]
	require.Equal(t, uint64(2), h.Zero)
	require.Equal(t, uint64(1), h.Buckets[0])
	require.Equal(t, uint64(1), h.Buckets[bucketOfOne])
	require.Equal(t, uint64(1), h.Buckets[511])
	require.Equal(t, uint64(5), h.Count)
}

func TestAttributesOfEveryTypeComeBack(t *testing.T) {
	m := NewMeasurements(ample)
	s := m.Stream(*instruments["heat"], []string{"z", "y", "x", "w", "v"}, NewScale(1))
	p := m.Process(emit.Process{})
	s.Begin()
	s.PutBool(true)
	s.PutDouble(0.5)
	s.PutNone()
	s.PutString([]byte("a\xffb"))
	s.PutInt(math.MinInt64)
	s.Record(p, Int(1), 1)
	require.Contains(t, told(m)[0].Gauges, "heat{v=-9223372036854775808,w=a\ufffdb,y=0.5,z=true}")
}

func TestLongTextIsCutAndThenTheSameSeries(t *testing.T) {
	m := NewMeasurements(ample)
	s := m.Stream(*instruments["requests"], []string{"k"}, NewScale(1))
	p := m.Process(emit.Process{})
	long := make([]byte, 70_000)
	for i := range long {
		long[i] = 'x'
	}
	for _, text := range [][]byte{long, long[:segment.MaxString], long[:segment.MaxString+1]} {
		s.Begin()
		s.PutString(text)
		s.Record(p, Int(1), 1)
	}
	counters := told(m)[0].Counters
	require.Equal(t, map[string]uint64{"requests{k=" + string(long[:segment.MaxString]) + "}": 3}, counters)
}

func TestStreamsOfOtherScalesAddUp(t *testing.T) {
	for _, instrument := range []string{"seconds", "latency"} {
		m := NewMeasurements(ample)
		p := m.Process(emit.Process{})
		for _, of := range []struct {
			factor float64
			number Number
		}{{1e-3, Uint(1500)}, {1e-6, Uint(250_000)}, {1, Float(0.25)}} {
			s := m.Stream(*instruments[instrument], nil, NewScale(of.factor))
			s.Begin()
			require.Empty(t, s.Record(p, of.number, 1))
		}
		got := told(m)[0]
		require.Equal(t, 2.0, got.Sums[instrument]+got.Histograms[instrument].Sum)
	}
}

// Two streams are two ways to the same series where their attributes are equal.
func TestStreamsOfOneInstrumentShareItsSeries(t *testing.T) {
	m := NewMeasurements(ample)
	one, two := m.Stream(*instruments["requests"], []string{"a"}, NewScale(1)), m.Stream(*instruments["requests"], []string{"b", "a"}, NewScale(10))
	p := m.Process(emit.Process{})
	one.Begin()
	one.PutInt(1)
	one.Record(p, Int(1), 1)
	for range 2 {
		two.Begin()
		two.PutNone()
		two.PutInt(1)
		two.Record(p, Int(1), 1)
	}
	two.Begin()
	two.PutInt(1)
	two.PutNone()
	two.Record(p, Int(1), 1)
	require.Equal(t, map[string]uint64{"requests{a=1}": 21, "requests{b=1}": 10}, told(m)[0].Counters)
}

func TestAProcessThatEndedIsToldOnceMoreThenNamedThenForgotten(t *testing.T) {
	m, record := one(*instruments["latency"], 1)
	record(Int(1))
	require.Equal(t, emit.Live, told(m)[0].Info.State)
	m.Commit()
	m.processes[0].End()
	for range 2 { // refused
		require.Equal(t, emit.Final, told(m)[0].Info.State)
	}
	m.Commit()
	for range 2 {
		p := told(m)[0]
		require.Equal(t, emit.Gone, p.Info.State)
		require.Contains(t, p.Histograms, "latency")
	}
	m.Commit()
	require.Empty(t, told(m))
	require.Empty(t, m.processes)
	require.Zero(t, m.series)
	require.Empty(t, m.owners)
}

func TestAProcessThatBeganAfterTheCollectionIsNotCommitted(t *testing.T) {
	m, record := one(*instruments["requests"], 1)
	told(m)
	m.Commit()
	record(Int(1))
	late := m.Process(emit.Process{})
	late.End()
	m.Commit()
	require.Len(t, m.processes, 2)
}

// The batch is a little older than the collection: a start behind its time would move.
func TestStartsLieBeforeTheBatch(t *testing.T) {
	m := NewMeasurements(ample)
	s := m.Stream(*instruments["requests"], []string{"k"}, NewScale(1))
	p := m.Process(emit.Process{Start: later})
	for i, at := range []int64{5, later} {
		s.Begin()
		s.PutInt(int64(i))
		s.Record(p, Int(1), at)
	}
	before := later - int64(time.Second)
	for _, now := range []int64{later, 2 * later} {
		var s startsOf
		m.Collect(&s, now)
		require.Equal(t, []int64{before, 5, before}, s.starts)
	}
}

// startsOf writes down the starts of processes and counters.
type startsOf struct {
	emittest.Discard
	starts []int64
}

func (s *startsOf) Process(p *emit.Process)               { s.starts = append(s.starts, p.Start) }
func (s *startsOf) Counter(series *emit.Series, _ uint64) { s.starts = append(s.starts, series.Start) }

func TestBeyondTheLimitMeasurementsAreFolded(t *testing.T) {
	for name, limits := range map[string]MeasurementLimits{
		"of all": {Processes: 1000, Series: 2, SeriesPerUID: 100}, "of one user": {Processes: 1000, Series: 100, SeriesPerUID: 2},
	} {
		t.Run(name, func(t *testing.T) {
			m := NewMeasurements(limits)
			s := m.Stream(*instruments["requests"], []string{"k"}, NewScale(1))
			p := m.Process(emit.Process{Owner: 7})
			put := func(p *Measured, i int64) {
				s.Begin()
				s.PutInt(i)
				require.Empty(t, s.Record(p, Int(1), 1))
			}
			put(p, 1)
			put(p, 2)
			require.False(t, m.Folded())
			for i := range int64(10) {
				put(p, i)
			}
			require.True(t, m.Folded())
			require.False(t, m.Folded())
			require.Equal(t, map[string]uint64{
				"requests{k=1}": 2, "requests{k=2}": 2, "requests{otel.metric.overflow=true}": 8,
			}, told(m)[0].Counters)

			other := m.Process(emit.Process{Owner: 8})
			put(other, 1)
			require.Equal(t, limits.SeriesPerUID == 2, told(m)[1].Counters["requests{k=1}"] == 1)

			p.End()
			m.Commit() // of the collection before
			for range 2 {
				told(m)
				m.Commit()
			}
			third := m.Process(emit.Process{Owner: 7})
			put(third, 1)
			require.Equal(t, map[string]uint64{"requests{k=1}": 1}, told(m)[1].Counters, "what ended leaves room")
		})
	}
}

func TestLongAttributesAndHistogramsCountForMore(t *testing.T) {
	m := NewMeasurements(MeasurementLimits{Processes: 1000, Series: 7, SeriesPerUID: 7})
	s := m.Stream(*instruments["requests"], []string{"a", "b"}, NewScale(1))
	p := m.Process(emit.Process{})
	s.Begin()
	s.PutString(make([]byte, 600))
	s.PutString(make([]byte, 600))
	s.Record(p, Int(1), 1)
	require.Equal(t, 2, m.series)
	h := m.Stream(*instruments["latency"], nil, NewScale(1))
	h.Begin()
	h.Record(p, Int(1), 1)
	require.Equal(t, 7, m.series)
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	for name, instrument := range instruments {
		m := NewMeasurements(ample)
		s := m.Stream(*instrument, []string{"id", "op"}, NewScale(1))
		p := m.Process(emit.Process{})
		measure := func() {
			s.Begin()
			s.PutInt(5)
			s.PutString([]byte("get"))
			s.Record(p, Int(3), 1)
		}
		measure()
		require.Zero(t, testing.AllocsPerRun(100, measure), name)
	}
}

func BenchmarkMeasurements(b *testing.B) {
	for _, name := range []string{"requests", "seconds", "heat", "latency"} {
		b.Run(name, func(b *testing.B) {
			m := NewMeasurements(MeasurementLimits{Processes: 1000, Series: 1 << 20, SeriesPerUID: 1 << 20})
			s := m.Stream(*instruments[name], []string{"worker", "op"}, NewScale(1))
			p := m.Process(emit.Process{})
			b.ReportAllocs()
			i := int64(0)
			for b.Loop() {
				i++
				s.Begin()
				s.PutInt(i & 15)
				s.PutInt(i & 7)
				s.Record(p, Int(i&1023), 1)
			}
		})
	}
}
