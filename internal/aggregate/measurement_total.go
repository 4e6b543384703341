package aggregate

import (
	"math"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// maxSum bounds sums of doubles, so that those of a service, over many processes, are finite as well.
const maxSum = 0x1p1000

// measured is one series with what was measured so far.
type measured struct {
	series emit.Series
	value  uint64    // counter, updowncounter (two's complement), or bits of a gauge
	scale  Scale     // of the sum and of carry
	carry  float64   // what the sum lacks, being rounded
	hist   histogram // its sum is also that of counters and updowncounters with fractions
}

// count adds to a total of integers.
func (m *measured) count(n uint64) {
	if m.series.Instrument.Kind == emit.KindCounter {
		m.value = add(m.value, n)
		return
	}
	m.value += n
}

// add adds to a sum of doubles, which is kept as the values came and scaled when it is told: integers add up exactly. Of
// others what rounding takes away is kept (Neumaier's summation), so that billions of additions are as exact as one.
func (m *measured) add(v float64, scale Scale) Refusal {
	if scale != m.scale { // another stream has begun the series
		v = scale.Double(v) / m.scale.Double(1)
	}
	sum := m.hist.sum + v
	if math.Abs(m.scale.Double(sum)) > maxSum || math.Abs(sum) > maxSum {
		return RefusedTooLarge
	}
	if math.Abs(m.hist.sum) >= math.Abs(v) {
		m.carry += m.hist.sum - sum + v
	} else {
		m.carry += v - sum + m.hist.sum
	}
	m.hist.sum = sum
	return ""
}

// sum is that of doubles.
func (m *measured) sum() float64 { return m.scale.Double(m.hist.sum + m.carry) }

// record adds a value to a histogram.
func (m *measured) record(v float64, scale Scale) Refusal {
	bucket := segment.HistogramBuckets
	if scaled := scale.Double(v); scaled != 0 {
		bucket, _ = segment.BucketIndex(scaled)
	}
	return m.recordBucket(bucket, 1, v, scale)
}

// recordBucket adds values that are in one bucket, or are zero.
func (m *measured) recordBucket(bucket int, count uint64, sum float64, scale Scale) Refusal {
	if refusal := m.add(sum, scale); refusal != "" {
		return refusal
	}
	if bucket == segment.HistogramBuckets {
		m.hist.zero += count
		return ""
	}
	m.hist.cover(bucket, bucket+1)
	m.hist.buckets[bucket-m.hist.low] += count
	return ""
}

// tell hands the series over.
func (m *measured) tell(sink emit.Sink, scratch *emit.HistogramValue) {
	switch in := m.series.Instrument; {
	case in.Kind == emit.KindGauge:
		sink.Gauge(&m.series, math.Float64frombits(m.value))
	case in.Kind == emit.KindHistogram:
		m.hist.get(scratch)
		scratch.Sum = m.sum()
		sink.Histogram(&m.series, scratch)
	case in.Double:
		sink.Sum(&m.series, m.sum())
	case in.Kind == emit.KindCounter:
		sink.Counter(&m.series, m.value)
	case in.Kind == emit.KindUpDownCounter:
		sink.UpDownCounter(&m.series, int64(m.value))
	}
}
