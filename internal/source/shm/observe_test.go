package shm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
	"github.com/hotpath-metrics/hotpath/internal/source/segments/segmentstest"
)

func observe(t *testing.T, f *fixture) Observer {
	o := NewObserver(f.dir, f.limits, zap.NewNop(), segmentstest.NewTelemetry())
	require.NoError(t, o.Start(context.Background(), nil))
	t.Cleanup(func() { require.NoError(t, o.Shutdown(context.Background())) })
	return o
}

// see is what an observer sees in one collection, which it is told was accepted.
func see(t *testing.T, o Observer) []segmentstest.Process {
	t.Helper()
	var sink segmentstest.Sink
	require.NoError(t, o.Collect(context.Background(), &sink))
	o.Commit()
	return sink.Processes
}

// seeLive waits until inotify has caught up.
func seeLive(t *testing.T, o Observer) {
	t.Helper()
	require.Eventually(t, func() bool {
		return slices.ContainsFunc(see(t, o), func(p segmentstest.Process) bool { return p.State == emit.Live })
	}, 10*time.Second, time.Millisecond)
}

// state is everything about a directory and its files that anybody could have changed.
func state(t *testing.T, dir string) map[string]unix.Stat_t {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	all := map[string]unix.Stat_t{}
	for _, name := range append([]string{"."}, names(entries)...) {
		var st unix.Stat_t
		require.NoError(t, unix.Lstat(filepath.Join(dir, name), &st))
		st.Atim = unix.Timespec{} // reading is allowed
		all[name] = st
	}
	return all
}

func names(entries []os.DirEntry) (all []string) {
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestObserverShowsLiveAndDeadAndChangesNothing(t *testing.T) {
	f := unstarted(t)
	require.NoError(t, os.Mkdir(f.dir, 0o750))
	require.NoError(t, os.Chown(f.dir, nobody, nobody))
	live := f.publish("live", segmentstest.Requests(1))
	dead := segmentstest.Requests(2)
	dead.PID, dead.Instance = 43, [16]byte{2}
	f.write("dead", counting(dead, 5))
	f.write("empty", segmenttest.Segment{ID: 3, Records: []segmenttest.Record{segmenttest.Resource()}}.Bytes())
	bad := segmentstest.Requests(4)
	bad.StripesUsed = 9
	f.write("bad", bad.Bytes())
	f.write("other", []byte("something else that somebody keeps here"))
	require.NoError(t, unix.Mkfifo(filepath.Join(f.dir, "fifo"), 0o600))
	before := state(t, f.dir)

	o := observe(t, f)
	for n := range uint64(5) {
		live.Word(segmenttest.StripeWord(0, 1)).Store(n)
		seen := see(t, o)
		require.Len(t, seen, 2)
		assert.Equal(t, emit.Live, seen[0].State)
		assert.Equal(t, map[string]uint64{"requests": n}, seen[0].Counters)
		assert.Equal(t, emit.Final, seen[1].State)
		assert.Equal(t, map[string]uint64{"requests": 5}, seen[1].Counters)
	}
	assert.Equal(t, map[segment.Reason]int{segment.ErrBounds: 1, segment.ErrMagic: 1, skipFIFO: 1}, o.Skipped())
	after := state(t, f.dir)
	for name := range before {
		b, a := before[name], after[name]
		if name == "live" {
			b.Mtim, b.Ctim, b.Blocks = a.Mtim, a.Ctim, a.Blocks // its writer's
		}
		assert.Equal(t, b, a, name)
	}
	assert.Len(t, after, len(before))
}

func TestObserverGivesUpWhatTheCollectorRemoved(t *testing.T) {
	f := setUp(t)
	live := f.publish("a", segmentstest.Requests(1))
	o := observe(t, f)
	require.Len(t, see(t, o), 1)
	live.Word(segmenttest.StripeWord(0, 1)).Store(3)
	live.Die()
	for range 3 {
		seen := see(t, o)
		require.Len(t, seen, 1)
		assert.Equal(t, emit.Final, seen[0].State)
		assert.Equal(t, map[string]uint64{"requests": 3}, seen[0].Counters)
	}
	assert.Equal(t, f.one().Counters, see(t, o)[0].Counters)
	f.src.Commit()
	require.Empty(t, f.names())

	assert.Empty(t, see(t, o))
	assert.Zero(t, o.set.Len())
	assert.Empty(t, o.observed)
	assert.Empty(t, o.Skipped())
}

func TestObserverKeepsNoCollectorFromStarting(t *testing.T) {
	f := unstarted(t)
	require.NoError(t, os.Mkdir(f.dir, 0o755))
	o := observe(t, f)
	live := f.publish("a", segmentstest.Requests(1))
	seeLive(t, o)
	f.start()
	f.one()
	live.Die()
	f.one()
	f.src.Commit()
	assert.Empty(t, f.names())
}

func TestObserverWaitsForADirectoryAndMakesNone(t *testing.T) {
	f := unstarted(t)
	o := observe(t, f)
	require.ErrorIs(t, o.Collect(context.Background(), &segmentstest.Sink{}), os.ErrNotExist)
	require.NoDirExists(t, f.dir)
	require.NoError(t, os.Mkdir(f.dir, 0o755))
	f.publish("a", segmentstest.Requests(1))
	assert.Len(t, see(t, o), 1)
}

// A probe takes the lock for an instant, which must not be the one in which a client takes it.
func TestClientsCanPublishWhileObserversLook(t *testing.T) {
	f := setUp(t)
	first, second := observe(t, f), observe(t, f)
	for i := range 300 {
		requests := segmentstest.Requests(uint64(1 + i))
		requests.PID = uint64(1 + i)
		live, err := segmenttest.Publish(f.dir, fmt.Sprint(i), requests.Bytes())
		require.NoError(t, err)
		seeLive(t, first)
		seeLive(t, second)
		f.noticed()
		require.Len(t, f.collect(), 1)
		f.src.Commit()
		live.Die()
		f.collect()
		f.src.Commit()
		f.collect()
		f.src.Commit()
	}
}
