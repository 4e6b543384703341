package top

import (
	"fmt"
	"math"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/reading"
	"github.com/hotpath-metrics/hotpath/internal/emit"
)

func show(r *reading.Reading, width, height int) *model {
	m := &model{folded: folds{}, interval: 1e9}
	m.Update(tea.WindowSizeMsg{Width: width, Height: height})
	m.Update(readMsg{reading: r})
	return m
}

// type_ presses keys: names of those that have one, or characters.
func (m *model) type_(keys ...string) {
	named := map[string]rune{
		"up": tea.KeyUp, "down": tea.KeyDown, "left": tea.KeyLeft, "right": tea.KeyRight, "enter": tea.KeyEnter, "esc": tea.KeyEscape,
		"backspace": tea.KeyBackspace, "end": tea.KeyEnd, "home": tea.KeyHome, "pgdown": tea.KeyPgDown, "space": tea.KeySpace,
	}
	for _, k := range keys {
		if code, ok := named[k]; ok {
			m.Update(tea.KeyPressMsg{Code: code})
			continue
		}
		for _, r := range k {
			m.Update(tea.KeyPressMsg{Code: r, Text: string(r)})
		}
	}
}

// lines are those of the screen without styles, and without what is right of the text.
func (m *model) lines() []string {
	lines := strings.Split(ansi.Strip(m.draw()), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return lines
}

// names are the rows on the screen, without numbers.
func (m *model) names() (names []string) {
	for i := range m.rows {
		r := &m.rows[i]
		switch {
		case r.series != nil:
			names = append(names, seriesText(r.series))
		case r.process != nil:
			names = append(names, fmt.Sprint(r.process.PID))
		default:
			names = append(names, r.service.name)
		}
	}
	return names
}

func TestScreenShowsATreeOfWhatIsCounted(t *testing.T) {
	m := show(shops(), 80, 24)
	assert.Equal(t, []string{
		"hotpath top  3 processes, 6 series  by rate ↓                  12:00:00 every 1s",
		"  SERIES                      K   VALUE  RATE/s     P50     P90     P99 TREND",
		"> ▾ shop  2 processes, 5 series",
		"    ▾ 101 shopd  1 series, since 90 s",
		"      requests op=get         c      10     500                                █",
		"    ▾ 100 shopd  4 series, since 90 s",
		"      latency                 h     10k      52   1.2ms    25ms    1.5s",
		"      requests op=get         c    1000      50                                █",
		"      requests op=put         c    9000       2                                █",
		"      queue                   g       3       -",
		"  ▾ bank  1 process, 1 series",
		"    ▾ 50 ledger  1 series, since 90 s",
		"      transfers               c      1M      10                                █",
	}, strings.Split(strings.ReplaceAll(strings.Join(m.lines()[:13], "\n"), "1 min", "90 s"), "\n"))
	assert.Len(t, m.lines(), 24)
	m.type_("down", "down")
	assert.Equal(t, []string{"counter requests in {request}", "op=get  in shop, process 101 shopd"}, m.lines()[20:22])
	assert.Regexp(t, `^10 since 2026-03-01 1\d:58:30$`, m.lines()[22])
}

func TestSeriesAreSortedAsTheUserLikes(t *testing.T) {
	m := show(shops(), 80, 24)
	m.type_("t")
	assert.Equal(t, []string{"requests op=get", "latency", "requests op=get", "transfers", "requests op=put", "queue"}, m.names())
	m.type_("s")
	assert.Equal(t, []string{"latency", "queue", "requests op=get", "requests op=get", "requests op=put", "transfers"}, m.names())
	m.type_("r")
	assert.Equal(t, []string{"transfers", "requests op=put", "requests op=get", "requests op=get", "queue", "latency"}, m.names())
	m.type_("r", "s")
	assert.Equal(t, []string{"transfers", "latency", "requests op=put", "requests op=get", "requests op=get", "queue"}, m.names())
	m.type_("s")
	assert.Equal(t, []string{"transfers", "latency", "queue", "requests op=get", "requests op=put", "requests op=get"}, m.names())
	m.type_("t")
	assert.Equal(t, []string{"bank", "50", "transfers", "shop", "100", "latency", "queue", "requests op=get", "requests op=put", "101", "requests op=get"}, m.names())
}

func TestFilterIsAppliedWhileItIsTyped(t *testing.T) {
	for filter, want := range map[string][]string{
		"REQ":              {"shop", "101", "requests op=get", "100", "requests op=get", "requests op=put"},
		"op=put":           {"shop", "100", "requests op=put"},
		"101":              {"shop", "101", "requests op=get"},
		"ledger":           {"bank", "50", "transfers"},
		"shop lat":         {"shop", "100", "latency"},
		"shop transfers":   {},
		`\x1b`:             {},
		"100 requests get": {"shop", "100", "requests op=get"},
	} {
		m := show(shops(), 80, 24)
		m.type_("/", filter)
		assert.Contains(t, m.lines()[23], "/"+filter)
		m.type_("enter")
		got := m.names()
		if len(want) == 0 {
			assert.Empty(t, got, filter)
			assert.Contains(t, strings.Join(m.lines(), "\n"), "Esc shows everything again")
		} else {
			assert.Equal(t, want, got, filter)
		}
		m.type_("esc")
		assert.Len(t, m.rows, 11)
	}
	m := show(shops(), 80, 24)
	m.type_("/", "abcü", "backspace", "backspace")
	assert.Equal(t, "ab", m.filter)
	m.Update(tea.PasteMsg{Content: "\x1b[31m"})
	assert.Equal(t, `ab\x1b[31m`, m.filter)
	m.type_("q", "esc")
	assert.Empty(t, m.filter)
	assert.False(t, m.typing)
}

func TestServicesAndProcessesFold(t *testing.T) {
	m := show(shops(), 80, 24)
	m.type_("space")
	assert.Equal(t, []string{"shop", "bank", "50", "transfers"}, m.names())
	assert.Contains(t, m.lines()[2], "> ▸ shop  2 processes, 5 series")
	m.type_("right", "down", "down", "left", "left")
	assert.Equal(t, []string{"shop", "101", "100", "latency", "requests op=get", "requests op=put", "queue", "bank", "50", "transfers"}, m.names())
	m.type_("z")
	assert.Len(t, m.rows, 11)
	m.type_("z")
	assert.Equal(t, []string{"shop", "101", "100", "bank", "50"}, m.names())
	m.Update(readMsg{reading: &reading.Reading{Time: now}})
	assert.Empty(t, m.folded, "of processes that are gone nothing is kept")
}

func TestOneProcessOrServiceIsShownAlone(t *testing.T) {
	r := shops()
	m := show(r, 80, 24)
	m.type_("down", "o")
	assert.Equal(t, []string{"shop", "101", "requests op=get"}, m.names())
	m.Update(readMsg{reading: r})
	assert.Equal(t, []string{"shop", "101", "requests op=get"}, m.names())
	m.type_("o")
	assert.Len(t, m.rows, 11)
	m.type_("home", "o")
	assert.Equal(t, "shop", m.names()[0])
	assert.Len(t, m.rows, 8)
	m.type_("esc")
	assert.Len(t, m.rows, 11)
}

func TestPauseKeepsTheReadingAndGoesOnWithTheLatest(t *testing.T) {
	m := show(shops(), 80, 24)
	m.type_("p")
	m.Update(readMsg{reading: &reading.Reading{Time: now}})
	assert.Len(t, m.rows, 11)
	assert.Contains(t, m.lines()[0], "PAUSED")
	m.type_("p")
	assert.Empty(t, m.rows)
	assert.Contains(t, strings.Join(m.lines(), "\n"), "No process counts here")
}

func TestCursorStaysWithItsSeriesAndOnTheScreen(t *testing.T) {
	r := many(30, 10)
	m := show(r, 80, 24)
	m.type_("pgdown", "down")
	key := m.rows[m.cursor].key()
	m.type_("s")
	assert.Equal(t, key, m.rows[m.cursor].key())
	m.type_("end")
	assert.Equal(t, len(m.rows)-1, m.cursor)
	assert.Contains(t, m.lines()[m.height-footLines-m.details()-1], "> ")
	m.Update(tea.WindowSizeMsg{Width: 40, Height: 8})
	assert.Contains(t, strings.Join(m.lines(), "\n"), "\n>")
	r = &reading.Reading{Time: now, Processes: r.Processes[:1]}
	m.Update(readMsg{reading: r})
	assert.Less(t, m.cursor, len(m.rows))
	m.draw()
}

func TestHelpTellsKeysAndAllThatIsNotSeen(t *testing.T) {
	r := shops()
	r.Notes = []string{"first note", "second note that is long enough to be wrapped where the screen is as narrow as eighty columns"}
	m := show(r, 80, 24)
	assert.Equal(t, "first note (+1: ?)", m.lines()[1])
	m.type_("?")
	all := strings.Join(m.lines(), "\n")
	assert.Contains(t, all, "pause")
	assert.Contains(t, strings.Join(strings.Fields(all), " "), r.Notes[1])
	m.type_("q")
	assert.Contains(t, m.lines()[0], "3 processes", "any key goes back")
}

// Whatever sizes and names there are, lines fit and nothing but styles is sent.
func TestHostileNamesNeitherReachTheTerminalNorBreakLines(t *testing.T) {
	evil := "\x1b[2J\x1b]0;owned\x07\n\r\u009b31m\u202e表\u200b" + strings.Repeat("wide表", 50)
	r := &reading.Reading{Time: now, Interval: 1, Notes: []string{"note " + evil}}
	h := histogram("h", math.MaxUint64, math.Inf(1))
	h.Instrument.Unit, h.Instrument.Description = "\x1b[7m", evil
	h.Records.Sum, h.Records.Percentiles = math.Inf(1), reading.Percentiles{P50: math.NaN(), P90: math.Inf(1), P99: math.MaxFloat64}
	u := series(emit.KindUpDownCounter, "u", evil, text(evil, evil))
	u.Integer, u.Rate, u.HasRate = math.MinInt64, -math.MaxFloat64, true
	r.Processes = []reading.Process{process(evil, evil, math.MaxInt64, counter("c", math.MaxUint64, 1e300, text("k", evil)), h, u, gauge("g", math.NaN()), gauge("i", math.Inf(-1)))}
	for _, width := range []int{1, 2, 10, 40, 79, 80, 109, 110, 120, 300} {
		for _, height := range []int{1, 2, 5, 15, 16, 24, 60} {
			m := show(r, width, height)
			for _, keys := range []string{"", "j", "jj", "jjj", "jjjj", "t", "jt", "?", "/\x1b[2J"} {
				m.type_(keys)
				drawn := m.draw()
				lines := strings.Split(drawn, "\n")
				require.LessOrEqual(t, len(lines), height)
				for _, line := range lines {
					require.LessOrEqual(t, ansi.StringWidth(line), width, "%q", line)
					for _, r := range ansi.Strip(line) {
						require.True(t, r >= ' ' && r != 0x7f && (r < 0x80 || r > 0x9f) && r != '\u202e', "%q", line)
					}
				}
				for _, sequence := range []string{"\x1b[2J", "\x1b]", "\a", "\r", "\u009b"} {
					require.NotContains(t, drawn, sequence)
				}
			}
		}
	}
}

func BenchmarkArrangeAndDraw(b *testing.B) {
	for _, size := range []struct{ processes, each int }{{1000, 100}, {10_000, 10}} {
		for name, keys := range map[string]string{"tree": "", "flat": "t", "filtered": "/orders"} {
			b.Run(fmt.Sprintf("%d processes with %d series, %s", size.processes, size.each, name), func(b *testing.B) {
				r := many(size.processes, size.each)
				m := show(r, 120, 40)
				m.type_(keys)
				b.ReportAllocs()
				for b.Loop() {
					m.take(r)
					m.draw()
				}
			})
		}
	}
}

func BenchmarkDraw(b *testing.B) {
	m := show(many(1000, 100), 120, 40)
	for b.Loop() {
		m.type_("down")
		m.draw()
	}
}
