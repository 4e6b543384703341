package segments

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/quota"
	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
	"github.com/hotpath-metrics/hotpath/internal/source/segments/segmentstest"
)

// fixture is a set with segments in a directory on tmpfs.
type fixture struct {
	*testing.T
	dir  string
	set  *Set
	tel  *segmentstest.Telemetry
	logs *observer.ObservedLogs
}

// origin remembers what it was told.
type origin struct {
	tel               *segmentstest.Telemetry
	name              string
	refused           segment.Reason
	delivered, closed int
}

func (o *origin) Name() string { return o.name }

func (o *origin) Refused(seg *Segment, reason segment.Reason, _ error) {
	if seg.FD() < 0 || o.refused != "" {
		panic("refused twice, or closed before")
	}
	o.refused = reason
	o.tel.SegmentSkipped(string(reason))
}

func (o *origin) Delivered(*Segment) { o.delivered++ }

func (o *origin) Closed() { o.closed++ }

func setUp(t *testing.T, limits ...func(*Limits)) *fixture {
	dir, err := os.MkdirTemp("/dev/shm", "hotpath-test-")
	if err != nil {
		t.Skipf("needs tmpfs at /dev/shm: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	before := openDescriptors(t)
	wide := Limits{
		Limits:      quota.Limits{Segments: 10000, SegmentsPerUID: 10000, Series: 1 << 20, SeriesPerUID: 1 << 20, SeriesPerSegment: 1 << 20},
		SegmentSize: 64 << 20,
	}
	for _, limit := range limits {
		limit(&wide)
	}
	core, logs := observer.New(zapcore.InfoLevel)
	f := &fixture{T: t, dir: dir, tel: segmentstest.NewTelemetry(), logs: logs}
	f.set = New(wide, zap.New(core), f.tel)
	t.Cleanup(func() {
		f.set.Close()
		assert.Equal(t, before, openDescriptors(t), "descriptors")
	})
	return f
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(names)
}

// open opens a file as a source does.
func (f *fixture) open(path string) (int, *unix.Stat_t) {
	f.Helper()
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	require.NoError(f, err)
	var st unix.Stat_t
	require.NoError(f, unix.Fstat(fd, &st))
	return fd, &st
}

// admit has the set hold the segment in a file.
func (f *fixture) admit(path string) *Segment {
	f.Helper()
	fd, st := f.open(path)
	seg, err := f.set.Admit(fd, st, st.Uid, &origin{tel: f.tel, name: filepath.Base(path)})
	require.NoError(f, err)
	return seg
}

// refuse returns why the set won't hold the segment in a file.
func (f *fixture) refuse(path string) error {
	f.Helper()
	fd, st := f.open(path)
	_, err := f.set.Admit(fd, st, st.Uid, &origin{tel: f.tel, name: filepath.Base(path)})
	require.Error(f, err)
	require.NoError(f, unix.Close(fd), "it stays the caller's")
	return err
}

// unknown makes a live segment that the set does not know yet.
func (f *fixture) unknown(name string, s segmenttest.Segment) *segmenttest.Live {
	f.Helper()
	live, err := segmenttest.Publish(f.dir, name, s.Bytes())
	require.NoError(f, err)
	f.Cleanup(live.Die)
	return live
}

func (f *fixture) publish(name string, s segmenttest.Segment) *segmenttest.Live {
	f.Helper()
	live, _ := f.hold(name, s)
	return live
}

func (f *fixture) hold(name string, s segmenttest.Segment) (*segmenttest.Live, *Segment) {
	f.Helper()
	live := f.unknown(name, s)
	return live, f.admit(live.Path)
}

func (f *fixture) collect() []segmentstest.Process {
	f.Helper()
	var s segmentstest.Sink
	f.set.Refresh()
	require.NoError(f, f.set.Deliver(context.Background(), &s, time.Now()))
	return s.Told()
}

func (f *fixture) one() segmentstest.Process {
	f.Helper()
	processes := f.collect()
	require.Len(f, processes, 1)
	return processes[0]
}

// assertEmpty says that nothing is left of any segment but the memory of its id.
func (f *fixture) assertEmpty() {
	f.Helper()
	s := f.set
	assert.Empty(f, s.segments)
	assert.Empty(f, s.ids)
	assert.Empty(f, s.fresh)
	assert.Empty(f, s.processes)
	assert.Empty(f, s.byKey)
	assert.Empty(f, s.lates)
	assert.Equal(f, quota.New(s.limits.Limits), s.quota)
	assert.Zero(f, s.kept)
}

// count is where segments of segmentstest.Requests have their counter.
var count = segmenttest.StripeWord(0, 1)
