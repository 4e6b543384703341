package top

import (
	"strings"

	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/screen"
)

var help = [][2]string{
	{"↑ ↓ PgUp PgDn Home End", "move; what the cursor is on is told below in full"},
	{"space Enter ← →", "fold or unfold a service or process"},
	{"z", "fold all processes, or unfold all"},
	{"t", "tree of services and processes, or one list"},
	{"s r", "sort by rate, name, total or process; turn round"},
	{"/", "filter by words, all of which have to be in the name,"},
	{"", "attributes (op=get), service, command, or be the pid"},
	{"o", "only this process or service; again for all"},
	{"Esc", "show everything again"},
	{"p", "pause"},
	{"q", "quit"},
	{"", ""},
	{"K", "counter, updowncounter, gauge, histogram"},
	{"VALUE", "total; last value of a gauge; records of a histogram"},
	{"P50 P90 P99", "of what was recorded since the last reading, or of all"},
	{"TREND", "last rates; last values of gauges and updowncounters"},
}

func (m *model) helpLines() []string {
	lines := []string{bold.Styled("hotpath top"), ""}
	for _, h := range help {
		lines = append(lines, screen.Cut("  "+screen.Left(h[0], 23)+h[1], m.width))
	}
	if m.reading != nil && len(m.reading.Notes) > 0 {
		lines = append(lines, "")
		for _, note := range m.reading.Notes {
			for _, line := range wrapped(screen.Escape(note), m.width) {
				lines = append(lines, warning.Styled(line))
			}
		}
	}
	return lines
}

// wrapped breaks text between words.
func wrapped(text string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case screen.Width(line)+1+screen.Width(word) <= width:
			line += " " + word
		default:
			lines = append(lines, screen.Cut(line, width))
			line = word
		}
	}
	return append(lines, screen.Cut(line, width))
}
