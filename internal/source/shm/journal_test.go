package shm

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/journal"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
	"github.com/hotpath-metrics/hotpath/internal/source/segments/segmentstest"
)

func (f *fixture) drained() {
	f.src.mu.Lock()
	defer f.src.mu.Unlock()
	f.src.set.DrainRings()
}

// flood overwrites a ring with other measurements, drained all the while.
func (f *fixture) flood(r *segmenttest.Ring) {
	for end := r.Head.Load() + 2*layout.MinRingWords; r.Head.Load() < end; {
		for range 50 {
			r.Record(calls.Of(0, put))
		}
		f.drained()
	}
}

// kept is what the next collector finds.
func (f *fixture) kept() journal.State {
	f.Helper()
	fd, err := open(f.dir)
	require.NoError(f, err)
	defer unix.Close(fd)
	j, state, err := journal.Open(fd, journalName)
	require.NoError(f, err)
	j.Close()
	return state
}

func (f *fixture) journalPath() string { return filepath.Join(f.dir, journalName) }

func TestWhatWasReadOutOfRingsSurvivesTheCollector(t *testing.T) {
	for _, delivered := range []bool{false, true} {
		f := setUp(t)
		live := f.publish("a", recording(1))
		ring := live.Ring(0)
		live.Word(segmenttest.StripeWord(0, 1)).Store(100)
		record := func() {
			ring.Record(calls.Of(3, get))
			ring.Record(calls.Of(2))
			ring.Record(levels.Of(^uint64(0), get))
			ring.Record(depth.OfDouble(1.5, 7, get))
			for _, v := range []float64{0, 1, 2, 1e9} {
				ring.Record(latency.OfDouble(v, 0, get))
			}
		}
		want := func(n int, p segmentstest.Process) {
			t.Helper()
			m := uint64(n)
			assert.Equal(t, map[string]uint64{"calls": 100 + 2*m, "calls,op=get": 3 * m, "calls,op=put": 0}, p.Counters)
			assert.Equal(t, map[string]int64{"open": 0, "open,op=get": int64(-n)}, p.Sums)
			assert.Equal(t, map[string]float64{"depth": 0, "depth,op=get": 1.5}, p.Gauges)
			assert.Equal(t, segmentstest.Histogram{Sum: float64(n) * (3 + 1e9), Zero: m, Buckets: map[int]uint64{239: m, 247: m, 479: m}},
				p.Histograms["latency,op=get"])
		}
		record()
		record()
		f.flood(ring)
		if delivered {
			want(2, f.one())
			f.src.Commit()
		}
		f.restart()
		want(2, f.one())
		record()
		f.flood(ring)
		want(3, f.one())
		f.src.Commit()
		f.restart()
		record()
		want(4, f.one())
		assert.Empty(t, f.logs.FilterMessageSnippet("Cannot keep").All())
	}
}

func TestSeriesOfMeasurementsKeepsItsStartOverARestart(t *testing.T) {
	f := setUp(t)
	assert.Empty(t, f.collect())
	f.src.Commit()
	live := f.publish("a", recording(1))
	ring := live.Ring(0)
	f.one()
	f.src.Commit()
	f.restart() // from here on the segment is older than the last delivery
	f.drained()
	ring.Record(calls.Of(1, get))
	f.drained()
	starts := func() map[string]int64 {
		s := startSink{starts: map[string]int64{}}
		require.NoError(t, f.src.Collect(context.Background(), &s))
		f.src.Commit()
		return s.starts
	}
	before := starts()
	require.NotZero(t, before["calls,op=get"], "it began later than its process")
	f.restart()
	assert.Equal(t, before, starts())
	ring.Record(calls.Of(1, get))
	assert.Equal(t, before, starts())
}

type startSink struct {
	segmentstest.Sink
	starts map[string]int64
}

func (s *startSink) Counter(series *emit.Series, v uint64) {
	name := series.Instrument.Name
	for _, a := range series.Attributes {
		name += "," + a.Key + "=" + a.Str
	}
	s.starts[name] = series.Start
	s.Sink.Counter(series, v)
}

func TestDeadSegmentWhoseDeliveryWasRefusedKeepsWhatItRecordedOverARestart(t *testing.T) {
	f := setUp(t)
	live := f.publish("a", recording(1))
	ring := live.Ring(0)
	ring.Record(calls.Of(3, get))
	f.flood(ring)
	ring.Record(calls.Of(4, get))
	live.Die()
	assert.EqualValues(t, 7, f.one().Counters["calls,op=get"])
	f.restart()
	assert.EqualValues(t, 7, f.one().Counters["calls,op=get"])
	f.src.Commit()
	f.collect()
	f.src.Commit()

	other := recording(2)
	other.PID = 43
	second := f.publish("b", other)
	second.Ring(0).Record(calls.Of(1, get))
	f.one()
	f.src.Commit()
	f.restart()
	require.NoError(t, f.src.Shutdown(context.Background()))
	assert.Len(t, f.kept(), 1, "the first is forgotten")
}

