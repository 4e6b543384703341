package segments

import (
	"math"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// recorded is a series as far as it was recorded into the rings of one segment.
type recorded struct {
	series emit.Series
	value  uint64 // of a counter or updowncounter, or the bits of a gauge
	time   uint64 // of a gauge, 0 if it was never set

	// Of a histogram. Its buckets are those from low on that were ever needed.
	sum     float64
	zero    uint64
	low     int
	buckets []uint64

	measured int64    // for the last time, by Set.clock
	forms    []string // its keys in recordings.forms
	charged  int      // against the limits on series
	ended    bool     // its end is being told

	// For the journal.
	id      uint64
	of      slot   // of a series of the catalogue with its instrument
	kept    bool   // was written there
	changed bool   // since then
	resumed bool   // from an earlier run, and no form of it was seen since
	marks   *marks // of a histogram
}

// add takes the value of a measurement.
func (x *recorded) add(value, time uint64, now int64) {
	x.measured = now
	switch x.series.Instrument.Kind {
	case emit.KindGauge:
		if time = max(time, 1); time >= x.time {
			x.value, x.time = value, time
		}
	case emit.KindHistogram:
		x.record(math.Float64frombits(value))
	default:
		x.value += value
	}
}

// holds says whether something would be missing if the series began anew: a level counts on from what it is.
func (x *recorded) holds() bool {
	return x.series.Instrument.Kind == emit.KindUpDownCounter && x.value != 0
}

func (x *recorded) record(v float64) {
	x.sum += v
	if v == 0 {
		x.zero++
		return
	}
	bucket, _ := layout.BucketIndex(v)
	at := bucket - x.low
	if at < 0 || at >= len(x.buckets) {
		x.cover(bucket)
		at = bucket - x.low
	}
	x.buckets[at]++
	if x.marks != nil {
		x.marks.mark(bucket)
	}
}

// cover widens the buckets by whole cache lines.
func (x *recorded) cover(bucket int) {
	low, high := bucket&^7, bucket&^7+8
	if len(x.buckets) > 0 {
		low, high = min(low, x.low), max(high, x.low+len(x.buckets))
	}
	wider := make([]uint64, high-low)
	copy(wider[max(x.low-low, 0):], x.buckets)
	x.low, x.buckets = low, wider
}

// recordedLater is more than any start of a segment: of a gauge that was both set and recorded, what was recorded wins.
const recordedLater = 1 << 62

func (x *recorded) gauge() (value float64, recent int64, ok bool) {
	return math.Float64frombits(x.value), recordedLater + int64(min(x.time, recordedLater-1)), x.time > 0
}

func (x *recorded) histogram(buckets *[layout.HistogramBuckets]uint64) emit.HistogramValue {
	clear(buckets[:])
	copy(buckets[x.low:], x.buckets)
	return emit.HistogramValue{Sum: x.sum, ZeroCount: x.zero, Buckets: buckets}
}
