package segments

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/quota"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
	"github.com/hotpath-metrics/hotpath/internal/source/segments/segmentstest"
)

// One series of every kind, with an attribute of its own.
var (
	own     = segmenttest.Str("own", "o")
	calls   = segmenttest.Counter(1, "calls", own)
	open    = segmenttest.UpDownCounter(2, "open", own)
	depth   = segmenttest.Gauge(1, "depth", own)
	latency = segmenttest.Histogram(8, "latency", own)
)

// recording is a segment with those series and two rings.
func recording(id uint64) segmenttest.Segment {
	s := segmentstest.Requests(id)
	s.Records = []segmenttest.Record{s.Records[0], calls, open, depth, latency}
	s.RingCount, s.RingsUsed = 2, 2
	return s
}

func str(key, value string) emit.Attribute { return segmenttest.Str(key, value) }

func TestMeasurementsAreSeriesWithTheAttributesOfTheCall(t *testing.T) {
	f := setUp(t)
	live := f.publish("a", recording(1))
	one, other := live.Ring(0), live.Ring(1)
	a, b := str("a", "1"), str("b", "2")
	one.Record(calls.Of(3, b, a))
	other.Record(calls.Of(4, a, b))
	one.Record(calls.Of(5, str("own", "call")))
	one.Record(open.Of(^uint64(0), a))
	other.Record(open.Of(4, a))
	one.Record(depth.OfDouble(1.5, 20, a))
	one.Record(depth.OfDouble(2.5, 10, a))
	other.Record(depth.OfDouble(3.5, 19, a))
	for _, v := range []float64{0, 1, 1, 2, 1e20, 1e-20} {
		one.Record(latency.OfDouble(v, 0, a))
	}
	p := f.one()
	assert.Equal(t, map[string]uint64{"calls,own=o": 0, "calls,a=1,b=2,own=o": 7, "calls,own=call": 5}, p.Counters)
	assert.Equal(t, map[string]int64{"open,own=o": 0, "open,a=1,own=o": 3}, p.Sums)
	assert.Equal(t, map[string]float64{"depth,own=o": 0, "depth,a=1,own=o": 1.5}, p.Gauges)
	assert.Equal(t, segmentstest.Histogram{Sum: 4 + 1e20 + 1e-20, Zero: 1, Buckets: map[int]uint64{0: 1, 239: 2, 247: 1, 511: 1}}, p.Histograms["latency,a=1,own=o"])
	assert.Equal(t, map[string]int64{"read": 14}, f.tel.Measurements)

	f.set.Commit()
	other.Record(calls.Of(10, a, b))
	assert.EqualValues(t, 17, f.one().Counters["calls,a=1,b=2,own=o"])
}

func TestMeasurementWithTheAttributesOfASeriesIsPartOfIt(t *testing.T) {
	f := setUp(t)
	s := recording(1)
	s.Records = append(s.Records, segmenttest.Counter(600, "calls", str("a", "1"), own), segmenttest.Gauge(2, "depth", str("a", "1"), own))
	live := f.publish("a", s)
	ring := live.Ring(0)
	live.Word(segmenttest.StripeWord(0, 600)).Store(100)
	live.Word(segmenttest.StripeWord(0, 1)).Store(1000)
	live.Word(segmenttest.SharedWord(2)).Store(math.Float64bits(7))
	live.Word(segmenttest.SharedWord(1)).Store(layout.GaugeUnset)
	ring.Record(calls.Of(5, str("a", "1")))
	ring.Record(calls.Of(6))
	p := f.one()
	assert.Equal(t, map[string]uint64{"calls,a=1,own=o": 105, "calls,own=o": 1006}, p.Counters)
	assert.Equal(t, map[string]float64{"depth,a=1,own=o": 7}, p.Gauges)
	ring.Record(depth.OfDouble(8, 1, str("a", "1")))
	ring.Record(calls.Of(1, str("a", "2")))
	assert.Equal(t, map[string]float64{"depth,a=1,own=o": 8}, f.one().Gauges, "what was recorded wins")

	live.Add(segmenttest.Counter(601, "calls", str("a", "2"), own))
	live.Word(segmenttest.StripeWord(0, 601)).Store(50)
	p = f.one()
	assert.EqualValues(t, 51, p.Counters["calls,a=2,own=o"], "one that is made later joins")
	assert.Len(t, p.Counters, 3)
}

