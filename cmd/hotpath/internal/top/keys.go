package top

import (
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"

	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/screen"
)

// maxFilter is how long a filter may be, in bytes.
const maxFilter = 200

func (m *model) press(key tea.KeyPressMsg) tea.Cmd {
	if key.String() == "ctrl+c" {
		return tea.Quit
	}
	switch {
	case m.typing:
		m.write(key)
		return nil
	case m.help:
		m.help = false
		return nil
	}
	switch key.String() {
	case "q":
		return tea.Quit
	case "ctrl+z":
		return tea.Suspend
	case "?", "h", "f1":
		m.help = true
	case "/":
		m.typing, m.typed = true, m.filter
	case "p":
		m.paused = !m.paused
		m.reading = m.latest
	default:
		m.navigate(key.String())
		return nil
	}
	m.arrange()
	return nil
}

func (m *model) navigate(key string) {
	switch key {
	case "up", "k":
		m.move(-1)
	case "down", "j":
		m.move(1)
	case "pgup", "ctrl+b":
		m.move(-m.body())
	case "pgdown", "ctrl+f":
		m.move(m.body())
	case "home", "g":
		m.move(-len(m.rows))
	case "end", "G":
		m.move(len(m.rows))
	default:
		m.change(key)
	}
}

// change is for keys that change what is shown.
func (m *model) change(key string) {
	switch key {
	case "s":
		m.order = (m.order + 1) % order(len(orders))
	case "r":
		m.reverse = !m.reverse
	case "t":
		m.flat = !m.flat
	case "space", "enter":
		m.fold(m.cursor)
	case "left":
		m.closeRow()
	case "right":
		if m.cursor < len(m.rows) && m.rows[m.cursor].folded {
			m.fold(m.cursor)
		}
	case "z":
		m.foldAll()
	case "o":
		m.narrow()
	case "esc":
		m.filter, m.only = "", nil
	default:
		return
	}
	m.arrange()
}

// fold folds or unfolds a row, if it has children.
func (m *model) fold(i int) {
	if i >= len(m.rows) || m.rows[i].series != nil {
		return
	}
	key := m.rows[i].key()
	if m.folded.has(key) {
		delete(m.folded, key)
	} else {
		m.folded[key] = struct{}{}
	}
}

// closeRow folds the row, or goes to that which it is a child of.
func (m *model) closeRow() {
	if m.flat || m.cursor >= len(m.rows) {
		return
	}
	if r := &m.rows[m.cursor]; r.series == nil && !r.folded {
		m.fold(m.cursor)
		return
	}
	for i := m.cursor - 1; i >= 0; i-- {
		if m.rows[i].depth < m.rows[m.cursor].depth {
			m.cursor = i
			return
		}
	}
}

// foldAll folds all processes, or unfolds everything.
func (m *model) foldAll() {
	if len(m.folded) > 0 || m.reading == nil {
		clear(m.folded)
		return
	}
	for i := range m.reading.Processes {
		m.folded[m.reading.Processes[i].Key] = struct{}{}
	}
}

// narrow shows only the process or service of the row, or everything again.
func (m *model) narrow() {
	if m.only != nil {
		m.only = nil
		return
	}
	if m.cursor >= len(m.rows) {
		return
	}
	if r := &m.rows[m.cursor]; r.process != nil {
		m.only = r.process.Key
	} else {
		m.only = r.service.name
	}
}

// write is for keys while the filter is typed.
func (m *model) write(key tea.KeyPressMsg) {
	switch key.String() {
	case "enter":
		m.typing = false
	case "esc":
		m.typing = false
		m.edit("")
	case "backspace":
		_, size := utf8.DecodeLastRuneInString(m.typed)
		m.edit(m.typed[:len(m.typed)-size])
	case "ctrl+u":
		m.edit("")
	default:
		m.edit(m.typed + key.Text)
	}
}

func (m *model) edit(text string) {
	if len(text) > maxFilter {
		return
	}
	m.typed = screen.Escape(text)
	m.filter = m.typed
	m.arrange()
}
