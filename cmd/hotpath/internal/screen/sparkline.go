package screen

import (
	"math"
	"strings"
)

var bars = []rune("▁▂▃▄▅▆▇█")

// Sparkline draws the last values, the newest at the right, one in each column. The lowest bar is low, or the lowest value if that is less;
// where there is no value, nothing is drawn.
func Sparkline(values []float32, width int, low float64) string {
	if width < len(values) {
		values = values[len(values)-width:]
	}
	high := math.Inf(-1)
	for _, v := range values {
		if drawn(v) {
			low, high = min(low, float64(v)), max(high, float64(v))
		}
	}
	var out strings.Builder
	out.WriteString(blanks(width - len(values)))
	for _, v := range values {
		switch {
		case !drawn(v):
			out.WriteByte(' ')
		case high <= low:
			out.WriteRune(bars[0])
		default:
			out.WriteRune(bars[int(math.Round((float64(v)-low)/(high-low)*float64(len(bars)-1)))])
		}
	}
	return out.String()
}

func drawn(v float32) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }
