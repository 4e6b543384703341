package top

import (
	"context"
	"errors"
	"os/signal"
	"time"

	tea "charm.land/bubbletea/v2"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/reading"
)

// model is what is on the screen. It implements [tea.Model].
type model struct {
	ctx      context.Context
	watch    *reading.Watch
	interval time.Duration

	width, height int
	latest        *reading.Reading // also while paused
	reading       *reading.Reading // that is shown
	rows          []row
	shown         int // series that pass the filter, folded or not

	order   order
	reverse bool
	flat    bool
	folded  folds
	filter  string
	only    any // the key of a process or service: nothing else is shown
	paused  bool

	typing bool // the filter
	typed  string
	help   bool

	cursor, top int // indices of rows
}

// readMsg is a new reading, or the end of them.
type readMsg struct {
	reading *reading.Reading
	err     error
}

type tickMsg struct{}

// live shows readings until the user has seen enough.
func (o *options) live(ctx context.Context, w *reading.Watch) error {
	ctx, stop := signal.NotifyContext(ctx, unix.SIGHUP)
	defer stop()
	m := &model{ctx: ctx, watch: w, interval: o.interval, order: o.order, filter: o.filter, folded: folds{}}
	p := program(m)
	defer context.AfterFunc(ctx, p.Quit)() // which gives the terminal back as it was
	_, err := p.Run()
	if errors.Is(err, tea.ErrInterrupted) {
		return nil
	}
	return err
}

// program gives the terminal back also when m panics. Signals are the caller's.
func program(m tea.Model) *tea.Program { return tea.NewProgram(m, tea.WithoutSignalHandler()) }

// Init implements [tea.Model].
func (m *model) Init() tea.Cmd { return m.read }

func (m *model) read() tea.Msg {
	r, err := m.watch.Read(m.ctx)
	return readMsg{r, err}
}

// Update implements [tea.Model].
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case readMsg:
		if msg.err != nil {
			return m, tea.Quit
		}
		m.take(msg.reading)
		return m, m.next()
	case tickMsg:
		return m, m.read
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		m.scroll()
	case tea.PasteMsg:
		if m.typing {
			m.edit(m.typed + msg.Content)
		}
	case tea.KeyPressMsg:
		return m, m.press(msg)
	}
	return m, nil
}

// next is the command that waits for the next reading. The first rates are worth having soon.
func (m *model) next() tea.Cmd {
	wait := m.interval
	if m.latest.Interval == 0 {
		wait = min(wait, time.Second)
	}
	return tea.Tick(wait-min(time.Since(m.latest.Time), wait), func(time.Time) tea.Msg { return tickMsg{} })
}

func (m *model) take(r *reading.Reading) {
	m.latest = r
	m.folded.keep(r)
	if !m.paused {
		m.reading = r
		m.arrange()
	}
}

// arrange makes the rows anew. The cursor stays with what it is on, but at the top.
func (m *model) arrange() {
	if m.reading == nil {
		return
	}
	var key any
	if m.cursor > 0 && m.cursor < len(m.rows) {
		key = m.rows[m.cursor].key()
	}
	shown := m.narrowed()
	words := parseFilter(m.filter)
	if m.flat {
		m.rows = flat(shown, words, m.order, m.reverse)
		m.shown = len(m.rows)
	} else {
		m.rows, m.shown = tree(shown, words, m.order, m.reverse, m.folded)
	}
	if key != nil {
		for i := range m.rows {
			if m.rows[i].key() == key {
				m.cursor = i
				break
			}
		}
	}
	m.scroll()
}

// narrowed is the reading with what is to be shown only.
func (m *model) narrowed() *reading.Reading {
	if m.only == nil {
		return m.reading
	}
	r := *m.reading
	r.Processes = nil
	for i := range m.reading.Processes {
		if p := &m.reading.Processes[i]; m.only == any(p.Key) || m.only == any(p.Service) {
			r.Processes = append(r.Processes, *p)
		}
	}
	return &r
}

// scroll keeps the cursor on the rows, and on the screen.
func (m *model) scroll() {
	m.cursor = max(0, min(m.cursor, len(m.rows)-1))
	body := m.body()
	m.top = max(0, min(m.top, len(m.rows)-body))
	m.top = min(m.top, m.cursor)
	m.top = max(m.top, m.cursor-body+1)
}

func (m *model) move(by int) {
	m.cursor += by
	m.scroll()
}
