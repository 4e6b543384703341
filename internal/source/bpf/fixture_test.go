package bpf

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
	"github.com/hotpath-metrics/hotpath/internal/quota"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
	"github.com/hotpath-metrics/hotpath/internal/source/segments/segmentstest"
)

var program string // testdata/counts.c, compiled

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if os.Getenv(ofAnother) != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "hotpath-bpf")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // other users run it, too
		panic(err)
	}
	program = filepath.Join(dir, "counts")
	build := exec.Command("gcc", "-O2", "-pthread", "-I../../../client/c", "testdata/counts.c", "-o", program)
	if given := os.Getenv("HOTPATH_PROGRAMS"); given != "" {
		build = exec.Command("cp", filepath.Join(given, "counts"), program)
	}
	if out, err := build.CombinedOutput(); err != nil {
		panic(string(out))
	}
	return m.Run()
}

// telemetry is what the source said about itself.
type telemetry struct {
	*segmentstest.Telemetry
	mu      sync.Mutex
	dropped int64
}

func newTelemetry() *telemetry {
	return &telemetry{Telemetry: segmentstest.NewTelemetry()}
}

func (t *telemetry) EventsDropped(_ int, n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dropped += n
}

func (t *telemetry) EventsRead(int64)            {}
func (t *telemetry) EventsSkipped(string, int64) {}
func (t *telemetry) EventsNearLimit(int64)       {}

func (t *telemetry) reasons() map[string]int64 { return t.Skipped() }

var testLimits = segments.Limits{
	Limits:      quota.Limits{Segments: 4000, SegmentsPerUID: 4000, Series: 1e6, SeriesPerUID: 1e6, SeriesPerSegment: 20000},
	SegmentSize: 64 << 20,
}

// fixture is a source that runs, and what it said.
type fixture struct {
	t *testing.T
	*source
	tel *telemetry
}

// need skips a test where BPF can't be used; CI takes no skip.
func need(t *testing.T) {
	t.Helper()
	device, err := memfdDevice()
	require.NoError(t, err)
	p, err := load(device)
	if err == nil {
		require.NoError(t, p.close())
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal(err)
	}
	t.Skip(err)
}

func newSource(t *testing.T, limits segments.Limits) *fixture {
	need(t)
	f := &fixture{t: t, tel: newTelemetry()}
	f.source = newMemfds(false, limits, zaptest.NewLogger(t, zaptest.WrapOptions()), f.tel)
	return f
}

// start runs a source for the time of the test.
func start(t *testing.T) *fixture {
	t.Helper()
	f := newSource(t, testLimits)
	f.begin()
	return f
}

func (f *fixture) begin() {
	require.NoError(f.t, f.Start(context.Background(), nil))
	f.t.Cleanup(func() { assert.NoError(f.t, f.Shutdown(context.Background())) })
}

// lookAgain has the next collection look through all processes.
func (s *source) lookAgain() { s.listed = time.Time{} }

// collect returns what the source hands over now, and commits it.
func (f *fixture) collect() *emittest.Recorder {
	f.t.Helper()
	r := &emittest.Recorder{}
	require.NoError(f.t, f.Collect(context.Background(), r))
	f.Commit()
	return r
}

// held is how many segments of some processes the source has open. Other programs of the machine may have some, too.
func (f *fixture) held(pids ...int) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, pid := range pids {
		n += len(f.processes[uint32(pid)])
	}
	return n
}

// total is what a collection has of a counter of some processes, by the kernel's word.
func total(r *emittest.Recorder, key string, pids ...int) (n uint64) {
	for _, pid := range pids {
		for _, p := range of(r, pid) {
			n += p.Counters[key]
		}
	}
	return n
}

func of(r *emittest.Recorder, pid int) (found []*emittest.Process) {
	for _, p := range r.Processes {
		if p.Resource["process.pid"] == strconv.Itoa(pid) && p.Info.State != emit.Gone {
			found = append(found, p)
		}
	}
	return found
}

// process is a program that counts.
type process struct {
	*exec.Cmd
	in  io.WriteCloser
	pid int
}

func command(args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "HOTPATH_TRANSPORT=bpf", "OTEL_SERVICE_NAME=counts")
	cmd.Stderr = os.Stderr
	return cmd
}

// spawn returns once the program is ready.
func spawn(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	p := &process{cmd, in, cmd.Process.Pid}
	t.Cleanup(p.end)
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)
	return p
}

func (p *process) end() {
	_ = p.in.Close()
	_ = p.Wait()
}

// eventually is for what the source finds out by itself.
func eventually(t *testing.T, what func() bool, msg string) {
	t.Helper()
	require.Eventually(t, what, time.Minute, 5*time.Millisecond, msg)
}