func TestRestartChargesNoSeriesOfMeasurementsTwice(t *testing.T) {
	f := unstarted(t)
	f.limits.SeriesPerSegment, f.limits.SeriesPerUID = 70, 70
	f.renew()
	f.start()
	live := f.publish("a", recording(1))
	ring := live.Ring(0)
	const n = 40
	record := func() {
		for i := range n {
			ring.Record(calls.Of(1, segmenttest.Str("i", fmt.Sprint(i))))
		}
	}
	record()
	for round := range 4 {
		assert.Len(t, f.one().Counters, n+1, "nothing was folded")
		f.src.Commit()
		f.restart()
		if round%2 == 0 {
			record()
		}
	}
}

func TestFoldedMeasurementsGoOnOverARestart(t *testing.T) {
	f := unstarted(t)
	f.limits.SeriesPerSegment, f.limits.SeriesPerUID = 30, 30
	f.renew()
	f.start()
	live := f.publish("a", recording(1))
	ring := live.Ring(0)
	sum := uint64(0)
	for range 3 {
		for i := range 100 {
			ring.Record(calls.Of(1, segmenttest.Str("i", fmt.Sprint(i))))
			sum++
		}
		for range 2 {
			counters := f.one().Counters
			assert.Less(t, len(counters), 30)
			assert.Positive(t, counters["calls,otel.metric.overflow="])
			total := uint64(0)
			for _, n := range counters {
				total += n
			}
			assert.Equal(t, sum, total)
			f.src.Commit()
			f.restart()
		}
	}
}

func TestSeriesOfMeasurementsThatEndedDoesNotComeBackWithARestart(t *testing.T) {
	f := unstarted(t)
	f.limits.UnboundExpiry = 5 * time.Millisecond
	f.renew()
	f.start()
	live := f.publish("a", recording(1))
	ring := live.Ring(0)
	ring.Record(calls.Of(3, get))
	assert.EqualValues(t, 3, f.one().Counters["calls,op=get"])
	f.src.Commit()
	require.Eventually(t, func() bool {
		time.Sleep(10 * time.Millisecond)
		_, there := f.one().Counters["calls,op=get"]
		f.src.Commit()
		return !there
	}, 10*time.Second, time.Millisecond)
	f.restart()
	assert.NotContains(t, f.one().Counters, "calls,op=get")
	ring.Record(calls.Of(1, get))
	assert.EqualValues(t, 1, f.one().Counters["calls,op=get"])
}