func TestMeasurementsOfTheSegmentsOfAProcessAddUp(t *testing.T) {
	f := setUp(t)
	for id := range uint64(2) {
		live := f.publish(fmt.Sprint(id), recording(id))
		live.Ring(0).Record(calls.Of(5, str("a", "1")))
		live.Ring(0).Record(depth.OfDouble(float64(id), 100-id, str("a", "1")))
		live.Ring(0).Record(latency.OfDouble(1, 0, str("a", "1")))
	}
	p := f.one()
	assert.EqualValues(t, 10, p.Counters["calls,a=1,own=o"])
	assert.EqualValues(t, 0, p.Gauges["depth,a=1,own=o"])
	assert.Equal(t, segmentstest.Histogram{Sum: 2, Buckets: map[int]uint64{239: 2}}, p.Histograms["latency,a=1,own=o"])
}

func TestMeasurementOfAnOverflowSeriesIsPartOfIt(t *testing.T) {
	f := setUp(t)
	s := recording(1)
	folded := segmenttest.Counter(600, "calls")
	folded.Flags = layout.FlagOverflow
	s.Records = append(s.Records, folded)
	ring := f.publish("a", s).Ring(0)
	for i := range 100 {
		ring.Record(folded.Of(1, segmenttest.Int("n", int64(i))))
	}
	assert.Equal(t, map[string]uint64{"calls,own=o": 0, "calls,otel.metric.overflow=": 100}, f.one().Counters)
	assert.Equal(t, map[string]int64{"read": 100}, f.tel.Measurements)
}

func TestMeasurementsThatAreNotTakenAreCounted(t *testing.T) {
	f := setUp(t)
	ring := f.publish("a", recording(1)).Ring(0)
	ring.Record(segmenttest.Counter(77, "").Of(1))
	ring.Record(segmenttest.Gauge(2, "").Of(1))
	ring.Record(segmenttest.UpDownCounter(1, "").Of(1)) // a counter is there
	ring.Record(segmenttest.Measurement{Kind: 9})
	ring.Record(calls.Of(1, str("", "v")))
	ring.Record(calls.Of(1, emit.Attribute{Key: "k", Type: 9}))
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, math.Copysign(0, -1)} {
		ring.Record(latency.OfDouble(v, 0))
	}
	ring.Record(calls.Of(1))
	ring.Raw([]uint64{1, 2}, 0)
	ring.Record(calls.Of(2))
	p := f.one()
	assert.Equal(t, map[string]uint64{"calls,own=o": 2}, p.Counters)
	// What came before the damage is lost; that itself has no number.
	assert.Equal(t, map[string]int64{"read": 1, "malformed": 1}, f.tel.Measurements)

	ring.Record(segmenttest.Counter(77, "").Of(1))
	ring.Record(segmenttest.Gauge(2, "").Of(1))
	ring.Record(segmenttest.UpDownCounter(1, "").Of(1))
	ring.Record(segmenttest.Measurement{Kind: 9})
	ring.Record(calls.Of(1, str("", "v")))
	ring.Record(calls.Of(1, emit.Attribute{Key: "k", Type: 9}))
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, math.Copysign(0, -1)} {
		ring.Record(latency.OfDouble(v, 0))
	}
	ring.Record(calls.Of(1))
	p = f.one()
	assert.Equal(t, map[string]uint64{"calls,own=o": 3}, p.Counters)
	assert.Equal(t, segmentstest.Histogram{Zero: 1, Buckets: map[int]uint64{}}, p.Histograms["latency,own=o"])
	assert.Equal(t, map[string]int64{"read": 13, "malformed": 1, "series": 4, "attributes": 2, "value": 4}, f.tel.Measurements)
}

func TestMeasurementOfASeriesThatIsNewerThanTheCatalogueIsTaken(t *testing.T) {
	f := setUp(t)
	live := f.publish("a", recording(1))
	ring := live.Ring(0)
	f.one()
	late := segmenttest.Counter(600, "late")
	seg := f.set.segments[f.set.ringed[0].Key]
	live.Add(late)
	ring.Record(late.Of(4, str("a", "1")))
	f.set.drain(seg) // the catalogue was read before the series was there
	assert.Equal(t, map[string]int64{"read": 1}, f.tel.Measurements)
	assert.EqualValues(t, 4, f.one().Counters["late,a=1"])
}

