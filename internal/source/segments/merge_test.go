package segments

import (
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
	"github.com/hotpath-metrics/hotpath/internal/source/segments/segmentstest"
)

// library is a segment of the same process as requests, with one series of every kind.
func library(id uint64, start int64) segmenttest.Segment {
	s := segmentstest.Requests(id)
	s.StartTime = start
	s.Records = append(s.Records[:2:2], segmenttest.UpDownCounter(2, "open"), segmenttest.Gauge(1, "depth"),
		segmenttest.Histogram(8, "latency"), segmenttest.Counter(600, "requests", segmenttest.Str("path", "/")))
	s.StripesUsed = 2
	return s
}

func (f *fixture) fill(live *segmenttest.Live, n uint64, gauge float64) {
	for stripe := range 2 {
		live.Word(segmenttest.StripeWord(stripe, 1)).Store(n)
		live.Word(segmenttest.StripeWord(stripe, 2)).Store(-n)
		live.Word(segmenttest.StripeWord(stripe, 8+layout.HistogramSum)).Store(math.Float64bits(float64(n) / 4))
		live.Word(segmenttest.StripeWord(stripe, 8+layout.HistogramZero)).Store(n)
		live.Word(segmenttest.StripeWord(stripe, 8+layout.HistogramFirstBucket)).Store(2 * n)
		live.Word(segmenttest.StripeWord(stripe, 8+layout.HistogramFirstBucket+511)).Store(3 * n)
		live.Word(segmenttest.StripeWord(stripe, 600)).Store(10 * n)
	}
	live.Word(segmenttest.SharedWord(1)).Store(math.Float64bits(gauge))
}

func TestValueOfASeriesIsTheSumOverStripesBelowStripesUsed(t *testing.T) {
	f := setUp(t)
	s := library(1, 1000)
	s.StripeCount = 3
	live := f.publish("a", s)
	f.fill(live, 3, 1.5)
	live.Word(segmenttest.StripeWord(2, 1)).Store(1 << 40) // not in use
	p := f.one()
	assert.Equal(t, map[string]uint64{"requests": 6, "requests,path=/": 60}, p.Counters)
	assert.Equal(t, map[string]int64{"open": -6}, p.Sums)
	assert.Equal(t, map[string]float64{"depth": 1.5}, p.Gauges)
	assert.Equal(t, map[string]segmentstest.Histogram{"latency": {Sum: 1.5, Zero: 6, Buckets: map[int]uint64{0: 12, 511: 18}}}, p.Histograms)
	assert.Equal(t, []string{"requests", "requests", "open", "depth", "latency"}, p.Order, "grouped by instrument")
}

func TestEqualSeriesOfTheSegmentsOfAProcessAddUpAndTheNewestGaugeWins(t *testing.T) {
	f := setUp(t)
	newer, older := f.publish("a", library(1, 2000)), f.publish("b", library(2, 1000))
	f.fill(newer, 3, 1.5)
	f.fill(older, 5, 2.5)
	p := f.one()
	assert.Equal(t, map[string]uint64{"requests": 16, "requests,path=/": 160}, p.Counters)
	assert.Equal(t, map[string]int64{"open": -16}, p.Sums)
	assert.Equal(t, map[string]float64{"depth": 1.5}, p.Gauges)
	assert.Equal(t, map[string]segmentstest.Histogram{"latency": {Sum: 4, Zero: 16, Buckets: map[int]uint64{0: 32, 511: 48}}}, p.Histograms)
	assert.EqualValues(t, 1000, p.Start)

	newer.Word(segmenttest.SharedWord(1)).Store(layout.GaugeUnset)
	assert.Equal(t, map[string]float64{"depth": 2.5}, f.one().Gauges)
}

func TestSegmentsMergeOnlyWithEqualPidInstanceAndResource(t *testing.T) {
	f := setUp(t)
	f.publish("a", segmentstest.Requests(1))
	pid, instance, resource := segmentstest.Requests(2), segmentstest.Requests(3), segmentstest.Requests(4)
	pid.PID++
	instance.Instance[15]++
	resource.Records = []segmenttest.Record{segmenttest.Resource(), resource.Records[1]}
	for name, s := range map[string]segmenttest.Segment{"b": pid, "c": instance, "d": resource} {
		f.publish(name, s)
	}
	assert.Len(t, f.collect(), 4)
}

