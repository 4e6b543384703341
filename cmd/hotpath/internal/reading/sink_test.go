package reading

import (
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// began is when the processes of these tests start; their readings come an hour later.
var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func process(service string, pid uint64) *emit.Process {
	return &emit.Process{Start: began.UnixNano(), Resource: []emit.Attribute{
		{Key: "process.executable.name", Type: emit.AttributeString, Str: service + ".exe"},
		{Key: "process.pid", Type: emit.AttributeInt, Bits: pid},
		{Key: "service.name", Type: emit.AttributeString, Str: service},
	}}
}

func series(kind emit.Kind, name string) *emit.Series {
	return &emit.Series{Instrument: &emit.Instrument{Name: name, Kind: kind}, ID: name}
}

// after makes a reading two seconds after another.
func after(before *Reading, collect func(emit.Sink)) *Reading {
	return chosen(Choice{}, before, collect)
}

func chosen(choice Choice, before *Reading, collect func(emit.Sink)) *Reading {
	s := newSink(choice, before)
	s.reading.Time = began.Add(time.Hour)
	if before != nil {
		s.reading.Interval = 2 * time.Second
		s.reading.Time = before.Time.Add(s.reading.Interval)
	}
	collect(s)
	return s.reading
}

func TestTotalsHaveRatesFromTheSecondReadingOn(t *testing.T) {
	p := process("shop", 7)
	counter, updown, double, gauge := series(emit.KindCounter, "c"), series(emit.KindUpDownCounter, "u"), series(emit.KindCounter, "d"), series(emit.KindGauge, "g")
	double.Instrument.Double = true
	collect := func(n uint64, i int64, f float64) func(emit.Sink) {
		return func(s emit.Sink) {
			s.Process(p)
			s.Counter(counter, n)
			s.UpDownCounter(updown, i)
			s.Sum(double, f)
			s.Gauge(gauge, f)
		}
	}
	first := after(nil, collect(math.MaxUint64-10, 5, 1))
	for _, s := range first.Processes[0].Series {
		assert.False(t, s.HasRate, s.Instrument.Name)
	}
	second := after(first, collect(math.MaxUint64, -3, 2.5))
	require.Len(t, second.Processes, 1)
	got := second.Processes[0]
	assert.Equal(t, []any{"shop", "shop.exe", int64(7), began, false}, []any{got.Service, got.Command, got.PID, got.Start, got.Ended})
	assert.Equal(t, uint64(math.MaxUint64), got.Series[0].Counter)
	assert.Equal(t, []float64{5, -4, 0.75, 0}, []float64{got.Series[0].Rate, got.Series[1].Rate, got.Series[2].Rate, got.Series[3].Rate})
	assert.False(t, got.Series[3].HasRate, "a gauge has none")
	assert.Equal(t, float32(5), got.Series[0].Trend[History-1])
	assert.True(t, math.IsNaN(float64(got.Series[0].Trend[History-2])))
	assert.Equal(t, []float32{1, 2.5}, got.Series[3].Trend[History-2:], "the values of a gauge")
}

func TestWhatBeganSinceTheReadingBeforeHasARateAtOnce(t *testing.T) {
	old, young, late := process("old", 1), process("young", 2), process("late", 3)
	known, added := series(emit.KindCounter, "known"), series(emit.KindCounter, "added")
	first := after(nil, func(s emit.Sink) {
		s.Process(old)
		s.Counter(known, 100)
	})
	young.Start = first.Time.Add(time.Second).UnixNano()
	second := after(first, func(s emit.Sink) {
		s.Process(old)
		s.Counter(added, 8) // in another order
		s.Counter(known, 104)
		s.Process(young)
		s.Counter(series(emit.KindCounter, "c"), 6)
		s.Process(late)
		s.Counter(series(emit.KindCounter, "c"), 1000)
	})
	assert.Equal(t, 4.0, second.Processes[0].Series[0].Rate)
	assert.Equal(t, 2.0, second.Processes[0].Series[1].Rate)
	assert.Equal(t, 3.0, second.Processes[1].Series[0].Rate)
	assert.False(t, second.Processes[2].Series[0].HasRate, "it may have counted for long before it could be seen")
}

func TestEndedProcessesAreMarkedAndGoneOnesLeftOut(t *testing.T) {
	final, gone := process("a", 1), process("b", 2)
	final.State, gone.State = emit.Final, emit.Gone
	c := series(emit.KindCounter, "c")
	r := after(nil, func(s emit.Sink) {
		s.Process(final)
		s.Counter(c, 3)
		s.Process(gone)
		s.Counter(c, 0)
		s.UpDownCounter(c, 0)
		s.Sum(c, 0)
		s.Gauge(c, 0)
		s.Histogram(c, &emit.HistogramValue{Buckets: &[segment.HistogramBuckets]uint64{}})
	})
	require.Len(t, r.Processes, 1)
	assert.True(t, r.Processes[0].Ended)
	assert.Equal(t, 1, r.Series())
}

func TestOnlyChosenProcessesAreKept(t *testing.T) {
	collect := func(s emit.Sink) {
		for pid, service := range []string{"a", "b", "a"} {
			s.Process(process(service, uint64(pid)))
			s.Counter(series(emit.KindCounter, "c"), 1)
		}
	}
	for _, tt := range []struct {
		choice Choice
		want   []int64
	}{
		{Choice{}, []int64{0, 1, 2}},
		{Choice{Services: []string{"a"}}, []int64{0, 2}},
		{Choice{Services: []string{"a"}, PIDs: []int64{2, 1}}, []int64{2}},
		{Choice{Commands: []string{"b.exe"}}, []int64{1}},
		{Choice{Services: []string{"c"}}, nil},
	} {
		var pids []int64
		for _, p := range chosen(tt.choice, nil, collect).Processes {
			pids = append(pids, p.PID)
		}
		assert.Equal(t, tt.want, pids, "%+v", tt.choice)
	}
}

func record(values ...float64) *emit.HistogramValue {
	v := &emit.HistogramValue{Buckets: &[segment.HistogramBuckets]uint64{}}
	for _, value := range values {
		v.Sum += value
		if value == 0 {
			v.ZeroCount++
			continue
		}
		i, _ := segment.BucketIndex(value)
		v.Buckets[i]++
	}
	return v
}

func TestPercentilesAreOfWhatWasRecordedSinceOrElseOfAll(t *testing.T) {
	p, h := process("shop", 1), series(emit.KindHistogram, "h")
	var all []float64
	read := func(before *Reading, more ...float64) *Reading {
		all = append(all, more...)
		return after(before, func(s emit.Sink) {
			s.Process(p)
			s.Histogram(h, record(all...))
		})
	}
	hundred := func(value float64) (values []float64) {
		for range 100 {
			values = append(values, value)
		}
		return values
	}
	near := func(want, got float64) { t.Helper(); assert.InEpsilon(t, want, got, 0.1) }

	first := read(nil)
	assert.True(t, math.IsNaN(first.Processes[0].Series[0].Records.Percentiles.P50), "none of nothing")
	second := read(first, hundred(0.001)...)
	got := second.Processes[0].Series[0]
	assert.EqualValues(t, 100, got.Counter)
	assert.Equal(t, 50.0, got.Rate)
	near(0.001, got.Records.Percentiles.P50)
	near(0.001, got.Records.Percentiles.P99)

	third := read(second, append(hundred(10)[:50], 1000)...)
	got = third.Processes[0].Series[0]
	near(10, got.Records.Percentiles.P50)
	near(10, got.Records.Percentiles.P90)

	fourth := read(third)
	got = fourth.Processes[0].Series[0]
	assert.Zero(t, got.Rate)
	near(0.001, got.Records.Percentiles.P50)
	near(10, got.Records.Percentiles.P90)
	assert.InDelta(t, 0.1+500+1000, got.Records.Sum, 1e-6)

	fifth := read(fourth, 0, 0, 0)
	assert.Zero(t, fifth.Processes[0].Series[0].Records.Percentiles.P99, "only zeros came")
}

func TestPercentilesAgreeWithTheValues(t *testing.T) {
	var values []float64
	for i := range 10_000 {
		values = append(values, 0.001*math.Pow(1.001, float64(i)))
	}
	v := record(values...)
	low, high := v.Span()
	got := percentiles(v.ZeroCount, v.Buckets[low:high], segment.HistogramOffset+low)
	assert.InEpsilon(t, values[5000], got.P50, 0.01)
	assert.InEpsilon(t, values[9000], got.P90, 0.01)
	assert.InEpsilon(t, values[9900], got.P99, 0.01)
}

func TestAWriterThatTakesCountsBackMakesNoNonsense(t *testing.T) {
	p, c, h := process("liar", 1), series(emit.KindCounter, "c"), series(emit.KindHistogram, "h")
	first := after(nil, func(s emit.Sink) {
		s.Process(p)
		s.Counter(c, 10)
		s.Histogram(h, record(0, 1, 1, 1))
	})
	second := after(first, func(s emit.Sink) {
		s.Process(p)
		s.Counter(c, 9)
		s.Histogram(h, record(1, 100, 100, 100, 100))
	})
	assert.False(t, second.Processes[0].Series[0].HasRate)
	got := second.Processes[0].Series[1].Records
	assert.InEpsilon(t, 100, got.Percentiles.P50, 0.1)
}

func TestReadingsKeepNothingOfThoseBefore(t *testing.T) {
	p, c := process("shop", 1), series(emit.KindCounter, "c")
	freed := make(chan struct{})
	read := func(before *Reading) *Reading {
		return after(before, func(s emit.Sink) {
			s.Process(p)
			s.Counter(c, 1)
		})
	}
	third := func() *Reading {
		first := read(nil)
		runtime.AddCleanup(first, func(freed chan struct{}) { close(freed) }, freed)
		return read(read(first))
	}()
	require.Eventually(t, func() bool {
		runtime.GC()
		select {
		case <-freed:
			return true
		default:
			return false
		}
	}, 10*time.Second, 10*time.Millisecond)
	runtime.KeepAlive(third)
}