func TestRingsAreDrainedBetweenCollections(t *testing.T) {
	f := setUp(t)
	live := f.publish("a", recording(1))
	ring := live.Ring(1)
	assert.False(t, f.set.DrainRings(), "before the first collection, too")
	written := uint64(0)
	for range 50 {
		for range 150 { // of 4 words
			ring.Record(calls.Of(1, segmenttest.Int("k", 1)))
			written++
		}
		f.set.DrainRings()
	}
	for range 300 {
		ring.Record(calls.Of(1, segmenttest.Int("k", 1)))
		written++
	}
	assert.True(t, f.set.DrainRings(), "more than a quarter waited")
	assert.False(t, f.set.DrainRings())
	assert.Equal(t, written, f.one().Counters["calls,k=,own=o"])
	assert.EqualValues(t, written, f.tel.Measurements["read"])
	assert.Zero(t, f.tel.Measurements["lost"])
}

func TestWhatARingOverwroteIsCountedAndLoggedOnceInAWhile(t *testing.T) {
	f := setUp(t)
	ring := f.publish("a", recording(1)).Ring(0)
	for range 3 {
		for range 5000 {
			ring.Record(calls.Of(1))
		}
		f.one()
		f.set.Commit()
	}
	assert.EqualValues(t, 15000, f.tel.Measurements["read"]+f.tel.Measurements["lost"])
	assert.EqualValues(t, f.tel.Measurements["read"], f.one().Counters["calls,own=o"])
	lost := f.logs.FilterMessage("A segment's rings overwrote measurements before they were read").All()
	require.Len(t, lost, 1)
	assert.Equal(t, "a", lost[0].ContextMap()["name"])
}

func TestLossesOfOneSegmentAreBounded(t *testing.T) {
	f := setUp(t)
	ring := f.publish("a", recording(1)).Ring(0)
	for i := range uint64(100) { // each claims 2^47 lost ones, and has written words enough for them
		ring.Head.Store((i + 1) << 50)
		ring.Raw([]uint64{0, 0}, (i+1)<<47<<16|3)
		f.one()
	}
	assert.EqualValues(t, 1<<48, f.tel.Measurements["lost"])
}

func TestLastMeasurementsOfTheDeadAreExact(t *testing.T) {
	for name, finish := range map[string]bool{"at a collection": false, "at once": true} {
		t.Run(name, func(t *testing.T) {
			f := setUp(t)
			live, seg := f.hold("a", recording(1))
			ring := live.Ring(0)
			ring.Record(calls.Of(1, str("a", "1")))
			f.one()
			f.set.Commit()
			ring.Record(calls.Of(2, str("a", "1")))
			ring.Record(calls.Of(4, str("a", "2")))
			live.Die()
			if finish {
				require.True(t, f.set.Finish(seg))
			}
			for range 3 { // refused twice
				p := f.one()
				assert.Equal(t, emit.Final, p.State)
				assert.Equal(t, map[string]uint64{"calls,own=o": 0, "calls,a=1,own=o": 3, "calls,a=2,own=o": 4}, p.Counters)
			}
			f.set.Commit()
			p := f.one()
			assert.Equal(t, emit.Gone, p.State)
			assert.Len(t, p.Counters, 3)
			f.set.Commit()
			f.assertEmpty()
			assert.Empty(t, f.set.ringed)
		})
	}
}

func TestOfASegmentThatAnEarlierRunReadOnlyWhatComesCounts(t *testing.T) {
	f := setUp(t)
	live, seg := f.hold("a", recording(1))
	seg.Seen = true
	ring := live.Ring(0)
	for range 5000 {
		ring.Record(calls.Of(1, str("a", "1")))
	}
	began := time.Now()
	assert.NotContains(t, f.one().Counters, "calls,a=1,own=o")
	for range 3000 {
		ring.Record(calls.Of(1, str("a", "1")))
	}
	var sink startSink
	require.NoError(t, f.set.Deliver(context.Background(), &sink, time.Now()))
	s := sink.series["calls{a,own}"]
	require.NotNil(t, s)
	assert.EqualValues(t, f.tel.Measurements["read"], sink.value["calls{a,own}"])
	assert.EqualValues(t, 3000, f.tel.Measurements["read"]+f.tel.Measurements["lost"], "that is known from the last number before")
	assert.NotNil(t, s.Bases)
	assert.InDelta(t, began.UnixNano(), s.Start, float64(2*time.Second))
}

