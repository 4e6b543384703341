package probe

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
)

var programs string // the folder that testdata/build.sh has built into

func TestMain(m *testing.M) {
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	if programs = os.Getenv(ofAnother); programs != "" {
		return m.Run()
	}
	var err error
	if programs, err = os.MkdirTemp("", "hotpath-probe"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(programs)
	if err := os.Chmod(programs, 0o755); err != nil { // other users run them, too
		panic(err)
	}
	build := exec.Command("testdata/build.sh", programs)
	if given := os.Getenv("HOTPATH_PROGRAMS"); given != "" { // build.sh has built into
		build = exec.Command("cp", "-r", given+"/.", programs)
	}
	if out, err := build.CombinedOutput(); err != nil {
		panic(string(out))
	}
	return m.Run()
}

// ofAnother names the programs of the run that has started this one for a test.
const ofAnother = "HOTPATH_TEST_PROGRAMS"

// usable is why BPF can't be used.
var usable = sync.OnceValue(func() error {
	k, err := inspect()
	if err != nil {
		return err
	}
	c, err := loadCommon(k, 1, false)
	if err != nil {
		return err
	}
	return c.close()
})

// need skips a test where BPF can't be used; CI takes no skip.
func need(t testing.TB) {
	t.Helper()
	switch err := usable(); {
	case err == nil:
	case os.Getenv("CI") != "":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
}

// telemetry is what the source said about itself.
type telemetry struct {
	mu      sync.Mutex
	read    int64
	dropped int64
	skipped map[string]int64
}

func (t *telemetry) EventsRead(n int64)           { t.mu.Lock(); defer t.mu.Unlock(); t.read += n }
func (t *telemetry) EventsDropped(_ int, n int64) { t.mu.Lock(); defer t.mu.Unlock(); t.dropped += n }

func (t *telemetry) EventsSkipped(r string, n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.skipped[r] += n
}
func (t *telemetry) EventsNearLimit(int64) {}

// read reads the list `probes` as the Collector does. ${name} is the path of a program.
func read(t testing.TB, yaml string) (Configs, error) {
	t.Helper()
	retrieved, err := confmap.NewRetrievedFromYAML([]byte("probes:\n" + os.Expand(yaml, program)))
	require.NoError(t, err)
	conf, err := retrieved.AsConf()
	require.NoError(t, err)
	var cfg struct {
		Probes Configs `mapstructure:"probes"`
	}
	if err := conf.Unmarshal(&cfg); err != nil {
		return nil, err
	}
	return cfg.Probes, confmap.Validate(&cfg)
}

func program(name string) string { return filepath.Join(programs, name) }

var ample = Limits{Processes: 1000, Series: 100_000, SeriesPerUID: 100_000}

// fixture is a source, and what it said.
type fixture struct {
	*Source
	t    testing.TB
	tel  *telemetry
	logs *observer.ObservedLogs
}

func newFixture(t testing.TB, limits Limits, yaml string) *fixture {
	t.Helper()
	need(t)
	return unchecked(t, limits, yaml)
}

// unchecked is a source that may find that it can't use BPF.
func unchecked(t testing.TB, limits Limits, yaml string) *fixture {
	t.Helper()
	configs, err := read(t, yaml)
	require.NoError(t, err)
	core, logs := observer.New(zapcore.InfoLevel)
	f := &fixture{t: t, tel: &telemetry{skipped: map[string]int64{}}, logs: logs}
	f.Source = New(configs, false, limits, zap.New(core), f.tel)
	return f
}

func (f *fixture) begin() error { return f.Start(context.Background(), componenttest.NewNopHost()) }

func (f *fixture) end() { assert.NoError(f.t, f.Shutdown(context.Background())) }

// start runs a source for the time of the test.
func start(t testing.TB, yaml string) *fixture {
	t.Helper()
	return startWithin(t, ample, yaml)
}

func startWithin(t testing.TB, limits Limits, yaml string) *fixture {
	t.Helper()
	f := newFixture(t, limits, yaml)
	require.NoError(t, f.begin())
	t.Cleanup(f.end)
	return f
}

// refused returns why a source does not start.
func refused(t testing.TB, yaml string) string {
	t.Helper()
	f := newFixture(t, ample, yaml)
	err := f.begin()
	if err == nil {
		f.end()
	}
	require.Error(t, err)
	return err.Error()
}

// hand returns what the source hands over now, which nobody accepts.
func (f *fixture) hand() *emittest.Recorder {
	f.t.Helper()
	r := &emittest.Recorder{}
	require.NoError(f.t, f.Collect(context.Background(), r))
	return r
}

func (f *fixture) collect() *emittest.Recorder {
	f.t.Helper()
	defer f.Commit()
	return f.hand()
}

// lookAgain has the next collection look for files.
func (f *fixture) lookAgain() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.found = time.Time{}
}

func (f *fixture) skipped(reason string) int64 {
	f.tel.mu.Lock()
	defer f.tel.mu.Unlock()
	return f.tel.skipped[reason]
}

// only returns the one process that was handed over.
func only(t testing.TB, r *emittest.Recorder) *emittest.Process {
	t.Helper()
	require.Len(t, r.Processes, 1)
	return r.Processes[0]
}

func of(r *emittest.Recorder, pid int) *emittest.Process {
	for _, p := range r.Processes {
		if p.Resource["process.pid"] == fmt.Sprint(pid) && p.Info.State != emit.Gone {
			return p
		}
	}
	return nil
}

// run runs a program to its end.
func run(t testing.TB, name string, args ...string) {
	t.Helper()
	out, err := exec.Command(program(name), args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// running is a program that waits for a line of input.
type running struct {
	*exec.Cmd
	t   testing.TB
	in  io.WriteCloser
	out *bufio.Reader
	pid int
}

func spawn(t testing.TB, name string, args ...string) *running {
	t.Helper()
	return spawnCommand(t, exec.Command(program(name), args...))
}

// spawnCommand returns once the program waits.
func spawnCommand(t testing.TB, cmd *exec.Cmd) *running {
	t.Helper()
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	p := &running{cmd, t, in, bufio.NewReader(out), cmd.Process.Pid}
	t.Cleanup(p.finish)
	p.says("waiting")
	return p
}

func (p *running) says(want string) {
	p.t.Helper()
	line, err := p.out.ReadString('\n')
	require.NoError(p.t, err)
	require.Equal(p.t, want+"\n", line)
}

// goOn lets it work until it waits again.
func (p *running) goOn() {
	p.t.Helper()
	p.release()
	p.says("waiting")
}

func (p *running) release() {
	p.t.Helper()
	_, err := p.in.Write([]byte("\n"))
	require.NoError(p.t, err)
}

// finish lets it go on to its end.
func (p *running) finish() {
	if p.ProcessState == nil {
		_, _ = p.in.Write([]byte("\n"))
		_ = p.in.Close()
		_, _ = io.Copy(io.Discard, p.out)
		_ = p.Wait()
	}
}
