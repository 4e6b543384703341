package state

import (
	"math"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// series is a series of one segment, as of the update with the highest number. It is a merge.Part.
type series struct {
	of     *emit.Series
	kind   emit.Kind
	record []byte // as it came, to tell it from any other
	update uint64 // the highest number
	value  uint64 // total, or the bits of the gauge or of the histogram's sum
	time   int64  // of a gauge, UNIX nanoseconds

	zero   uint64
	low    int      // the bucket that counts begins with
	counts []uint64 // of the buckets that were ever seen
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

// bucketCharge is what buckets take of a limit on series.
func bucketCharge(n int) int { return n * 8 / 1024 }
