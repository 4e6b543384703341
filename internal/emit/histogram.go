package emit

import (
	"math"
	"math/bits"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

// Histogram implements [Sink]. Buckets before the first and after the last
// that is not zero are left out, and so is a sum that is not a number. A
// histogram that counted more than 64 bits hold is dropped: only a client that
// writes nonsense gets there, and a backend might refuse the whole batch for it.
func (b *Builder) Histogram(s *Series, v *HistogramValue) {
	if b.over(s) {
		p := b.histogram(s)
		p.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
		p.SetSum(0) // named, so that backends which keep sums as series of their own end them, too
		return
	}
	low, high := v.Span()
	count := v.ZeroCount
	for _, n := range v.Buckets[low:high] {
		var carry uint64
		if count, carry = bits.Add64(count, n, 0); carry != 0 {
			return
		}
	}
	p := b.histogram(s)
	p.SetCount(count)
	p.SetZeroCount(v.ZeroCount)
	switch {
	case count == 0: // OTLP allows no other sum then, whatever a client wrote
		p.SetSum(0)
	case !math.IsNaN(v.Sum):
		p.SetSum(v.Sum)
	}
	if low < high {
		p.Positive().SetOffset(int32(segment.HistogramOffset + low))
		p.Positive().BucketCounts().FromRaw(v.Buckets[low:high])
	}
}

func (b *Builder) histogram(s *Series) pmetric.ExponentialHistogramDataPoint {
	b.open(s)
	p := b.histograms.AppendEmpty()
	p.SetScale(segment.HistogramScale)
	p.SetStartTimestamp(b.beginning(s))
	p.SetTimestamp(b.time)
	putAttributes(p.Attributes(), s.Attributes)
	return p
}

// Span returns the part of the buckets that holds counts: low is the first
// that is not zero and high is one past the last; both are 0 if there is none.
func (v *HistogramValue) Span() (low, high int) {
	high = len(v.Buckets)
	for high > 0 && v.Buckets[high-1] == 0 {
		high--
	}
	for low < high && v.Buckets[low] == 0 {
		low++
	}
	return low, high
}
