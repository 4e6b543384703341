package merge

import (
	"testing"

	"github.com/stretchr/testify/assert"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
)

// value is a part of a series in a segment. Its buckets are its own or, in a borrowed one, the caller's.
type value struct {
	segment  int
	total    uint64
	recent   int64 // 0: a gauge that was not set
	borrowed bool
}

func (v value) Total() uint64 { return v.total }

func (v value) Gauge() (float64, int64, bool) { return float64(v.total), v.recent, v.recent > 0 }

func (v value) Histogram(b *[layout.HistogramBuckets]uint64) emit.HistogramValue {
	own := &[layout.HistogramBuckets]uint64{7: v.total}
	if v.borrowed {
		*b = *own
		own = b
	}
	return emit.HistogramValue{Sum: float64(v.total), ZeroCount: v.total, Buckets: own}
}

func series(kind emit.Kind, unit, id string) *emit.Series {
	return &emit.Series{
		Instrument: &emit.Instrument{Name: id[:1], Unit: unit, Kind: kind}, ID: id,
		Attributes: []emit.Attribute{{Key: "id", Type: emit.AttributeString, Str: id}},
	}
}

func deliver(s *Set[value], state emit.State) *emittest.Process {
	var r emittest.Recorder
	life := emit.Life{Process: emit.Process{State: state}}
	s.Deliver(&life, &r, &Scratch{})
	if len(r.Processes) == 0 {
		return nil
	}
	return r.Processes[0]
}

func TestEqualSeriesAddUpAndTheMostRecentGaugeWins(t *testing.T) {
	for name, borrowed := range map[string]bool{"own buckets": false, "borrowed buckets": true} {
		var s Set[value]
		for i, total := range []uint64{1, 2, 4} {
			v := value{segment: i, total: total, borrowed: borrowed, recent: []int64{0, 9, 5}[i]}
			assert.NotNil(t, s.Add(series(emit.KindCounter, "", "c"), v))
			assert.NotNil(t, s.Add(series(emit.KindUpDownCounter, "", "u"), v))
			assert.NotNil(t, s.Add(series(emit.KindGauge, "", "g"), v))
			assert.NotNil(t, s.Add(series(emit.KindHistogram, "", "h"), v))
		}
		p := deliver(&s, emit.Live)
		assert.Equal(t, map[string]uint64{"c{id=c}": 7}, p.Counters)
		assert.Equal(t, map[string]int64{"u{id=u}": 7}, p.UpDownCounters)
		assert.Equal(t, map[string]float64{"g{id=g}": 2}, p.Gauges)
		h := p.Histograms["h{id=h}"]
		assert.Equal(t, []any{7.0, uint64(7), uint64(7)}, []any{h.Sum, h.Zero, h.Buckets[7]}, name)
	}
}

func TestNameKeepsItsKindAndUnit(t *testing.T) {
	var s Set[value]
	assert.NotNil(t, s.Add(series(emit.KindCounter, "1", "c1"), value{}))
	assert.Nil(t, s.Add(series(emit.KindCounter, "2", "c2"), value{}))
	assert.Nil(t, s.Add(series(emit.KindGauge, "1", "c3"), value{}))
	assert.Len(t, deliver(&s, emit.Live).Instruments, 1)
}

func TestWhatWasRemovedIsNamedAtTheEndAndMayComeBack(t *testing.T) {
	var s Set[value]
	for i := range 3 {
		s.Add(series(emit.KindCounter, "", "c"), value{segment: i, total: 1 << i})
	}
	s.Add(series(emit.KindCounter, "", "d"), value{segment: 0, total: 9})
	assert.EqualValues(t, 7, deliver(&s, emit.Live).Counters["c{id=c}"])
	s.Remove(func(v value) bool { return v.segment != 2 })
	assert.Equal(t, map[string]uint64{"c{id=c}": 4}, deliver(&s, emit.Live).Counters)
	s.Remove(func(value) bool { return true })
	assert.Nil(t, deliver(&s, emit.Live))
	assert.Equal(t, map[string]uint64{"c{id=c}": 0, "d{id=d}": 0}, deliver(&s, emit.Gone).Counters)
	s.Add(series(emit.KindCounter, "", "c"), value{segment: 4, total: 5})
	assert.Equal(t, map[string]uint64{"c{id=c}": 5}, deliver(&s, emit.Live).Counters)
}

func TestOnlyWhatWasNamedIsEnded(t *testing.T) {
	var s Set[value]
	s.Add(series(emit.KindGauge, "", "g"), value{})
	assert.Nil(t, deliver(&s, emit.Live), "it was never set")
	assert.Nil(t, deliver(&s, emit.Gone))
}
