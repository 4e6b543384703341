package screen

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNumbersHaveThreeDigitsOrAsManyAsTheyHave(t *testing.T) {
	for want, v := range map[string]float64{
		"0": 0, "1": 1, "-1": -1, "999": 999, "1000": 1000, "9999": 9999, "10k": 10_000, "12.3k": 12_345, "123k": 123_456, "1M": 999_500, "1.23M": 1_234_567,
		"12.3M": 12_345_678, "1.23G": 1.234e9, "18.4E": 18.4e18, "1e+25": 1e25, "0.5": 0.5, "0.123": 0.1234, "0.0123": 0.01234, "1e-05": 0.00001, "3.14": math.Pi, "-12.3k": -12_345,
		"NaN": math.NaN(), "Inf": math.Inf(1), "-Inf": math.Inf(-1), "99.9": 99.94, "100": 99.96, "10": 9.999,
	} {
		assert.Equal(t, want, Number(v))
	}
}

func TestNoNumberTakesMoreThanSevenColumns(t *testing.T) {
	for e := -320.0; e <= 308; e += 0.03 {
		for _, v := range []float64{math.Pow(10, e), -math.Pow(10, e)} {
			assert.LessOrEqual(t, Width(Number(v)), 7, "%g: %s", v, Number(v))
		}
	}
	for e := -9.0; e <= 9; e += 0.01 {
		v := math.Pow(10, e)
		assert.LessOrEqual(t, Width(Measure(v, "s")), 7, "%g: %s", v, Measure(v, "s"))
	}
}

func TestSecondsAreToldWithAPrefixThatSuits(t *testing.T) {
	for want, v := range map[string]float64{
		"21.7µs": 21.7e-6, "1.5ms": 0.0015, "250ms": 0.25, "1s": 1, "1.5min": 90, "2h": 7200, "3ns": 3e-9, "0": 0, "0.5ns": 5e-10,
	} {
		assert.Equal(t, want, Measure(v, "s"))
	}
	assert.Equal(t, "1500", Measure(1500, "By"))
}

func TestWholeNumbersHaveTheirThousandsApart(t *testing.T) {
	assert.Equal(t, "0", Whole(0))
	assert.Equal(t, "18,446,744,073,709,551,615", Whole(math.MaxUint64))
	assert.Equal(t, "-9,223,372,036,854,775,808", WholeSigned(math.MinInt64))
	assert.Equal(t, "-100", WholeSigned(-100))
}

func TestSparklinesAreScaledAndLeaveGaps(t *testing.T) {
	gap := float32(math.NaN())
	for _, tt := range []struct {
		values []float32
		width  int
		low    float64
		want   string
	}{
		{[]float32{0, 1, 2, 3, 4, 5, 6, 7}, 8, 0, "▁▂▃▄▅▆▇█"},
		{[]float32{gap, 1, gap, 7}, 4, 0, " ▂ █"},
		{[]float32{1, 2, 3, 4}, 2, 0, "▆█"},
		{[]float32{5, 5}, 4, 5, "  ▁▁"},
		{[]float32{5, 5}, 4, 0, "  ██"},
		{[]float32{0, 0}, 2, 0, "▁▁"},
		{[]float32{-7, 0}, 2, 0, "▁█"},
		{[]float32{float32(math.Inf(1)), 3}, 2, 0, " █"},
		{nil, 3, 0, "   "},
	} {
		assert.Equal(t, tt.want, Sparkline(tt.values, tt.width, tt.low), "%v", tt.values)
	}
}
