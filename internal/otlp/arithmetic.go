package otlp

import (
	"math"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// point is what the points of all kinds of metrics that have a temporality can do.
type point interface {
	Attributes() pcommon.Map
	Flags() pmetric.DataPointFlags
	StartTimestamp() pcommon.Timestamp
	SetStartTimestamp(pcommon.Timestamp)
	Timestamp() pcommon.Timestamp
	SetTimestamp(pcommon.Timestamp)
}

// arithmetic is how points of one kind add up. Exemplars do not.
type arithmetic[P point] struct {
	// valid says whether a point can be part of a total that stays a number and, if the metric is monotonic, grows.
	valid func(*metricTotals, P) bool
	// first makes a total of a point.
	first func(P) P
	// compatible says whether a point can be added to a total.
	compatible func(total, p P) bool
	add        func(total, p P)
	// size is how many bytes a point's values take at most, beside a few.
	size func(P) int
}

var numbers = arithmetic[pmetric.NumberDataPoint]{
	valid: func(m *metricTotals, p pmetric.NumberDataPoint) bool {
		switch p.ValueType() {
		case pmetric.NumberDataPointValueTypeInt:
			return p.IntValue() >= 0 || !m.common.Sum().IsMonotonic()
		case pmetric.NumberDataPointValueTypeDouble:
			return finite(p.DoubleValue()) && (p.DoubleValue() >= 0 || !m.common.Sum().IsMonotonic())
		}
		return false
	},
	first: func(p pmetric.NumberDataPoint) pmetric.NumberDataPoint {
		total := pmetric.NewNumberDataPoint()
		p.CopyTo(total)
		total.Exemplars().RemoveIf(func(pmetric.Exemplar) bool { return true })
		return total
	},
	compatible: func(_, _ pmetric.NumberDataPoint) bool { return true },
	add:        addNumber,
	size:       func(pmetric.NumberDataPoint) int { return 0 },
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// addNumber goes on with doubles where an integer would wrap.
func addNumber(total, p pmetric.NumberDataPoint) {
	if total.ValueType() == pmetric.NumberDataPointValueTypeInt && p.ValueType() == pmetric.NumberDataPointValueTypeInt {
		a, b := total.IntValue(), p.IntValue()
		if sum := a + b; (sum >= a) == (b >= 0) {
			total.SetIntValue(sum)
			return
		}
	}
	total.SetDoubleValue(double(total) + double(p))
}

func double(p pmetric.NumberDataPoint) float64 {
	if p.ValueType() == pmetric.NumberDataPointValueTypeInt {
		return float64(p.IntValue())
	}
	return p.DoubleValue()
}

var histograms = arithmetic[pmetric.HistogramDataPoint]{
	valid: func(_ *metricTotals, p pmetric.HistogramDataPoint) bool {
		bounds, counts := p.ExplicitBounds().Len(), p.BucketCounts().Len()
		return (counts == bounds+1 || counts == 0 && bounds == 0) && validSummary(p)
	},
	first: func(p pmetric.HistogramDataPoint) pmetric.HistogramDataPoint {
		total := pmetric.NewHistogramDataPoint()
		p.CopyTo(total)
		total.Exemplars().RemoveIf(func(pmetric.Exemplar) bool { return true })
		return total
	},
	compatible: func(total, p pmetric.HistogramDataPoint) bool {
		return total.BucketCounts().Len() == p.BucketCounts().Len() &&
			slices.Equal(total.ExplicitBounds().AsRaw(), p.ExplicitBounds().AsRaw())
	},
	add: func(total, p pmetric.HistogramDataPoint) {
		addSummary(total, p)
		counts := total.BucketCounts()
		for i, n := range p.BucketCounts().All() {
			counts.SetAt(i, counts.At(i)+n)
		}
	},
	size: func(p pmetric.HistogramDataPoint) int { return 8 * (p.ExplicitBounds().Len() + p.BucketCounts().Len()) },
}

// summarised is what both kinds of histograms say of their values as a whole.
type summarised interface {
	Count() uint64
	SetCount(uint64)
	HasSum() bool
	Sum() float64
	SetSum(float64)
	RemoveSum()
	HasMin() bool
	Min() float64
	SetMin(float64)
	RemoveMin()
	HasMax() bool
	Max() float64
	SetMax(float64)
	RemoveMax()
}

func validSummary(p summarised) bool {
	return (!p.HasSum() || finite(p.Sum())) && !math.IsNaN(p.Min()) && !math.IsNaN(p.Max())
}

// addSummary keeps of sum, minimum and maximum what all points had.
func addSummary(total, p summarised) {
	total.SetCount(total.Count() + p.Count())
	if total.HasSum() && p.HasSum() {
		total.SetSum(total.Sum() + p.Sum())
	} else {
		total.RemoveSum()
	}
	if total.HasMin() && p.HasMin() {
		total.SetMin(min(total.Min(), p.Min()))
	} else {
		total.RemoveMin()
	}
	if total.HasMax() && p.HasMax() {
		total.SetMax(max(total.Max(), p.Max()))
	} else {
		total.RemoveMax()
	}
}
