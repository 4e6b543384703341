package shm

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/quota"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
	"github.com/hotpath-metrics/hotpath/internal/source/segments/segmentstest"
)

var wide = segments.Limits{
	Limits:      quota.Limits{Segments: 10000, SegmentsPerUID: 10000, Series: 1 << 20, SeriesPerUID: 1 << 20, SeriesPerSegment: 1 << 20},
	SegmentSize: 64 << 20,
}

// fixture is a source on a tmpfs directory of its own.
type fixture struct {
	*testing.T
	dir    string
	cfg    Config
	limits segments.Limits
	src    *source
	tel    *segmentstest.Telemetry
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
	f.tel, f.logs = segmentstest.NewTelemetry(), logs
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
		for _, n := range names {
			if !strings.HasPrefix(n.Name(), ".") && !f.known(n.Name()) {
				return false
			}
		}
		return true
	}, 10*time.Second, 200*time.Microsecond)
}

func (f *fixture) known(name string) bool {
	_, isSkipped := f.src.skipped[name]
	_, waits := f.src.waiting[name]
	var st unix.Stat_t
	if isSkipped || waits || unix.Lstat(filepath.Join(f.dir, name), &st) != nil {
		return true
	}
	seg := f.src.set.Lookup(segments.KeyOf(&st))
	return seg != nil && seg.Origin.Name() == name
}

func (f *fixture) collect() []segmentstest.Process {
	f.Helper()
	var s segmentstest.Sink
	require.NoError(f, f.src.Collect(context.Background(), &s))
	return s.Told()
}

func (f *fixture) one() segmentstest.Process {
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
		if n := e.Name(); n != lockName && n != layout.Doorbell && n != journalName {
			names = append(names, e.Name())
		}
	}
	return names
}

func counting(s segmenttest.Segment, n uint64) []byte {
	b := s.Bytes()
	segmenttest.Put(b, segmenttest.StripeWord(0, 1), n)
	return b
}

// One series of every kind.
var (
	calls   = segmenttest.Counter(1, "calls")
	levels  = segmenttest.UpDownCounter(2, "open")
	depth   = segmenttest.Gauge(1, "depth")
	latency = segmenttest.Histogram(8, "latency")
	get     = segmenttest.Str("op", "get")
	put     = segmenttest.Str("op", "put")
)

// recording is a segment with those series and a ring.
func recording(id uint64) segmenttest.Segment {
	s := segmentstest.Requests(id)
	s.StartTime = time.Now().Add(-time.Hour).UnixNano()
	s.Records = []segmenttest.Record{s.Records[0], calls, levels, depth, latency}
	s.RingCount, s.RingsUsed = 1, 1
	return s
}
