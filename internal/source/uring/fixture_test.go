package uring

import (
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
	"github.com/hotpath-metrics/hotpath/internal/quota"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
	"github.com/hotpath-metrics/hotpath/internal/source/segments/segmentstest"
	"github.com/hotpath-metrics/hotpath/internal/source/uring/ring"
	"github.com/hotpath-metrics/hotpath/internal/source/uring/uringtest"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		runChild(role)
	}
	before := openDescriptors()
	code := m.Run()
	if code == 0 && flag.Lookup("test.cpuprofile").Value.String() == "" {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		// One epoll instance and its eventfd are the runtime's.
		if after := openDescriptors(); after > before+2 {
			fmt.Fprintf(os.Stderr, "%d descriptors before, %d after all tests\n", before, after)
			code = 1
		}
	}
	os.Exit(code)
}

func openDescriptors() int {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	return len(names)
}

// telemetry is what the source said about itself.
type telemetry struct {
	*segmentstest.Telemetry
	read, noWord, noMemory atomic.Int64
}

func (t *telemetry) EventsRead(n int64)       { t.read.Add(n) }
func (t *telemetry) EventsDropped(int, int64) { panic("the kernel drops nothing") }
func (t *telemetry) EventsNearLimit(int64)    { panic("messages have one size") }
func (t *telemetry) EventsSkipped(reason string, n int64) {
	map[string]*atomic.Int64{skipIndex: &t.noWord, skipMemory: &t.noMemory}[reason].Add(n)
}

// fixture is a source that runs, and what it said.
type fixture struct {
	testing.TB
	*source
	tel  *telemetry
	logs *observer.ObservedLogs
}

type option func(*Config, *segments.Limits)

func newFixture(t testing.TB, options ...option) *fixture {
	t.Helper()
	if _, err := ring.Learn(); err != nil && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	cfg := DefaultConfig()
	dir, err := os.MkdirTemp("", "hotpath-uring-") // shorter than that of t: a socket's path has 107 bytes
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { os.RemoveAll(dir) })
	cfg.Socket = filepath.Join(dir, "socket")
	limits := segments.Limits{
		Limits:      quota.Limits{Segments: 4000, SegmentsPerUID: 4000, Series: 1e6, SeriesPerUID: 1e6, SeriesPerSegment: 20000},
		SegmentSize: 64 << 20,
	}
	for _, o := range options {
		o(&cfg, &limits)
	}
	require.NoError(t, cfg.Validate())
	core, logs := observer.New(zapcore.InfoLevel)
	f := &fixture{TB: t, tel: &telemetry{Telemetry: segmentstest.NewTelemetry()}, logs: logs}
	f.source = New(cfg, limits, zap.New(core), f.tel).(*source)
	return f
}

// setUp runs a source for the time of the test. It must have let go of everything in the end.
func setUp(t testing.TB, options ...option) *fixture {
	t.Helper()
	f := newFixture(t, options...)
	f.begin()
	return f
}

func (f *fixture) begin() {
	f.Helper()
	require.NoError(f, f.Start(context.Background(), nil))
	h := f.hub
	f.Cleanup(func() {
		assert.NoError(f, f.Shutdown(context.Background()))
		assert.Empty(f, h.clients)
		assert.Empty(f, h.byID)
		assert.Zero(f, h.memory.sum, "memory")
		assert.Empty(f, h.memory.owners)
	})
}

// collect returns what the source hands over now, and commits it.
func (f *fixture) collect() *emittest.Recorder {
	f.Helper()
	r := &emittest.Recorder{}
	require.NoError(f, f.Collect(context.Background(), r))
	f.Commit()
	return r
}

// inside looks at the source under its lock.
func (f *fixture) inside(look func(*hub)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	look(f.hub)
}

func (f *fixture) eventually(what func(*hub) bool, msg string) {
	f.Helper()
	require.Eventually(f, func() (ok bool) {
		f.inside(func(h *hub) { ok = what(h) })
		return ok
	}, 30*time.Second, time.Millisecond, msg)
}

var requests = segmenttest.Counter(1, "requests")

var ids atomic.Uint64

// anyone is a hello of somebody new.
func anyone() uringtest.Hello {
	id := ids.Add(1)
	return uringtest.Hello{ID: id, PID: uint64(os.Getpid()), Instance: [16]byte{byte(id), byte(id >> 8), byte(id >> 16)}}
}

func (f *fixture) connect(h uringtest.Hello, records ...segmenttest.Record) *uringtest.Client {
	f.Helper()
	c, err := uringtest.Connect(f.cfg.Socket, h, records...)
	require.NoError(f, err)
	f.Cleanup(c.Close)
	return c
}

// bystander is an honest client whose count has to be right whatever others do.
type bystander struct {
	*uringtest.Client
	f     *fixture
	name  string
	count uint64
}

func (f *fixture) bystander() *bystander {
	f.Helper()
	name := fmt.Sprintf("honest%d", ids.Add(1))
	return &bystander{Client: f.connect(anyone(), segmenttest.Counter(1, name)), f: f, name: name}
}

func (b *bystander) check() {
	b.f.Helper()
	for range 1000 {
		b.count++
		require.NoError(b.f, b.Tell(uringtest.Word{Index: 1, Value: b.count}))
	}
	require.Equal(b.f, b.count, b.f.collect().Total(b.name))
}

// refusal is why the Collector closes the connection.
func refusal(t testing.TB, c *uringtest.Client) string {
	t.Helper()
	_, err := c.Receive(uringtest.TypeReady)
	var refused uringtest.Refused
	require.ErrorAs(t, err, &refused)
	_, err = c.Receive(uringtest.TypeReady)
	require.Error(t, err)
	return string(refused)
}

func bits(v float64) uint64 { return math.Float64bits(v) }