// startSink remembers the counters that it is told.
type startSink struct {
	emit.Sink
	series map[string]*emit.Series
	value  map[string]uint64
	ended  []string
}

func (s *startSink) Process(*emit.Process) {}

func (s *startSink) Counter(series *emit.Series, v uint64) {
	name := series.Instrument.Name + "{"
	for i, a := range series.Attributes {
		if i > 0 {
			name += ","
		}
		name += a.Key
	}
	name += "}"
	if s.series == nil {
		s.series, s.value = map[string]*emit.Series{}, map[string]uint64{}
	}
	if series.Ended {
		s.ended = append(s.ended, name)
		return
	}
	s.series[name], s.value[name] = series, v
}
func (s *startSink) UpDownCounter(*emit.Series, int64)            {}
func (s *startSink) Gauge(*emit.Series, float64)                  {}
func (s *startSink) Histogram(*emit.Series, *emit.HistogramValue) {}

func TestSeriesOfMeasurementsStartWithTheirProcess(t *testing.T) {
	f := setUp(t)
	ring := f.publish("a", recording(1)).Ring(0)
	ring.Record(calls.Of(1, str("a", "1")))
	sink := f.deliver()
	assert.Zero(t, sink.series["calls{a,own}"].Start)
	assert.Nil(t, sink.series["calls{a,own}"].Bases)
}

func (f *fixture) deliver() *startSink {
	f.Helper()
	var sink startSink
	f.set.Refresh()
	require.NoError(f, f.set.Deliver(context.Background(), &sink, time.Now()))
	return &sink
}

func TestSeriesOfMeasurementsEndsWhenItIsIdleAndMayComeBack(t *testing.T) {
	const expiry = 20 * time.Millisecond
	f := setUp(t, func(l *Limits) { l.UnboundExpiry = expiry })
	live, seg := f.hold("a", recording(1))
	ring := live.Ring(0)
	ring.Record(calls.Of(1, str("a", "1")))
	ring.Record(calls.Of(1)) // is part of a series of the catalogue
	first := f.deliver().series["calls{a,own}"]
	charged := seg.charged()
	time.Sleep(2 * expiry)
	sink := f.deliver()
	assert.Empty(t, sink.ended, "its last value was not accepted")
	f.set.Commit()
	f.deliver()
	sink = f.deliver()
	assert.Equal(t, []string{"calls{a,own}"}, sink.ended)
	assert.Same(t, first, &seg.recorded.byID[first.ID].series)
	assert.EqualValues(t, 1, sink.value["calls{own}"])

	ring.Record(calls.Of(10, str("a", "1"))) // before anybody accepted the end
	f.set.DrainRings()
	sink = f.deliver()
	assert.Equal(t, []string{"calls{a,own}"}, sink.ended)
	assert.NotContains(t, sink.series, "calls{a,own}", "no value at the time of the end")
	f.set.Commit()
	sink = f.deliver()
	assert.Empty(t, sink.ended)
	again := sink.series["calls{a,own}"]
	assert.NotSame(t, first, again)
	assert.EqualValues(t, 10, sink.value["calls{a,own}"])
	assert.NotZero(t, again.Start)
	assert.Equal(t, charged, seg.charged())
	f.set.Commit()

	ring.Record(calls.Of(5, str("a", "1")))
	assert.EqualValues(t, 15, f.deliver().value["calls{a,own}"])
	f.set.Commit()
	time.Sleep(2 * expiry)
	assert.NotEmpty(t, f.deliver().ended)
	f.set.Commit()
	assert.Equal(t, charged-1, seg.charged(), "it takes no room any more")
	assert.Len(t, seg.recorded.forms, 1)
	assert.Len(t, seg.recorded.byID, 1)
	live.Die()
	f.deliver()
	f.set.Commit()
	f.deliver()
	f.set.Commit()
	f.assertEmpty()
}

