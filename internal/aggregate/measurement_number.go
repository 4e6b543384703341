package aggregate

import (
	"math"
	"math/bits"
)

// Number is the value of a measurement: an integer, signed or not, or a double.
type Number struct {
	bits uint64 // or of a double
	form form
}

type form uint8

const (
	unsigned form = iota
	signed
	double
)

// Uint returns an unsigned integer as a number.
func Uint(n uint64) Number { return Number{n, unsigned} }

// Int returns a signed integer as a number.
func Int(n int64) Number { return Number{uint64(n), signed} }

// Float returns a double as a number.
func Float(v float64) Number { return Number{math.Float64bits(v), double} }

func (n Number) float() float64 {
	switch n.form {
	case signed:
		return float64(int64(n.bits))
	case double:
		return math.Float64frombits(n.bits)
	default:
		return float64(n.bits)
	}
}

// Refusal is why a measurement was not taken, or "". Its text is what it is counted under.
type Refusal string

// Why a measurement is not taken.
const (
	RefusedNotFinite  Refusal = "value_not_finite"  // it is infinite or not a number
	RefusedNegative   Refusal = "value_negative"    // a counter only rises, and a histogram has no buckets below zero
	RefusedTooLarge   Refusal = "value_too_large"   // the total would be beyond what it can hold
	RefusedNotInteger Refusal = "value_not_integer" // the totals of the instrument are integers
)

// Scale is what the numbers of a stream are multiplied with.
type Scale struct {
	factor  float64
	whole   int64   // the same for totals of integers
	divisor float64 // is used instead of factor where it is not zero
}

// maxWhole bounds factors of integers.
const maxWhole = 1 << 53

// NewScale returns the scale of a factor that is finite and not zero.
func NewScale(factor float64) Scale {
	s := Scale{factor: factor}
	if math.Trunc(factor) == factor && math.Abs(factor) <= maxWhole {
		s.whole = int64(factor)
	}
	// 1e-9 is not a double, but 1e9 is, and a quotient is rounded only once.
	if d := math.Round(1 / factor); math.Abs(d) > 1 && math.Abs(d) <= maxWhole && 1/d == factor {
		s.divisor = d
	}
	return s
}

// Fractional reports whether integers become fractions: then sums of them have to be [emit.Instrument.Double].
func (s Scale) Fractional() bool { return s.whole == 0 }

// Double returns a scaled number.
func (s Scale) Double(v float64) float64 {
	if s.divisor != 0 {
		return v / s.divisor
	}
	return v * s.factor
}

// integer returns what the number adds to a total of integers, in two's complement where that may fall.
func (s Scale) integer(n Number, monotonic bool) (uint64, Refusal) {
	if n.form == double {
		return 0, RefusedNotInteger
	}
	negative := n.form == signed && int64(n.bits) < 0
	amount := n.bits
	if negative {
		amount = -amount
	}
	factor := uint64(s.whole)
	if s.whole < 0 {
		negative, factor = !negative, -factor
	}
	over, amount := bits.Mul64(amount, factor)
	switch {
	case monotonic && negative && amount|over != 0:
		return 0, RefusedNegative
	case over != 0 || !monotonic && amount > math.MaxInt64:
		return 0, RefusedTooLarge
	case negative:
		return -amount, ""
	}
	return amount, ""
}
