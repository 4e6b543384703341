package screen

import (
	"math"
	"strconv"
	"strings"
)

// Number is a value in seven columns at most, with three digits or as many as it has.
func Number(v float64) string {
	switch size := math.Abs(v); {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 0):
		return strings.TrimPrefix(strconv.FormatFloat(v, 'g', -1, 64), "+")
	case size >= 9_999.5:
		return scaled(v, size)
	case v == math.Trunc(v), size >= 999.5:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case size < 0.001:
		return strconv.FormatFloat(v, 'e', 0, 64)
	default:
		return digits(v)
	}
}

var prefixes = []string{"", "k", "M", "G", "T", "P", "E"}

func scaled(v, size float64) string {
	for i, prefix := range prefixes {
		if size < 999.5 || i == len(prefixes)-1 && size < 99_999.5 {
			return digits(v) + prefix
		}
		v, size = v/1000, size/1000
	}
	return strconv.FormatFloat(v*math.Pow(1000, float64(len(prefixes))), 'e', 0, 64)
}

// digits are three of them.
func digits(v float64) string {
	decimals := 2
	switch size := math.Abs(v); {
	case size >= 99.95:
		decimals = 0
	case size >= 9.995:
		decimals = 1
	case size < 0.0995:
		decimals = 4
	case size < 0.9995:
		decimals = 3
	}
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

var times = []struct {
	seconds float64
	unit    string
}{{3600, "h"}, {60, "min"}, {1, "s"}, {1e-3, "ms"}, {1e-6, "µs"}, {1e-9, "ns"}}

// Measure is a value of a unit (UCUM's, as OpenTelemetry asks for) in seven columns: of seconds with a prefix that suits, of others without unit.
func Measure(v float64, unit string) string {
	if unit != "s" || v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return Number(v)
	}
	for _, t := range times {
		if math.Abs(v) >= t.seconds*0.9995 {
			return Number3(v/t.seconds) + t.unit
		}
	}
	return Number3(v/1e-9) + "ns"
}

// Number3 is a value with three digits.
func Number3(v float64) string {
	if size := math.Abs(v); size >= 999.5 || size < 0.001 {
		return Number(v)
	}
	return digits(v)
}

// Whole is a whole number with its thousands apart.
func Whole(n uint64) string { return apart(strconv.FormatUint(n, 10)) }

// WholeSigned does the same with one that may be negative.
func WholeSigned(n int64) string {
	if s, negative := strings.CutPrefix(strconv.FormatInt(n, 10), "-"); negative {
		return "-" + apart(s)
	}
	return Whole(uint64(n))
}

func apart(s string) string {
	for at := len(s) - 3; at > 0; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}