func TestCountingGoesOnWhereTheJournalHasNoRoom(t *testing.T) {
	f := unstarted(t)
	require.NoError(t, os.Mkdir(f.dir, 0o755))
	if err := unix.Mount("hotpath-test", f.dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("needs to mount a small tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(f.dir, unix.MNT_DETACH) })
	f.start()
	live := f.publish("a", recording(1))
	ring := live.Ring(0)
	for i := range ring.Words {
		ring.Words[i] = 1 // so that it has its pages
	}
	ring.Record(calls.Of(1, get))
	f.drained()
	require.FileExists(t, f.journalPath())
	ballast := filepath.Join(f.dir, ".ballast")
	require.ErrorIs(t, os.WriteFile(ballast, make([]byte, 4<<20), 0o600), unix.ENOSPC)
	for i := range 300 {
		ring.Record(calls.Of(1, segmenttest.Str("i", fmt.Sprint(i))))
		f.drained()
	}
	assert.Len(t, f.one().Counters, 302)
	f.src.Commit()
	assert.NoFileExists(t, f.journalPath())
	ring.Record(calls.Of(1, get))
	assert.EqualValues(t, 2, f.one().Counters["calls,op=get"])
	assert.Equal(t, 1, f.logs.FilterMessageSnippet("Cannot keep").Len(), "%v", f.logs.All())

	require.NoError(t, os.Remove(ballast))
	f.src.Commit()
	ring.Record(calls.Of(1, get))
	f.flood(ring)
	f.restart()
	p := f.one()
	assert.Len(t, p.Counters, 303)
	assert.EqualValues(t, 3, p.Counters["calls,op=get"])
}

func TestInADirectoryOfAnotherUserButRootNothingIsKept(t *testing.T) {
	requireRoot(t)
	for uid, kept := range map[int]bool{0: true, 1234: false} {
		t.Run(fmt.Sprint(uid), func(t *testing.T) {
			f := unstarted(t)
			require.NoError(t, os.Mkdir(f.dir, 0o755))
			require.NoError(t, os.Chown(f.dir, uid, uid))
			require.NoError(t, os.Chmod(f.dir, os.ModeSticky|0o777))
			end := unprivileged(t)
			f.start()
			live, err := segmenttest.Publish(f.dir, "a", recording(1).Bytes())
			require.NoError(t, err)
			defer live.Die()
			f.noticed()
			live.Ring(0).Record(calls.Of(3, get))
			assert.EqualValues(t, 3, f.one().Counters["calls,op=get"])
			f.src.Commit()
			_, err = os.Stat(f.journalPath())
			assert.Equal(t, kept, err == nil, "%v", err)
			assert.Equal(t, !kept, f.logs.FilterMessageSnippet("is not kept").Len() == 1)
			if kept {
				live.Ring(0).Record(calls.Of(4, get))
				f.restart()
				assert.EqualValues(t, 7, f.one().Counters["calls,op=get"])
			}
			end()
		})
	}
}

func TestJournalIsMadeOnlyWhereThereAreRings(t *testing.T) {
	f := setUp(t)
	f.publish("a", segmentstest.Requests(1))
	f.one()
	f.src.Commit()
	assert.NoFileExists(t, f.journalPath())
	s := recording(2)
	s.PID = 43
	f.publish("b", s)
	f.collect()
	assert.EqualValues(t, 0o600, stat(t, f.journalPath()).Mode&0o7777)
}

func TestRemovedJournalIsBegunAnew(t *testing.T) {
	f := setUp(t)
	live := f.publish("a", recording(1))
	ring := live.Ring(0)
	ring.Record(calls.Of(3, get))
	f.one()
	f.src.Commit()
	require.NoError(t, os.Remove(f.journalPath()))
	ring.Record(calls.Of(4, get))
	f.flood(ring)
	f.restart()
	assert.EqualValues(t, 7, f.one().Counters["calls,op=get"])
}

func TestReplacedDirectoryGetsAJournalOfEverything(t *testing.T) {
	f := setUp(t)
	live := f.publish("a", recording(1))
	ring := live.Ring(0)
	ring.Record(calls.Of(3, get))
	ring.Record(levels.Of(^uint64(1), get))
	ring.Record(depth.OfDouble(-1.5, 9, get))
	ring.Record(latency.OfDouble(0, 0, get))
	ring.Record(latency.OfDouble(2, 0, get))
	f.flood(ring)
	f.one()
	f.src.Commit()
	require.NoError(t, os.Rename(f.dir, f.dir+".old"))
	f.one()
	f.src.Commit()
	ring.Record(calls.Of(4, get))
	f.flood(ring)
	require.NoError(t, f.src.Shutdown(context.Background()))
	require.NoError(t, os.Rename(f.dir+".old/a", filepath.Join(f.dir, "a")))
	f.renew()
	f.start()
	ring.Record(depth.OfDouble(9, 8, get)) // it is older than what was read
	p := f.one()
	assert.EqualValues(t, 7, p.Counters["calls,op=get"])
	assert.EqualValues(t, -2, p.Sums["open,op=get"])
	assert.EqualValues(t, -1.5, p.Gauges["depth,op=get"])
	assert.Equal(t, segmentstest.Histogram{Sum: 2, Zero: 1, Buckets: map[int]uint64{247: 1}}, p.Histograms["latency,op=get"])
}

// collectorEnv makes this binary a collector of the named directory, until it is killed.
const collectorEnv = "HOTPATH_TEST_COLLECTOR"

func collectForever(dir string) {
	cfg := DefaultConfig()
	cfg.Directory = dir
	src := New(cfg, wide, zap.NewNop(), segmentstest.NewTelemetry())
	if err := src.Start(context.Background(), nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for {
		var sink segmentstest.Sink
		if err := src.Collect(context.Background(), &sink); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		src.Commit()
		for _, p := range sink.Processes {
			fmt.Println(p.Counters["calls,op=get"])
		}
		time.Sleep(3 * time.Millisecond)
	}
}

// Its measurements are worth 1 each: none is lost, and none is counted twice.
func TestCollectorKilledAtAnyInstantCountsEveryMeasurementOnce(t *testing.T) {
	f := unstarted(t)
	require.NoError(t, os.Mkdir(f.dir, 0o755))
	s := recording(1)
	s.RingWords = 1 << 16
	live, err := segmenttest.Publish(f.dir, "a", s.Bytes())
	require.NoError(t, err)
	defer live.Die()
	ring := live.Ring(0)
	var recorded, told uint64
	for round := range 15 {
		child := exec.Command("/proc/self/exe")
		child.Env = append(os.Environ(), collectorEnv+"="+f.dir)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		bell := ringer{}
		ends := time.Now().Add(time.Duration(60+7*round) * time.Millisecond)
		for time.Now().Before(ends) {
			for range 20 { // no more between two kills than the ring holds
				ring.Record(calls.Of(1, get))
				recorded++
			}
			if bell.page == nil {
				bell, _ = openRinger(f.bellPath())
			} else {
				bell.ring()
			}
			time.Sleep(time.Millisecond)
		}
		require.NoError(t, child.Process.Kill())
		for {
			var n uint64
			if _, err := fmt.Fscanln(out, &n); err != nil {
				break
			}
			require.GreaterOrEqual(t, n, told, "it fell")
			require.LessOrEqual(t, n, recorded)
			told = n
		}
		_ = child.Wait()
		if bell.page != nil {
			_ = unix.Munmap(bell.page)
		}
	}
	require.Positive(t, told)
	f.start()
	assert.Equal(t, recorded, f.one().Counters["calls,op=get"])
	t.Logf("%d measurements, %d bytes of journal", recorded, stat(t, f.journalPath()).Size)
}
