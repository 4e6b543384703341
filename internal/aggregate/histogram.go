package aggregate

import (
	"github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// histogram remembers a histogram value by the span of its buckets: 512 words
// for each series would be more than most histograms use.
type histogram struct {
	sum     float64
	zero    uint64
	low     int // index of the first bucket
	buckets []uint64
}

func (h *histogram) at(i int) uint64 {
	if i -= h.low; i >= 0 && i < len(h.buckets) {
		return h.buckets[i]
	}
	return 0
}

// set makes h equal to v.
func (h *histogram) set(v *emit.HistogramValue) {
	low, high := v.Span()
	h.sum, h.zero, h.low = v.Sum, v.ZeroCount, low
	h.buckets = append(h.buckets[:0], v.Buckets[low:high]...)
}

// get writes h into v.
func (h *histogram) get(v *emit.HistogramValue) {
	v.Sum, v.ZeroCount = h.sum, h.zero
	clear(v.Buckets[:])
	copy(v.Buckets[h.low:], h.buckets)
}

// add adds v to h.
func (h *histogram) add(v *emit.HistogramValue) {
	h.sum += v.Sum
	h.zero = add(h.zero, v.ZeroCount)
	low, high := v.Span()
	if low == high {
		return
	}
	h.cover(low, high)
	for i := low; i < high; i++ {
		h.buckets[i-h.low] = add(h.buckets[i-h.low], v.Buckets[i])
	}
}

// cover widens the span of h to hold the buckets from low up to high.
func (h *histogram) cover(low, high int) {
	if len(h.buckets) > 0 {
		low, high = min(low, h.low), max(high, h.low+len(h.buckets))
	}
	if high-low == len(h.buckets) {
		return
	}
	wider := make([]uint64, high-low)
	copy(wider[max(h.low-low, 0):], h.buckets)
	h.low, h.buckets = low, wider
}

// growth writes into v what now has beyond last, bucket by bucket. It reports
// whether anything was counted, and whether last is out of date. A sum that runs
// ahead of its count (a client was interrupted between the two) waits for it.
func growth(now *emit.HistogramValue, last *histogram, v *emit.HistogramValue) (counted, changed bool) {
	v.ZeroCount = grown(now.ZeroCount, last.zero)
	gain := v.ZeroCount
	differs := now.ZeroCount ^ last.zero
	for i := range segment.HistogramBuckets {
		before := last.at(i)
		v.Buckets[i] = grown(now.Buckets[i], before)
		gain |= v.Buckets[i]
		differs |= now.Buckets[i] ^ before
	}
	v.Sum = 0
	if d := now.Sum - last.sum; gain != 0 && d > 0 && d <= maxSum { // false for what is not a number, too
		v.Sum = d
	}
	return gain != 0, differs != 0
}

// grown is what a running total gained. A total that fell was not counted
// honestly, or begins anew at an unknown instant: what it has then is no gain.
func grown(now, last uint64) uint64 {
	if now < last {
		return 0
	}
	return now - last
}

// add adds totals, and stops at the largest: a total that wraps would fall.
func add(a, b uint64) uint64 {
	if a+b < a {
		return 1<<64 - 1
	}
	return a + b
}