func TestValuesOfASeriesThatCameBackArePartOfTheLast(t *testing.T) {
	const expiry = 20 * time.Millisecond
	f := setUp(t, func(l *Limits) { l.UnboundExpiry = expiry })
	live := f.publish("a", recording(1))
	ring := live.Ring(0)
	ring.Record(calls.Of(1, str("a", "1")))
	f.deliver()
	f.set.Commit()
	time.Sleep(2 * expiry)
	assert.NotEmpty(t, f.deliver().ended) // is refused
	ring.Record(calls.Of(10, str("a", "1")))
	live.Die()
	sink := f.deliver()
	assert.Empty(t, sink.ended)
	assert.EqualValues(t, 10, sink.value["calls{a,own}"])
}

func TestOneClientWithAMillionAttributeSets(t *testing.T) {
	const sets, limit = 1_000_000, 1000
	f := setUp(t, func(l *Limits) { l.SeriesPerUID = 2 * limit; l.SeriesPerSegment = limit })
	s := recording(1)
	s.RingWords = 1 << 16
	live, seg := f.hold("a", s)
	neighbour := f.publish("b", func() segmenttest.Segment { s := recording(2); s.PID++; return s }())
	ring := live.Ring(0)
	sum := uint64(0)
	for i := range sets {
		ring.Record(calls.Of(uint64(i), segmenttest.Int("set", int64(i))))
		sum += uint64(i)
		if i%1000 == 0 {
			ring.Record(latency.OfDouble(1, 0, segmenttest.Int("set", int64(i))))
		}
		if i%5000 == 4999 {
			f.set.DrainRings()
		}
	}
	neighbour.Ring(0).Record(calls.Of(7, str("a", "1")))
	var sink sumSink
	f.set.Refresh()
	require.NoError(t, f.set.Deliver(context.Background(), &sink, time.Now()))
	assert.Zero(t, f.tel.Measurements["lost"])
	assert.Equal(t, sum+7, sink.counted, "of both")
	assert.EqualValues(t, sets/1000, sink.buckets)
	assert.LessOrEqual(t, seg.charged(), limit)
	assert.Less(t, sink.series, 2*limit)
	assert.EqualValues(t, 2, sink.overflows, "of the counter and of the histogram")
	assert.Equal(t, 1, sink.neighbours)
}

// sumSink adds up what it is told.
type sumSink struct {
	emit.Sink
	counted, buckets              uint64
	series, overflows, neighbours int
}

func (s *sumSink) Process(*emit.Process) {}

func (s *sumSink) note(series *emit.Series) {
	s.series++
	for _, a := range series.Attributes {
		switch a.Key {
		case "otel.metric.overflow":
			s.overflows++
		case "a":
			s.neighbours++
		}
	}
}
func (s *sumSink) Counter(series *emit.Series, v uint64)      { s.note(series); s.counted += v }
func (s *sumSink) UpDownCounter(series *emit.Series, _ int64) { s.note(series) }
func (s *sumSink) Gauge(series *emit.Series, _ float64)       { s.note(series) }
func (s *sumSink) Histogram(series *emit.Series, v *emit.HistogramValue) {
	s.note(series)
	for _, n := range v.Buckets {
		s.buckets += n
	}
}

func TestOverflowOfMeasurementsAlwaysHasRoom(t *testing.T) {
	f := setUp(t, func(l *Limits) { l.SeriesPerSegment = 4 })
	live, seg := f.hold("a", recording(1))
	ring := live.Ring(0)
	for i := range 10 {
		for _, r := range []segmenttest.Record{calls, open} {
			ring.Record(r.Of(1, segmenttest.Int("n", int64(i))))
		}
		ring.Record(depth.OfDouble(float64(i), uint64(i), segmenttest.Int("n", int64(i))))
		ring.Record(latency.OfDouble(1, 0, segmenttest.Int("n", int64(i))))
	}
	p := f.one()
	assert.Equal(t, map[string]uint64{"calls,own=o": 0, "calls,otel.metric.overflow=": 10}, p.Counters)
	assert.Equal(t, map[string]int64{"open,own=o": 0, "open,otel.metric.overflow=": 10}, p.Sums)
	assert.Equal(t, map[string]float64{"depth,own=o": 0, "depth,otel.metric.overflow=": 9}, p.Gauges)
	assert.Equal(t, map[int]uint64{239: 10}, p.Histograms["latency,otel.metric.overflow="].Buckets)
	assert.Equal(t, 4+1+1+1+5, seg.charged())
	assert.Empty(t, seg.recorded.forms)
}

