package top

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/reading"
	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/screen"
	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// columns of the table; those to the right of texts are numbers.
var columns = []string{"SERVICE", "PID", "SERIES", "KIND", "UNIT", "VALUE", "RATE/s", "P50", "P90", "P99"}

const texts = 5

// writeTable writes series one below the other, numbers exactly.
func writeTable(w io.Writer, all []one) error {
	lines := make([][]string, 0, len(all)+1)
	lines = append(lines, columns)
	for i := range all {
		lines = append(lines, cells(&all[i]))
	}
	widths := make([]int, len(columns))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], screen.Width(cell))
		}
	}
	out := bufio.NewWriter(w)
	for _, line := range lines {
		for i := range line {
			if i < texts && i != 1 {
				line[i] = screen.Left(line[i], widths[i])
			} else {
				line[i] = screen.Right(line[i], widths[i])
			}
		}
		fmt.Fprintf(out, "%s\n", strings.TrimRight(strings.Join(line, "  "), " "))
	}
	return out.Flush()
}

func cells(o *one) []string {
	s := o.series
	line := []string{
		screen.Escape(o.process.Service), strconv.FormatInt(o.process.PID, 10), seriesText(s), kinds[s.Instrument.Kind], screen.Escape(s.Instrument.Unit),
		exact(s), rate(s), "", "", "",
	}
	if p := s.Records.Percentiles; s.Instrument.Kind == emit.KindHistogram && s.Counter > 0 {
		for i, v := range []float64{p.P50, p.P90, p.P99} {
			line[len(line)-3+i] = screen.Measure(v, s.Instrument.Unit)
		}
	}
	if o.process.Ended {
		line[1] += " ended"
	}
	return line
}

func seriesText(s *reading.Series) string {
	if len(s.Attributes) == 0 {
		return screen.Escape(s.Instrument.Name)
	}
	return screen.Escape(s.Instrument.Name) + " " + screen.Attributes(s.Attributes)
}

// exact is a value with all its digits: of a histogram, its count.
func exact(s *reading.Series) string {
	switch {
	case s.Double():
		return strconv.FormatFloat(s.Number, 'g', -1, 64)
	case s.Instrument.Kind == emit.KindUpDownCounter:
		return strconv.FormatInt(s.Integer, 10)
	default:
		return strconv.FormatUint(s.Counter, 10)
	}
}

func rate(s *reading.Series) string {
	if !s.HasRate || math.IsNaN(s.Rate) {
		return "-"
	}
	return screen.Number(s.Rate)
}
