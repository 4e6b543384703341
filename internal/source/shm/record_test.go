package shm

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
)

var wide = Limits{
	Segments: 10000, SegmentsPerUID: 10000, Series: 1 << 20, SeriesPerUID: 1 << 20, SeriesPerSegment: 1 << 20,
	SegmentSize: 64 << 20,
}

// seen is a process as a sink saw it in one collection. Values are by name and attributes.
type seen struct {
	process *emit.Process
	emit.Process
	counters   map[string]uint64
	sums       map[string]int64
	gauges     map[string]float64
	histograms map[string]histogram
	order      []string // names of instruments, one for each series
}

type histogram struct {
	sum     float64
	zero    uint64
	buckets map[int]uint64
}

func (p seen) resource(key string) any {
	for _, a := range p.Resource {
		if a.Key == key {
			if a.Type == emit.AttributeString {
				return a.Str
			}
			return a.Bits
		}
	}
	return nil
}

type sink struct{ processes []seen }

func (s *sink) last() *seen { return &s.processes[len(s.processes)-1] }

func label(se *emit.Series, p *seen) string {
	p.order = append(p.order, se.Instrument.Name)
	name := se.Instrument.Name
	for _, a := range se.Attributes {
		name += "," + a.Key + "=" + a.Str
	}
	return name
}

func (s *sink) Process(p *emit.Process) {
	s.processes = append(s.processes, seen{
		process: p, Process: *p,
		counters: map[string]uint64{}, sums: map[string]int64{}, gauges: map[string]float64{}, histograms: map[string]histogram{},
	})
}

func (s *sink) Counter(se *emit.Series, v uint64) { p := s.last(); p.counters[label(se, p)] = v }

func (s *sink) UpDownCounter(se *emit.Series, v int64) { p := s.last(); p.sums[label(se, p)] = v }

func (s *sink) Gauge(se *emit.Series, v float64) { p := s.last(); p.gauges[label(se, p)] = v }

func (s *sink) Sum(*emit.Series, float64) { panic("segments hold no fractions") }

func (s *sink) Metrics(pmetric.ResourceMetrics) { panic("segments hold no OTLP") }

func (s *sink) Histogram(se *emit.Series, v *emit.HistogramValue) {
	h := histogram{v.Sum, v.ZeroCount, map[int]uint64{}}
	for i, n := range v.Buckets {
		if n != 0 {
			h.buckets[i] = n
		}
	}
	p := s.last()
	p.histograms[label(se, p)] = h
}

type telemetry struct {
	mu      sync.Mutex
	states  map[string]int64
	skipped map[string]int64
	series  map[string]int64
	client  map[string]int64
	bytes   int64
}

func newTelemetry() *telemetry {
	return &telemetry{states: map[string]int64{}, skipped: map[string]int64{}, series: map[string]int64{}, client: map[string]int64{}}
}

func (t *telemetry) add(m map[string]int64, key string, n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m[key] += n
}

func (t *telemetry) Segments(state string, n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.states[state] = n
}
func (t *telemetry) SegmentSkipped(reason string)         { t.add(t.skipped, reason, 1) }
func (t *telemetry) SeriesSkipped(reason string, n int64) { t.add(t.series, reason, n) }
func (t *telemetry) ClientRefused(n int64)                { t.add(t.client, "refused", n) }
func (t *telemetry) ClientFolded(n int64)                 { t.add(t.client, "folded", n) }
func (t *telemetry) ClientUnplaced(n int64)               { t.add(t.client, "unplaced", n) }
func (t *telemetry) ClientRejected(n int64)               { t.add(t.client, "rejected", n) }
func (t *telemetry) BytesRead(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bytes += n
}

func (t *telemetry) skips() map[string]int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.skipped)
}

// fixture is a source on a tmpfs directory of its own.
type fixture struct {
	*testing.T
	dir    string
	cfg    Config
	limits Limits
	src    *source
	tel    *telemetry
	logs   *observer.ObservedLogs
}

