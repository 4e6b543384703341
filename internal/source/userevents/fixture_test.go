package userevents

import (
	"context"
	"encoding/binary"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
	"github.com/hotpath-metrics/hotpath/internal/instrument"
	"github.com/hotpath-metrics/hotpath/internal/kerneltest"
	"github.com/hotpath-metrics/hotpath/internal/quota"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/mapping"
)

var testLimits = Limits{
	Processes:    1000,
	Limits:       quota.Limits{Segments: 1000, SegmentsPerUID: 1000, Series: 10000, SeriesPerUID: 10000, SeriesPerSegment: 1000},
	PendingBytes: 10 << 20,
}

func testConfig(events ...mapping.Event) Config {
	c := DefaultConfig()
	c.Instance = testInstance
	c.Events = events
	return c
}

// countEntry maps an event to a counter with the event's own name.
func countEntry(name, value string) mapping.Event {
	return mapping.Event{Event: name, Metric: instrument.Config{Name: name, Type: "counter"}, Value: value}
}

// telemetry is what the source said about itself.
type telemetry struct {
	mu              sync.Mutex
	read, nearLimit int64
	dropped         map[int]int64
	skipped         map[string]int64
}

func newTelemetry() *telemetry {
	return &telemetry{dropped: map[int]int64{}, skipped: map[string]int64{}}
}

func (t *telemetry) add(to *int64, n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*to += n
}

func (t *telemetry) EventsRead(n int64)      { t.add(&t.read, n) }
func (t *telemetry) EventsNearLimit(n int64) { t.add(&t.nearLimit, n) }

func (t *telemetry) EventsDropped(cpu int, n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dropped[cpu] += n
}

func (t *telemetry) EventsSkipped(reason string, n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.skipped[reason] += n
}

// fixture is a source that runs, and what it said.
type fixture struct {
	t *testing.T
	*source
	tel  *telemetry
	logs *observer.ObservedLogs
}

func newFixture(t *testing.T, cfg Config) *fixture {
	kerneltest.Need(t)
	core, logs := observer.New(zap.InfoLevel)
	f := &fixture{t: t, tel: newTelemetry(), logs: logs}
	f.source = New(cfg, testLimits, zap.New(core), f.tel).(*source)
	return f
}

// start runs a source for the time of the test, and finds nothing left behind afterwards.
func start(t *testing.T, cfg Config) *fixture {
	t.Helper()
	f := newFixture(t, cfg)
	before := descriptors(t)
	require.NoError(t, f.Start(context.Background(), nil))
	t.Cleanup(func() {
		assert.NoError(t, f.Shutdown(context.Background()))
		assert.NoDirExists(t, instances+cfg.Instance)
		assert.LessOrEqual(t, descriptors(t), before, "descriptors are left open")
		if t.Failed() {
			for _, e := range logs(f) {
				t.Log(e)
			}
		}
	})
	return f
}

func logs(f *fixture) (lines []string) {
	for _, e := range f.logs.All() {
		line := e.Message
		for key, value := range e.ContextMap() {
			if text, ok := value.(string); ok {
				line += "; " + key + ": " + text
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// descriptors are those that are open, but for those of processes, which another source of the test may have.
func descriptors(t *testing.T) (n int) {
	const dir = "/proc/self/fd/"
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, name := range names {
		if link, err := os.Readlink(dir + name.Name()); err == nil && link != "anon_inode:[pidfd]" {
			n++
		}
	}
	return n
}

// collect returns what the source hands over now, and commits it.
func (f *fixture) collect() *emittest.Recorder {
	f.t.Helper()
	r := &emittest.Recorder{}
	require.NoError(f.t, f.Collect(context.Background(), r))
	f.Commit()
	return r
}

// register is for writers that are open until the end of the test.
func register(t *testing.T, declaration string, flags uint16) *writer {
	t.Helper()
	w, err := newWriter(declaration, flags)
	require.NoError(t, err)
	t.Cleanup(w.close)
	return w
}

// write writes numbers, each as an event with one field.
func (w *writer) numbers(t *testing.T, numbers ...uint64) {
	t.Helper()
	for _, n := range numbers {
		require.NoError(t, w.write(word(n)))
	}
}

func word(n uint64) []byte { return binary.NativeEndian.AppendUint64(nil, n) }

// onCPU runs f on one CPU. The thread lives on: who has ended before its events are read is a process of its own.
func onCPU(t *testing.T, id int, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, one unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(0, &all))
	one.Set(id)
	require.NoError(t, unix.SchedSetaffinity(0, &one))
	f()
	require.NoError(t, unix.SchedSetaffinity(0, &all))
}

// eventually is for what the source finds out by itself.
func eventually(t *testing.T, what func() bool) {
	t.Helper()
	require.Eventually(t, what, 20*time.Second, 20*time.Millisecond)
}