func TestRingsCountAgainstTheSizeAndTheBlocksOfASegment(t *testing.T) {
	f := setUp(t, func(l *Limits) { l.SegmentSize = 100 << 10 })
	s := recording(1)
	s.RingCount, s.RingsUsed = 64, 2
	live := f.publish("a", s)
	f.one()
	live.Word(layout.OffRingsUsed).Store(55) // 1980 KiB
	f.one()
	live.Word(layout.OffRingsUsed).Store(57)
	f.collect()
	assert.Equal(t, map[string]int64{"too_large": 1}, f.tel.Skipped())

	f = setUp(t)
	s.RingCount, s.RingsUsed, s.RingWords = 4, 4, 1<<17
	live, seg := f.hold("a", s)
	f.one()
	fd, err := unix.Open(live.Path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, seg.header.RingsOffset, 5<<20))
	f.collect()
	assert.Equal(t, map[string]int64{"sparse": 1}, f.tel.Skipped())
}

func TestSegmentThatTurnsBadDuringADrainIsDropped(t *testing.T) {
	f := setUp(t)
	live, seg := f.hold("a", recording(1))
	live.Ring(0).Record(calls.Of(1, str("a", "1")))
	f.one()
	f.set.Commit()
	fd, err := unix.Open(live.Path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	live.Die()
	require.NoError(t, unix.Ftruncate(fd, seg.header.RingsOffset))
	assert.False(t, f.set.DrainRings())
	assert.Equal(t, map[string]int64{"truncated": 1}, f.tel.Skipped())
	assert.Empty(t, f.set.ringed)
	assert.Equal(t, emit.Gone, f.one().State)
	f.set.Commit()
	f.assertEmpty()
}

func TestRingsThatFillAreDrainedWhileProcessesAreHandedOver(t *testing.T) {
	f := setUp(t)
	var ring *segmenttest.Ring
	for id := range uint64(5) {
		s := recording(id)
		s.PID = 100 + id
		ring = f.publish(fmt.Sprint(id), s).Ring(0)
	}
	fill := func(words int) {
		for ; words > 0; words -= 3 {
			ring.Record(calls.Of(1))
		}
	}
	fill(layout.MinRingWords / 2)
	slow := slowSink{each: func() {
		fill(layout.MinRingWords / 2)
		time.Sleep(2 * drainEvery)
	}}
	f.set.Refresh()
	require.NoError(t, f.set.Deliver(context.Background(), &slow, time.Now()))
	assert.Zero(t, f.tel.Measurements["lost"])
	f.collect()
	assert.Zero(t, f.tel.Measurements["lost"])
	assert.EqualValues(t, 6*683, f.tel.Measurements["read"])
}

// slowSink does something for each process.
type slowSink struct {
	segmentstest.Sink
	each func()
}

func (s *slowSink) Process(p *emit.Process) {
	s.Sink.Process(p)
	s.each()
}

func TestClientsUnrecordedMeasurementsAreReported(t *testing.T) {
	f := setUp(t)
	live := f.publish("a", recording(1))
	live.Word(layout.OffUnrecorded).Store(5)
	f.one()
	f.set.Commit()
	assert.Equal(t, map[string]int64{"unrecorded": 5}, f.tel.Client)
}

// TestWriterThatRacesItsReader has whole measurements, with a checksum in every one, be delivered or counted as lost.
func TestWriterThatRacesItsReader(t *testing.T) {
	f := setUp(t)
	live, seg := f.hold("a", recording(1))
	ring := live.Ring(0)
	var stop atomic.Bool
	written := make(chan uint64)
	go func() {
		n := uint64(0)
		for ; !stop.Load(); n++ {
			// The value is in the attributes again, as often as there are.
			attributes := make([]emit.Attribute, n%5)
			for i := range attributes {
				attributes[i] = segmenttest.Int(string(rune('a'+i)), int64(n%100))
			}
			ring.Record(calls.Of(n%100, attributes...))
			if n%1000 == 0 {
				time.Sleep(100 * time.Microsecond)
			}
		}
		written <- n
	}()
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		f.set.DrainRings()
		if len(seg.recorded.forms)%2 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	stop.Store(true)
	n := <-written
	var sink tornSink
	f.set.Refresh()
	require.NoError(t, f.set.Deliver(context.Background(), &sink, time.Now()))
	assert.Zero(t, sink.torn)
	tel := f.tel.Measurements
	assert.EqualValues(t, n, tel["read"]+tel["lost"])
	assert.NotZero(t, tel["lost"])
	assert.NotZero(t, tel["read"])
	assert.Equal(t, []string{"lost", "read"}, keys(tel))
	assert.LessOrEqual(t, len(seg.recorded.byID), 401)
	t.Logf("%d written, %d lost", n, tel["lost"])
}

func keys(m map[string]int64) (all []string) {
	for key := range m {
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}

// tornSink counts counters that are no multiple of what all their attributes say.
type tornSink struct {
	startSink
	torn int
}

func (s *tornSink) Counter(series *emit.Series, v uint64) {
	want := uint64(0)
	for i, a := range series.Attributes {
		if a.Key == own.Key {
			continue
		}
		if i > 0 && a.Bits != want {
			s.torn++
		}
		want = a.Bits
	}
	if len(series.Attributes) > 1 && (want == 0 && v != 0 || want > 0 && v%want != 0) {
		s.torn++
	}
}

// FuzzRings has a set follow a ring to which anything is written, as it is read.
func FuzzRings(f *testing.F) {
	var good []byte
	for _, w := range append(calls.Of(1, str("a", "1")).Words(), 1<<16|5) {
		for i := range 8 {
			good = append(good, byte(w>>(8*i)))
		}
	}
	f.Add(good, uint64(5), uint64(0))
	f.Add(good, uint64(4096), uint64(1<<40))
	f.Fuzz(func(t *testing.T, b []byte, head, jump uint64) {
		dir, err := os.MkdirTemp("/dev/shm", "hotpath-test-")
		if err != nil {
			t.Skip(err)
		}
		defer os.RemoveAll(dir)
		live, err := segmenttest.Publish(dir, "a", recording(1).Bytes())
		if err != nil {
			t.Fatal(err)
		}
		defer live.Die()
		tel := segmentstest.NewTelemetry()
		set := New(Limits{Limits: quota.Limits{Segments: 9, SegmentsPerUID: 9, Series: 99, SeriesPerUID: 99, SeriesPerSegment: 99}, SegmentSize: 1 << 20}, zap.NewNop(), tel)
		defer set.Close()
		fd, err := unix.Open(live.Path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		var st unix.Stat_t
		_ = unix.Fstat(fd, &st)
		if _, err := set.Admit(fd, &st, st.Uid, &origin{tel: tel, name: "a"}); err != nil {
			t.Fatal(err)
		}
		ring := live.Ring(0)
		var stop atomic.Bool
		done := make(chan struct{})
		go func() { // scribbles over it, from one place to the next
			defer close(done)
			for at := head; !stop.Load(); at += 1 + jump%7 {
				for i := range len(b) / 8 {
					w := uint64(0)
					for j := range 8 {
						w |= uint64(b[i*8+j]) << (8 * j)
					}
					atomic.StoreUint64(ring.At(at+uint64(i)), w)
				}
				ring.Head.Store(at + uint64(len(b)/8))
				if jump&1 == 1 {
					at += jump
				}
			}
		}()
		for range 20 {
			set.Refresh()
			if err := set.Deliver(context.Background(), &segmentstest.Sink{}, time.Now()); err != nil {
				t.Error(err)
			}
			set.DrainRings()
			set.Commit()
		}
		stop.Store(true)
		<-done
		if lost := tel.Measurements["lost"]; lost < 0 || lost > maxLost {
			t.Errorf("%d lost", lost)
		}
		if len(tel.Skipped()) > 0 {
			t.Errorf("skipped: %v", tel.Skipped())
		}
	})
}