func tmpfs(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "hotpath-test-")
	if err != nil {
		t.Skipf("needs tmpfs at /dev/shm: %v", err)
	}
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// unstarted leaves Start to the test; setUp does it.
func unstarted(t *testing.T) *fixture {
	f := &fixture{T: t, dir: filepath.Join(tmpfs(t), "hotpath"), cfg: DefaultConfig(), limits: wide}
	f.cfg.Directory = f.dir
	f.renew()
	return f
}

func setUp(t *testing.T) *fixture {
	f := unstarted(t)
	f.start()
	return f
}

func (f *fixture) renew() {
	core, logs := observer.New(zapcore.InfoLevel)
	f.tel, f.logs = newTelemetry(), logs
	f.src = New(f.cfg, f.limits, zap.New(core), f.tel).(*source)
	src := f.src
	f.Cleanup(func() { _ = src.Shutdown(context.Background()) })
}

func (f *fixture) start() {
	f.Helper()
	require.NoError(f, f.src.Start(context.Background(), nil))
}

// restart is what a collector's end and a new one's start do.
func (f *fixture) restart() {
	f.Helper()
	require.NoError(f, f.src.Shutdown(context.Background()))
	f.renew()
	f.start()
}

func (f *fixture) publish(name string, s segmenttest.Segment) *segmenttest.Live {
	f.Helper()
	live, err := segmenttest.Publish(f.dir, name, s.Bytes())
	require.NoError(f, err)
	f.Cleanup(live.Die)
	f.noticed()
	return live
}

func (f *fixture) write(name string, b []byte) string {
	f.Helper()
	path := filepath.Join(f.dir, name)
	temporary := filepath.Join(f.dir, ".tmp-"+name)
	require.NoError(f, os.WriteFile(temporary, b, 0o600))
	require.NoError(f, os.Rename(temporary, path))
	f.noticed()
	return path
}

// noticed waits until inotify has caught up, if the source runs: each name in
// the directory is held, skipped or waiting.
func (f *fixture) noticed() {
	f.Helper()
	require.Eventually(f, func() bool {
		f.src.mu.Lock()
		defer f.src.mu.Unlock()
		if !f.src.started || f.src.dir == nil {
			return true
		}
		names, err := os.ReadDir(f.dir)
		if err != nil {
			return true
		}
		known := map[string]bool{}
		for _, r := range f.src.readers {
			known[r.name] = true
		}
		for _, n := range names {
			_, isSkipped := f.src.skipped[n.Name()]
			_, waits := f.src.waiting[n.Name()]
			if !strings.HasPrefix(n.Name(), ".") && !known[n.Name()] && !isSkipped && !waits {
				return false
			}
		}
		return true
	}, 10*time.Second, 200*time.Microsecond)
}

func (f *fixture) collect() []seen {
	f.Helper()
	var s sink
	require.NoError(f, f.src.Collect(context.Background(), &s))
	// A process that is gone without naming a series ended nothing: sinks only forget it.
	return slices.DeleteFunc(s.processes, func(p seen) bool { return p.State == emit.Gone && len(p.order) == 0 })
}

func (f *fixture) one() seen {
	f.Helper()
	processes := f.collect()
	require.Len(f, processes, 1)
	return processes[0]
}

func (f *fixture) names() []string {
	f.Helper()
	entries, err := os.ReadDir(f.dir)
	require.NoError(f, err)
	var names []string
	for _, e := range entries {
		if e.Name() != lockName {
			names = append(names, e.Name())
		}
	}
	return names
}

// requests is a segment with one counter.
func requests(id uint64) segmenttest.Segment {
	return segmenttest.Segment{
		PID: 42, ID: id, StartTime: 1000, Instance: [16]byte{1},
		Records: []segmenttest.Record{segmenttest.Resource(segmenttest.Str("service.name", "shop")), segmenttest.Counter(1, "requests")},
	}
}

func counting(s segmenttest.Segment, n uint64) []byte {
	b := s.Bytes()
	segmenttest.Put(b, segmenttest.StripeWord(0, 1), n)
	return b
}
