package state

import (
	"math"
	"slices"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// series is a series of one segment, as of the update with the highest number. It is a merge.Part.
type series struct {
	of     *emit.Series // as sinks see it
	kind   emit.Kind
	record []byte // as it came, to tell it from any other
	update uint64 // the highest number
	value  uint64 // total, or the bits of the gauge or of the histogram's sum
	time   int64  // of a gauge, UNIX nanoseconds

	zero   uint64
	low    int      // the bucket that counts begins with
	counts []uint64 // of the buckets that were ever seen

	// What an earlier run of the collector may have delivered is not beyond the update with the lowest number that came.
	lowest uint64 // 0 if there was none that could
	base   emit.Base
}

// unheard is lowest before any update.
const unheard = math.MaxUint64

// begin makes an update with the lowest number the base, but for the buckets of a histogram. There was none before
// number 1 to be delivered.
func (x *series) begin(update, value, zero uint64) {
	x.lowest = update
	if update == 1 {
		x.base = emit.Base{}
		return
	}
	x.base.Total, x.base.Sum, x.base.ZeroCount = value, math.Float64frombits(value), zero
}

// told makes all that is known the base, for good.
func (x *series) told() {
	x.lowest = 0
	x.base = emit.Base{Total: x.value, Sum: math.Float64frombits(x.value), ZeroCount: x.zero, First: x.low, Buckets: slices.Clone(x.counts)}
}

// Total implements [merge.Part].
func (x *series) Total() uint64 { return x.value }

// Gauge implements [merge.Part].
func (x *series) Gauge() (value float64, recent int64, ok bool) {
	return math.Float64frombits(x.value), x.time, x.update > 0
}

// Histogram implements [merge.Part].
func (x *series) Histogram(buckets *[layout.HistogramBuckets]uint64) emit.HistogramValue {
	clear(buckets[:])
	copy(buckets[x.low:], x.counts)
	return emit.HistogramValue{Sum: math.Float64frombits(x.value), ZeroCount: x.zero, Buckets: buckets}
}

// span is what counts must hold so that n buckets from first on are among them.
func (x *series) span(first, n int) (low, high int) {
	if len(x.counts) == 0 {
		return first, first + n
	}
	return min(x.low, first), max(x.low+len(x.counts), first+n)
}

func (x *series) grow(low, high int) {
	grown := make([]uint64, high-low)
	if len(x.counts) > 0 {
		copy(grown[x.low-low:], x.counts)
	}
	x.low, x.counts = low, grown
}

// cover widens the base to the span of the counts.
func (x *series) cover() {
	if len(x.base.Buckets) == len(x.counts) {
		return
	}
	wider := make([]uint64, len(x.counts))
	copy(wider[max(x.base.First-x.low, 0):], x.base.Buckets)
	x.base.First, x.base.Buckets = x.low, wider
}

// bucketCharge is what so many buckets take of a limit on series.
func (x *series) bucketCharge(n int) int {
	if x.lowest > 0 {
		n *= 2 // with the base
	}
	return n * 8 / 1024
}
