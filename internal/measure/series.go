// Package measure times operations beside their alternatives, in turn, and describes the machine that this happens on.
package measure

import (
	"fmt"
	"math"
	"slices"
)

// Series are the figures of one subject, round by round.
type Series []float64

// Median of the rounds. That of none is not a number.
func (s Series) Median() float64 { return s.Quantile(0.5) }

// Quantile is the value below which this part of the rounds lies, interpolated.
func (s Series) Quantile(q float64) float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	at := q * float64(len(sorted)-1)
	below := int(at)
	above := min(below+1, len(sorted)-1)
	return sorted[below] + (at-float64(below))*(sorted[above]-sorted[below])
}

// Over is the series of the ratios within each round, in which both sides met the same machine.
func (s Series) Over(other Series) Series {
	ratios := make(Series, len(s))
	for i := range s {
		ratios[i] = s[i] / other[i]
	}
	return ratios
}

// Minus is the series of the differences, round by round.
func (s Series) Minus(other Series) Series {
	differences := make(Series, len(s))
	for i := range s {
		differences[i] = s[i] - other[i]
	}
	return differences
}

// Figure is a number with the three digits that matter.
func Figure(f float64) string {
	switch {
	case f >= 100:
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.2f", f)
}
