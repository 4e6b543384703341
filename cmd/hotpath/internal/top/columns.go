package top

import (
	"fmt"
	"strings"
	"time"

	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/reading"
	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/screen"
	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// columnSet is how wide columns are; one that is 0 is not there.
type columnSet struct {
	name, process, kind, unit, number, trend int
}

const (
	numberWidth = 7
	numbers     = 5 // value, rate, and three percentiles
	roomy       = 110
)

func (m *model) columns() columnSet {
	c := columnSet{number: numberWidth, kind: 1, trend: 8}
	if m.flat {
		c.process = 7
	}
	if m.width >= roomy {
		c.kind, c.unit, c.trend = len("histogram"), 11, reading.History
		if m.flat {
			c.process, c.trend = 18, 12
		}
	}
	c.name = m.width - 2 - numbers*(c.number+1) - c.trend - c.kind - 2
	for _, optional := range []int{c.unit, c.process} {
		if optional > 0 {
			c.name -= optional + 1
		}
	}
	c.name = max(c.name, 8)
	return c
}

func (c *columnSet) head(width int) string {
	cells := []string{screen.Left("  SERIES", c.name+2)}
	if c.process > 0 {
		cells = append(cells, screen.Left("PROCESS", c.process))
	}
	cells = append(cells, screen.Left("KIND", c.kind))
	if c.kind == 1 {
		cells[len(cells)-1] = "K"
	}
	if c.unit > 0 {
		cells = append(cells, screen.Left("UNIT", c.unit))
	}
	for _, name := range []string{"VALUE", "RATE/s", "P50", "P90", "P99"} {
		cells = append(cells, screen.Right(name, c.number))
	}
	cells = append(cells, screen.Left("TREND", c.trend))
	return screen.Left(strings.Join(cells, " "), width)
}

// line draws a row.
func (m *model) line(r *row, c columnSet, current bool) string {
	marker := "  "
	if current {
		marker = "> "
	}
	switch {
	case r.series != nil:
		return m.seriesLine(r, c, marker, current)
	case r.process != nil:
		return m.groupLine(marker+"  "+fold(r.folded)+processText(r.process), m.processFacts(r), current)
	}
	return m.groupLine(marker+fold(r.folded)+screen.Escape(r.service.name),
		counted(len(r.service.processes), "process", "processes")+", "+counted(r.service.series, "series", "series"), current)
}

func fold(folded bool) string {
	if folded {
		return "▸ "
	}
	return "▾ "
}

func processText(p *reading.Process) string {
	if p.Command == "" {
		return fmt.Sprint(p.PID)
	}
	return fmt.Sprintf("%d %s", p.PID, screen.Escape(p.Command))
}

func (m *model) processFacts(r *row) string {
	facts := counted(r.shown, "series", "series")
	if r.process.Ended {
		return facts + ", ended"
	}
	return facts + ", since " + age(m.reading.Time.Sub(r.process.Start))
}

func age(d time.Duration) string {
	switch {
	case d < 0:
		return "a time to come"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours())/24)
}

func (m *model) groupLine(name, facts string, current bool) string {
	name = screen.Cut(name, m.width)
	facts = screen.Cut("  "+facts, m.width-screen.Width(name))
	if current {
		return selected.Styled(screen.Left(name+facts, m.width))
	}
	return bold.Styled(name) + faint.Styled(facts)
}

func (m *model) seriesLine(r *row, c columnSet, marker string, current bool) string {
	s := r.series
	indent := strings.Repeat("  ", r.depth)
	cells := []string{marker + indent + nameText(s, c.name-len(indent))}
	if c.process > 0 {
		text := processText(r.process)
		if m.width < roomy {
			text = fmt.Sprint(r.process.PID)
		}
		cells = append(cells, screen.Left(text, c.process))
	}
	cells = append(cells, kindText(s.Instrument.Kind, c.kind))
	if c.unit > 0 {
		cells = append(cells, screen.Left(screen.Escape(s.Instrument.Unit), c.unit))
	}
	grown := rate(s)
	if r.process.Ended {
		grown = "ended"
	}
	cells = append(cells, screen.Right(screen.Number(s.Value()), c.number), screen.Right(grown, c.number))
	p := s.Records.Percentiles
	for _, v := range []float64{p.P50, p.P90, p.P99} {
		text := ""
		if s.Instrument.Kind == emit.KindHistogram && s.Counter > 0 {
			text = screen.Measure(v, s.Instrument.Unit)
		}
		cells = append(cells, screen.Right(text, c.number))
	}
	line := strings.Join(cells, " ") + " "
	spark := screen.Sparkline(s.Trend[:], c.trend, lowest(s))
	if current {
		line = selected.Styled(line)
	} else if s.HasRate && s.Rate == 0 && s.Instrument.Kind != emit.KindUpDownCounter {
		line = faint.Styled(line)
	}
	style := trendStyle(s.Instrument.Kind)
	return line + style.Styled(spark)
}

// lowest is what the lowest bar of a trend means: rates begin at zero.
func lowest(s *reading.Series) float64 {
	if s.Instrument.Kind == emit.KindGauge || s.Instrument.Kind == emit.KindUpDownCounter {
		return s.Value()
	}
	return 0
}

// nameText is the name of a series and its attributes, in so many columns. Neither takes all of them where there is not enough for both.
func nameText(s *reading.Series, width int) string {
	name := screen.Escape(s.Instrument.Name)
	if len(s.Attributes) == 0 {
		return screen.Left(name, width)
	}
	attributes := screen.Attributes(s.Attributes)
	if screen.Width(name)+1+screen.Width(attributes) > width {
		attributes = screen.Values(s.Attributes) // the keys are those of the series around it, as a rule
	}
	if room := width - 1 - screen.Width(attributes); screen.Width(name) > room {
		name = screen.Cut(name, max(room, width/3))
	}
	return screen.Left(name+" "+attributes, width)
}

func kindText(kind emit.Kind, width int) string {
	if width == 1 {
		return kinds[kind][:1]
	}
	if kind == emit.KindUpDownCounter {
		return screen.Left("updown", width)
	}
	return screen.Left(kinds[kind], width)
}
