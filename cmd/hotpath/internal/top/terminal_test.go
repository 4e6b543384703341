package top

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
)

// commandEnv makes this binary the command, with these arguments, or a program that panics when a key is pressed.
const (
	commandEnv = "HOTPATH_TEST_TOP"
	panics     = "panic"
)

// panicker is a screen that panics when a key is pressed.
type panicker struct{}

func (p panicker) Init() tea.Cmd { return nil }

func (p panicker) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	if _, ok := msg.(tea.KeyPressMsg); ok {
		panic("a key")
	}
	return p, nil
}

func (p panicker) View() tea.View {
	v := tea.NewView("a screen")
	v.AltScreen = true
	return v
}

func TestMain(m *testing.M) {
	if args := os.Getenv(commandEnv); args == panics {
		if _, err := program(panicker{}).Run(); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	} else if args != "" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
		defer stop()
		c := Command()
		c.SetArgs(strings.Fields(args))
		if err := c.ExecuteContext(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// terminal is a pseudo-terminal and what was written to it.
type terminal struct {
	*testing.T
	master, slave *os.File
	mu            sync.Mutex
	written       []byte
}

func openTerminal(t *testing.T, width, height uint16) *terminal {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("needs pseudo-terminals: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	require.NoError(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { slave.Close() })
	term := &terminal{T: t, master: master, slave: slave}
	term.resize(width, height)
	go term.read()
	return term
}

func (t *terminal) resize(width, height uint16) {
	require.NoError(t, unix.IoctlSetWinsize(int(t.slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: height, Col: width}))
}

func (t *terminal) read() {
	b := make([]byte, 4096)
	for {
		n, err := t.master.Read(b)
		if err != nil {
			return
		}
		t.mu.Lock()
		t.written = append(t.written, b[:n]...)
		t.mu.Unlock()
	}
}

func (t *terminal) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.written)
}

// shows waits until something was written.
func (t *terminal) shows(what string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(t.text(), what) }, 20*time.Second, 10*time.Millisecond, "%q in %q", what, t.text())
}

func (t *terminal) modes() unix.Termios {
	modes, err := unix.IoctlGetTermios(int(t.slave.Fd()), unix.TCGETS)
	require.NoError(t, err)
	return *modes
}

// run starts the command in the terminal.
func (t *terminal) run(environment []string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(append(os.Environ(), "TERM=xterm-256color", commandEnv+"="+strings.Join(args, " ")), environment...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = t.slave, t.slave, t.slave
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(t, cmd.Start())
	return cmd
}

func publishShop(t *testing.T) (dir string) {
	dir, err := os.MkdirTemp("/dev/shm", "hotpath-test-")
	if err != nil {
		t.Skipf("needs tmpfs at /dev/shm: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	live, err := segmenttest.Publish(dir, "a", segmenttest.Segment{PID: 7, Records: []segmenttest.Record{
		segmenttest.Resource(segmenttest.Str("service.name", "only-here\x1b]0;owned\a")), segmenttest.Counter(1, "requests", segmenttest.Str("op", "\u009b31mget")),
	}}.Bytes())
	require.NoError(t, err)
	t.Cleanup(live.Die)
	return dir
}

const (
	altScreen     = "\x1b[?1049h"
	primaryScreen = "\x1b[?1049l"
)

func TestTheTerminalIsGivenBackHoweverItEnds(t *testing.T) {
	dir := publishShop(t)
	for name, end := range map[string]func(*terminal, *os.Process) error{
		"q":       func(t *terminal, _ *os.Process) error { _, err := t.master.WriteString("q"); return err },
		"ctrl+c":  func(t *terminal, _ *os.Process) error { _, err := t.master.WriteString("\x03"); return err },
		"SIGTERM": func(_ *terminal, p *os.Process) error { return p.Signal(unix.SIGTERM) },
		"SIGHUP":  func(_ *terminal, p *os.Process) error { return p.Signal(unix.SIGHUP) },
		"SIGINT":  func(_ *terminal, p *os.Process) error { return p.Signal(unix.SIGINT) },
	} {
		t.Run(name, func(t *testing.T) {
			term := openTerminal(t, 80, 24)
			before := term.modes()
			cmd := term.run(nil, "--directory", dir, "-d", "100ms")
			term.shows("requests")
			require.Contains(t, term.text(), altScreen)
			require.NotEqual(t, before.Lflag, term.modes().Lflag, "it is raw")
			require.NoError(t, end(term, cmd.Process))
			require.NoError(t, cmd.Wait())
			assert.Equal(t, before, term.modes())
			term.shows(primaryScreen)
			assert.Contains(t, term.text(), "\x1b[?25h", "the cursor is shown")
			for _, sequence := range []string{"\x1b]0;", "\u009b", "\a"} {
				assert.NotContains(t, term.text(), sequence)
			}
		})
	}
}

func TestTheTerminalIsGivenBackAfterAPanic(t *testing.T) {
	term := openTerminal(t, 80, 24)
	before := term.modes()
	cmd := term.run(nil, panics)
	term.shows("a screen")
	_, err := term.master.WriteString("x")
	require.NoError(t, err)
	require.Error(t, cmd.Wait())
	assert.Equal(t, before, term.modes())
	term.shows(primaryScreen)
	term.shows("a key")
}

func TestTheScreenFollowsTheWindow(t *testing.T) {
	term := openTerminal(t, 80, 24)
	cmd := term.run(nil, "--directory", publishShop(t), "-d", "100ms")
	term.shows("requests")
	assert.NotContains(t, term.text(), "UNIT")
	term.resize(140, 40)
	term.shows("UNIT")
	require.NoError(t, cmd.Process.Signal(unix.SIGTERM))
	require.NoError(t, cmd.Wait())
}

func TestThereAreNoColoursWhereNobodyWantsThem(t *testing.T) {
	term := openTerminal(t, 80, 24)
	cmd := term.run([]string{"NO_COLOR=1"}, //nolint:misspell // it is called so
		"--directory", filepath.Join(publishShop(t), "missing"), "-d", "100ms")
	term.shows("No process has published anything yet")
	assert.NotRegexp(t, "\x1b\\[[0-9;]*[34][0-7]m", term.text())
	require.NoError(t, cmd.Process.Signal(unix.SIGTERM))
	require.NoError(t, cmd.Wait())
}

func TestWithoutATerminalItPrintsOneTable(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), commandEnv+"=-d 100ms --filter only-here --directory "+publishShop(t))
	out, err := cmd.Output()
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	require.Len(t, lines, 2)
	assert.Equal(t, []string{"SERVICE", "PID", "SERIES", "KIND", "UNIT", "VALUE", "RATE/s", "P50", "P90", "P99"}, strings.Fields(lines[0]))
	assert.Equal(t, []string{`only-here\x1b]0;owned\a`, "requests", `op=\u009b31mget`, "counter", "1", "0", "0"}, append(strings.Fields(lines[1])[:1], strings.Fields(lines[1])[2:]...))
}
