package doctor

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func sample() *Report {
	return &Report{
		Machine: Machine{Kernel: "6.12.1", Arch: "x86_64", UID: 1000, Capabilities: []string{"CAP_BPF"}, Container: "docker", Seccomp: true},
		Sources: map[string]Verdict{
			shmName: {Available: true, Reason: "a count came through /dev/shm/hotpath", InUse: "directory is in use by another collector"},
			userEventsName: {
				Reason: strings.Repeat("this kernel has no user_events: ", 8),
				Fix:    "boot a kernel with CONFIG_USER_EVENTS=y, Linux 6.4 or later, whatever it takes, on one line",
			},
			bpfName: {
				Available: true, Reason: "the memfd of a process was found", Notes: []Note{{"No right to open others'", "setcap x"}},
				Probes: &Verdict{Reason: "no right", Fix: "setcap y"},
			},
			uringName: {Reason: "the check did not end within 4s"},
		},
		Clients: map[string]Verdict{shmName: {Available: true, Reason: "publishes"}},
		Config: []Asked{
			{Key: "receivers::hotpath/a::shm", Verdict: Verdict{Reason: "cannot", Fix: "mkdir"}},
			{Key: "receivers::hotpath/b::shm", Optional: true, Verdict: Verdict{Reason: "cannot"}},
			{Key: "receivers::hotpath/d::io_uring", Source: uringName, Unused: true, Verdict: Verdict{Reason: "the check did not end within 4s"}},
			{Key: "receivers::hotpath/c::shm", Verdict: Verdict{Available: true, Reason: "works"}},
		},
		Notes: []Note{{Text: "C clients: an add costs about 0.5 ns"}},
	}
}

func TestTableIsReadable(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, newTable(&out).print(sample()))
	text := out.String()
	assert.NotContains(t, text, "\x1b", "no terminal, no colour")
	for _, line := range strings.Split(text, "\n") {
		if !strings.Contains(line, "-> ") { // commands are to be copied
			assert.LessOrEqual(t, utf8.RuneCountInString(line), width, line)
		}
		assert.Equal(t, strings.TrimRight(line, " "), line, "%q", line)
	}
	for _, part := range []string{
		"Linux 6.12.1 x86_64, user 1000 with CAP_BPF, in a container (docker), under a\nseccomp filter.\n",
		"\nSources  what a Collector",
		"  shm          yes  a count came through /dev/shm/hotpath\n                    In use: directory is",
		"  user_events  no   this kernel has no user_events: this",
		"                    -> boot a kernel with CONFIG_USER_EVENTS=y, Linux 6.4 or later, whatever it takes, on one line\n",
		"  bpf          yes  the memfd of a process was found\n                    No right to open others'\n                    -> setcap x\n    probes     no   no right\n",
		"  bpf (memfd)  no",
		"  receivers::hotpath/a::shm: no\n",
		"  receivers::hotpath/b::shm: no, but it is optional",
		"  receivers::hotpath/c::shm: yes\n    works\n",
		"  receivers::hotpath/d::io_uring: no, but in no pipeline (as above)\n",
		"\nC clients: an add costs",
	} {
		assert.Contains(t, text, part)
	}
}

func TestColourIsForTerminals(t *testing.T) {
	terminal := openTerminal(t)
	t.Setenv("TERM", "xterm")
	t.Setenv(noColour, "")
	assert.True(t, newTable(terminal).colour)
	t.Setenv(noColour, "1")
	assert.False(t, newTable(terminal).colour)
	t.Setenv(noColour, "")
	t.Setenv("TERM", "dumb")
	assert.False(t, newTable(terminal).colour)
	t.Setenv("TERM", "xterm")
	file, err := os.Create(t.TempDir() + "/file")
	require.NoError(t, err)
	defer file.Close()
	assert.False(t, newTable(file).colour)
}

func openTerminal(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func TestColourDoesNotMoveColumns(t *testing.T) {
	var plain, coloured bytes.Buffer
	require.NoError(t, newTable(&plain).print(sample()))
	colours := newTable(&coloured)
	colours.colour = true
	require.NoError(t, colours.print(sample()))
	text := coloured.String()
	for _, code := range []string{bold, red, green, yellow, dim, "0"} {
		text = strings.ReplaceAll(text, "\x1b["+code+"m", "")
	}
	assert.Equal(t, plain.String(), text)
}

func TestJSONHasWhatMachinesExpect(t *testing.T) {
	o := doctor(t, nil, "--json")
	for _, part := range []string{`"sources": {`, `"clients": {`, `"shm": {`, `"user_events": {`, `"bpf": {`, `"io_uring": {`, `"available": `, `"reason": "`, `"fix": "`, `"machine": {`} {
		assert.Contains(t, o.out, part)
	}
	assert.Len(t, o.Sources, 4)
	assert.Len(t, o.Clients, 4)
	assert.NotEmpty(t, o.Machine.Kernel)
	assert.NotEmpty(t, o.Machine.Settings)
}

func TestStatusOfClientsIsUnderstood(t *testing.T) {
	for status, s := range map[string]struct {
		transport string
		standing
	}{
		"hotpath publishes 1 series in /dev/shm/hotpath/x.y.": {shmName, standing{works: true}},
		"hotpath has 1 series but no file for them (open /x: no (really); set it); published as a memfd for a Collector with the source bpf.": {
			shmName, standing{why: "open /x: no (really); set it"},
		},
		"hotpath counts 1 series in private memory, where no Collector sees them (/x; /y).": {bpfName, standing{why: "/x; /y"}},
		"hotpath publishes 1 series in /x/y (z); io_uring is not to be had (it; is not).":   {uringName, standing{why: "it; is not"}},
		"hotpath counts nothing.": {shmName, standing{why: "hotpath counts nothing"}},
	} {
		assert.Equal(t, s.standing, standingOf(s.transport, status), status)
	}
	path, ok := publishedAt("hotpath publishes 1 series in /dev/shm/hotpath/x.y; 1 measurements were refused.")
	assert.True(t, ok)
	assert.Equal(t, "/dev/shm/hotpath/x.y", path)
	_, ok = publishedAt("hotpath counts 1 series in private memory")
	assert.False(t, ok)
}
