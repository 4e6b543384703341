package otlp

import (
	"math"

	"go.opentelemetry.io/collector/pdata/pmetric"
)

const (
	// maxBuckets is how many buckets a total spans at most on either side of zero: what
	// OpenTelemetry's SDKs begin with. Beyond that its scale falls.
	maxBuckets = 160

	// OpenTelemetry's range of scales.
	minScale, maxScale = -10, 20

	// Powers of two that doubles lie between.
	minExponent, maxExponent = -1075, 1024
)

var exponentials = arithmetic[pmetric.ExponentialHistogramDataPoint]{
	valid: func(_ *metricTotals, p pmetric.ExponentialHistogramDataPoint) bool {
		return p.Scale() >= minScale && p.Scale() <= maxScale && finite(p.ZeroThreshold()) && validSummary(p) &&
			spanOf(p.Positive()).valid(p.Scale()) && spanOf(p.Negative()).valid(p.Scale())
	},
	first: func(p pmetric.ExponentialHistogramDataPoint) pmetric.ExponentialHistogramDataPoint {
		total := pmetric.NewExponentialHistogramDataPoint()
		p.CopyTo(total)
		total.Exemplars().RemoveIf(func(pmetric.Exemplar) bool { return true })
		addBuckets(total, pmetric.NewExponentialHistogramDataPoint())
		return total
	},
	compatible: func(total, p pmetric.ExponentialHistogramDataPoint) bool {
		return total.ZeroThreshold() == p.ZeroThreshold()
	},
	add: func(total, p pmetric.ExponentialHistogramDataPoint) {
		addSummary(total, p)
		total.SetZeroCount(total.ZeroCount() + p.ZeroCount())
		addBuckets(total, p)
	},
	size: func(pmetric.ExponentialHistogramDataPoint) int { return 0 },
}

// span is the part of one side's buckets that is not empty.
type span struct {
	first  int64
	counts []uint64
}

func spanOf(b pmetric.ExponentialHistogramDataPointBuckets) span {
	s := span{int64(b.Offset()), b.BucketCounts().AsRaw()}
	for len(s.counts) > 0 && s.counts[0] == 0 {
		s.first++
		s.counts = s.counts[1:]
	}
	for len(s.counts) > 0 && s.counts[len(s.counts)-1] == 0 {
		s.counts = s.counts[:len(s.counts)-1]
	}
	return s
}

func (s span) last() int64 { return s.first + int64(len(s.counts)) - 1 }

// valid says whether all buckets hold doubles.
func (s span) valid(scale int32) bool {
	low, high := int64(minExponent), int64(maxExponent)
	if scale >= 0 {
		low, high = low<<scale, high<<scale
	} else {
		low, high = low>>-scale, high>>-scale
	}
	return len(s.counts) == 0 || s.first >= low && s.last() <= high
}

// addBuckets brings both sides to the lower scale of the two, or to a still lower one where their buckets span too much.
func addBuckets(total, p pmetric.ExponentialHistogramDataPoint) {
	positive, negative := spanOf(total.Positive()), spanOf(total.Negative())
	morePositive, moreNegative := spanOf(p.Positive()), spanOf(p.Negative())
	scale := total.Scale()
	if len(morePositive.counts)+len(moreNegative.counts) > 0 {
		scale = min(scale, p.Scale())
	}
	for {
		by, more := total.Scale()-scale, p.Scale()-scale
		if width(positive, by, morePositive, more) <= maxBuckets && width(negative, by, moreNegative, more) <= maxBuckets {
			break
		}
		scale--
	}
	by, more := total.Scale()-scale, p.Scale()-scale
	put(total.Positive(), positive, by, morePositive, more)
	put(total.Negative(), negative, by, moreNegative, more)
	total.SetScale(scale)
}

// bounds are the first and last of the buckets of two spans whose scales fall by so much; the last is
// before the first where both are empty.
func bounds(a span, byA int32, b span, byB int32) (first, last int64) {
	first, last = math.MaxInt64, math.MinInt64
	if len(a.counts) > 0 {
		first, last = a.first>>byA, a.last()>>byA
	}
	if len(b.counts) > 0 {
		first, last = min(first, b.first>>byB), max(last, b.last()>>byB)
	}
	return first, last
}

func width(a span, byA int32, b span, byB int32) int64 {
	first, last := bounds(a, byA, b, byB)
	if last < first {
		return 0
	}
	return last - first + 1
}

func put(to pmetric.ExponentialHistogramDataPointBuckets, a span, byA int32, b span, byB int32) {
	n := width(a, byA, b, byB)
	if n == 0 {
		to.SetOffset(0)
		to.BucketCounts().FromRaw(nil)
		return
	}
	first, _ := bounds(a, byA, b, byB)
	counts := make([]uint64, n)
	for i, count := range a.counts {
		counts[(a.first+int64(i))>>byA-first] += count
	}
	for i, count := range b.counts {
		counts[(b.first+int64(i))>>byB-first] += count
	}
	to.SetOffset(int32(first))
	to.BucketCounts().FromRaw(counts)
}
