package top

import (
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/screen"
)

const (
	headLines   = 2 // title and columns
	detailLines = 4 // with the rule above
	footLines   = 1
	// Where the screen is lower, there are no details.
	minDetailHeight = 16
)

// body is how many rows fit on the screen.
func (m *model) body() int { return max(m.height-headLines-m.noteLines()-footLines-m.details(), 1) }

func (m *model) noteLines() int {
	if m.reading == nil || len(m.reading.Notes) == 0 {
		return 0
	}
	return 1
}

func (m *model) details() int {
	if m.height < minDetailHeight {
		return 0
	}
	return detailLines
}

// View implements [tea.Model].
func (m *model) View() tea.View {
	v := tea.NewView(m.draw())
	v.AltScreen = true
	return v
}

func (m *model) draw() string {
	if m.width == 0 || m.height == 0 {
		return ""
	}
	var lines []string
	switch {
	case m.help:
		lines = m.helpLines()
	case m.reading == nil:
		lines = []string{m.title()}
	default:
		c := m.columns()
		lines = append(lines, m.title())
		if m.noteLines() > 0 {
			lines = append(lines, m.note())
		}
		lines = append(lines, heading.Styled(c.head(m.width)))
		lines = append(lines, m.bodyLines()...)
		if m.details() > 0 {
			lines = append(lines, m.detail()...)
		}
	}
	for len(lines) < m.height-footLines {
		lines = append(lines, "")
	}
	lines = append(lines[:max(m.height-footLines, 0)], m.foot())
	for i := range lines { // where the screen is narrower than the columns
		lines[i] = ansi.Truncate(lines[i], m.width, "")
	}
	return strings.Join(lines, "\n")
}

// title says what is shown, and of when.
func (m *model) title() string {
	left := "hotpath top"
	if m.reading == nil {
		return bold.Styled(left)
	}
	processes, ended, series := len(m.reading.Processes), 0, m.reading.Series()
	for i := range m.reading.Processes {
		if m.reading.Processes[i].Ended {
			ended++
		}
	}
	text := "  " + counted(processes, "process", "processes")
	if ended > 0 {
		text += fmt.Sprintf(" (%d ended)", ended)
	}
	text += ", "
	if m.filter != "" || m.only != nil {
		text += screen.Whole(uint64(m.shown)) + " of "
	}
	text += counted(series, "series", "series")
	text += fmt.Sprintf("  by %v %s", m.order, arrow(m.reverse))
	if m.filter != "" {
		text += fmt.Sprintf("  /%s", m.filter)
	}
	if m.only != nil {
		text += "  one only"
	}
	right := m.reading.Time.Format(time.TimeOnly) + fmt.Sprintf(" every %v", m.interval)
	if m.paused {
		right = m.reading.Time.Format(time.TimeOnly) + " PAUSED"
	}
	text = screen.Left(text, m.width-screen.Width(left)-screen.Width(right)-1) + " "
	if m.paused {
		right = warning.Styled(right)
	}
	return bold.Styled(left) + text + right
}

func arrow(reverse bool) string {
	if reverse {
		return "↑"
	}
	return "↓"
}

func counted(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return screen.Whole(uint64(n)) + " " + more
}

// note is the line for what cannot be seen.
func (m *model) note() string {
	notes := m.reading.Notes
	more := ""
	if len(notes) > 1 {
		more = fmt.Sprintf(" (+%d: ?)", len(notes)-1)
	}
	return warning.Styled(screen.Cut(screen.Escape(notes[0]), m.width-len(more)) + more)
}

func (m *model) bodyLines() []string {
	body := m.body()
	lines := make([]string, 0, body)
	if len(m.rows) == 0 {
		lines = append(lines, "", faint.Styled("  "+m.nothing()))
	}
	columns := m.columns()
	for i := m.top; i < min(m.top+body, len(m.rows)); i++ {
		lines = append(lines, m.line(&m.rows[i], columns, i == m.cursor))
	}
	for len(lines) < body {
		lines = append(lines, "")
	}
	return lines[:body]
}

func (m *model) nothing() string {
	if m.filter != "" || m.only != nil {
		return "Nothing here has all of that. Esc shows everything again."
	}
	return "No process counts here. A client shows up as soon as it has a first series."
}

// foot is the last line: the filter while it is typed, or keys.
func (m *model) foot() string {
	if m.typing {
		return key.Styled("/") + screen.Cut(m.typed, m.width-30) + "▏ " + faint.Styled("Enter keeps it, Esc clears it")
	}
	if m.help {
		return faint.Styled("any key goes back")
	}
	var out strings.Builder
	width := 0
	for _, k := range []struct{ key, does string }{
		{"q", "quit"}, {"?", "help"}, {"/", "filter"}, {"s", "sort"}, {"t", "tree"}, {"space", "fold"}, {"o", "only"}, {"p", "pause"},
	} {
		width += len(k.key) + len(k.does) + 3
		if width > m.width {
			break
		}
		out.WriteString(key.Styled(k.key) + " " + faint.Styled(k.does) + "  ")
	}
	return out.String()
}