func TestInstrumentThatContradictsAnotherSegmentIsLeftOut(t *testing.T) {
	f := setUp(t)
	f.publish("a", segmentstest.Requests(1))
	f.one()
	other := segmentstest.Requests(2)
	other.Records = []segmenttest.Record{other.Records[0], segmenttest.UpDownCounter(1, "requests"), segmenttest.Counter(2, "b")}
	f.publish("b", other)
	p := f.one()
	assert.Equal(t, map[string]uint64{"requests": 0, "b": 0}, p.Counters)
	assert.Empty(t, p.Sums)
	assert.Equal(t, map[string]int64{"conflict": 1}, f.tel.Series)
}

func TestCorruptSegmentLeavesItsSiblingsAlone(t *testing.T) {
	f := setUp(t)
	a, b := f.publish("a", library(1, 1000)), f.publish("b", library(2, 1000))
	f.fill(a, 3, 1)
	f.fill(b, 5, 2)
	f.one()
	f.set.Commit()
	a.Word(layout.OffStripesUsed).Store(99)
	p := f.one()
	assert.Equal(t, emit.Live, p.State)
	assert.Equal(t, map[string]uint64{"requests": 10, "requests,path=/": 100}, p.Counters)
	assert.Equal(t, map[string]float64{"depth": 2}, p.Gauges)
}

func TestSeriesAppearAsTheCatalogueGrows(t *testing.T) {
	f := setUp(t)
	live := f.publish("a", segmentstest.Requests(1))
	f.one()
	live.Add(segmenttest.Counter(2, "other"))
	live.Add(segmenttest.Counter(3, "requests", segmenttest.Str("k", "v")))
	live.Add(segmenttest.Counter(4, "not a name"))
	live.Word(segmenttest.StripeWord(0, 2)).Store(8)
	p := f.one()
	assert.Equal(t, map[string]uint64{"requests": 0, "requests,k=v": 0, "other": 8}, p.Counters)
	assert.Equal(t, []string{"requests", "requests", "other"}, p.Order)
	f.one()
	assert.Equal(t, map[string]int64{"name": 1}, f.tel.Series)
}

func TestClientCountersAreReportedAsIncreasesOnceAccepted(t *testing.T) {
	f := setUp(t)
	live := f.publish("a", segmentstest.Requests(1))
	live.Word(layout.OffRefused).Store(5)
	live.Word(layout.OffFolded).Store(1)
	live.Word(layout.OffUnplaced).Store(2)
	live.Word(layout.OffRejected).Store(3)
	f.one()
	assert.Empty(t, f.tel.Client)
	f.one()
	f.set.Commit()
	live.Word(layout.OffRefused).Store(7)
	f.one()
	f.set.Commit()
	live.Word(layout.OffRefused).Store(1) // a lie
	f.one()
	f.set.Commit()
	assert.Equal(t, map[string]int64{"refused": 7, "folded": 1, "unplaced": 2, "rejected": 3}, f.tel.Client)
}

func TestResourceIsCompletedFromTheKernel(t *testing.T) {
	f := setUp(t)
	s := segmentstest.Requests(1)
	s.Instance = [16]byte{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10}
	s.Records[0] = segmenttest.Resource(segmenttest.Str("process.executable.name", "liar"), segmenttest.Int("process.pid", 1),
		segmenttest.Int("process.user.id", 4321))
	f.publish("a", s).Die() // so that only the client's word is left
	p := f.one()
	assert.Equal(t, []emit.Attribute{
		segmenttest.Str("process.executable.name", "liar"),
		segmenttest.Int("process.pid", 42),
		segmenttest.Int("process.user.id", int64(os.Geteuid())),
		segmenttest.Str("service.instance.id", "01234567-89ab-cdef-fedc-ba9876543210"),
		segmenttest.Str("service.name", "unknown_service"),
	}, p.Resource)

	s.ID, s.PID = 2, 43
	s.Records[0] = segmenttest.Resource(segmenttest.Str("service.instance.id", "mine"), segmenttest.Str("service.name", "shop"))
	f.set.Commit()
	f.publish("b", s).Die()
	p = f.collect()[1]
	assert.Equal(t, "mine", p.Attribute("service.instance.id"))
	assert.Equal(t, "shop", p.Attribute("service.name"))
}
