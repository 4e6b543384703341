package top

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/reading"
	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/screen"
	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// detail tells everything about the row that the cursor is on.
func (m *model) detail() []string {
	lines := []string{faint.Styled(strings.Repeat("─", m.width))}
	if m.cursor < len(m.rows) {
		r := &m.rows[m.cursor]
		var facts []string
		switch {
		case r.series != nil:
			facts = seriesFacts(r)
		case r.process != nil:
			facts = []string{
				fmt.Sprintf("process %s, user %d, counting since %s", processText(r.process), r.process.Owner, clock(r.process.Start)),
				screen.Attributes(r.process.Resource),
			}
		default:
			facts = []string{fmt.Sprintf("service %s: %s, %s", screen.Escape(r.service.name),
				counted(len(r.service.processes), "process", "processes"), counted(r.service.series, "series", "series"))}
		}
		for _, fact := range facts {
			lines = append(lines, screen.Cut(fact, m.width))
		}
	}
	for len(lines) < detailLines {
		lines = append(lines, "")
	}
	return lines[:detailLines]
}

func seriesFacts(r *row) []string {
	s := r.series
	what := kinds[s.Instrument.Kind] + " " + screen.Escape(s.Instrument.Name)
	if s.Instrument.Unit != "" {
		what += " in " + screen.Escape(s.Instrument.Unit)
	}
	if s.Instrument.Description != "" {
		what += ": " + screen.Escape(s.Instrument.Description)
	}
	attributes := screen.Attributes(s.Attributes)
	if attributes == "" {
		attributes = "no attributes"
	}
	return []string{what, attributes + "  in " + screen.Escape(r.process.Service) + ", process " + processText(r.process), valueFacts(s)}
}

// valueFacts are all digits.
func valueFacts(s *reading.Series) string {
	since := " since " + clock(s.Start)
	switch {
	case s.Instrument.Kind == emit.KindHistogram:
		text := screen.Whole(s.Counter) + " records" + since
		if s.Counter > 0 {
			text += fmt.Sprintf(", sum %s, mean %s", screen.Measure(s.Records.Sum, s.Instrument.Unit), screen.Measure(s.Records.Sum/float64(s.Counter), s.Instrument.Unit))
		}
		return text
	case s.Instrument.Kind == emit.KindGauge:
		return strconv.FormatFloat(s.Number, 'g', -1, 64)
	case s.Double():
		return strconv.FormatFloat(s.Number, 'g', -1, 64) + since
	case s.Instrument.Kind == emit.KindUpDownCounter:
		return screen.WholeSigned(s.Integer) + since
	}
	return screen.Whole(s.Counter) + since
}

func clock(t time.Time) string { return t.Local().Format(time.DateTime) }
