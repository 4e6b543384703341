package userevents

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/kerneltest"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/event"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/format"
)

// recorder is an ingest that remembers what it was given.
type recorder struct{ events []event.Event }

func (r *recorder) Matches(name string) bool                   { return name == "hp_recorded" }
func (r *recorder) Bind(*format.Format) (event.Handler, error) { return r, nil }
func (r *recorder) Collect(emit.Sink)                          {}
func (r *recorder) Commit()                                    {}
func (r *recorder) Handle(e *event.Event) {
	kept := *e
	kept.Record = slices.Clone(e.Record)
	r.events = append(r.events, kept)
}

func openRecorder(t *testing.T) (*recorder, *trace) {
	kerneltest.Need(t)
	r := &recorder{}
	tr, err := openTrace(testConfig(), []ingest{r}, zap.NewNop(), newTelemetry())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, tr.close()) })
	return r, tr
}

func TestUserEventsHaveTheirTimeThreadAndRecord(t *testing.T) {
	kerneltest.Need(t)
	w := register(t, "hp_recorded u64 n", 0)
	r, tr := openRecorder(t)
	var tid int
	var before, after [2]int64
	for i := range before {
		onCPU(t, 0, func() {
			tid = unix.Gettid()
			before[i] = time.Now().UnixNano()
			w.numbers(t, uint64(i)+7)
			after[i] = time.Now().UnixNano()
		})
		time.Sleep(300 * time.Millisecond) // beyond what a short time delta holds: 2^27 ns
	}
	require.NoError(t, tr.drainAll())
	require.Len(t, r.events, 2)
	const tolerance = int64(5 * time.Millisecond) // the clocks are compared at the end only
	for i, e := range r.events {
		assert.GreaterOrEqual(t, e.Time, before[i]-tolerance)
		assert.LessOrEqual(t, e.Time, after[i]+tolerance)
		assert.Equal(t, word(uint64(i)+7), e.Record[8:])
	}
	assert.EqualValues(t, tid, r.events[1].TID)
}

// An idle host costs a look once a second, and a busy one a wake-up for each quarter of a buffer.
func TestUserEventsWakeTheReaderSeldom(t *testing.T) {
	kerneltest.Need(t)
	w := register(t, "hp_recorded u64 n", 0)
	r, tr := openRecorder(t)
	var mu sync.Mutex
	var reading sync.WaitGroup
	wakes := 0
	reading.Go(func() {
		for {
			ready, err := tr.poll.Wait(nil, -1)
			if err != nil {
				return
			}
			mu.Lock()
			wakes++
			assert.NoError(t, tr.serve(ready))
			mu.Unlock()
		}
	})
	mu.Lock()
	tr.scanned = time.Now().Add(time.Hour)
	mu.Unlock()
	const few, many = 1000, 60_000
	onCPU(t, 0, func() {
		w.numbers(t, make([]uint64, few)...)
		time.Sleep(200 * time.Millisecond)
		mu.Lock()
		assert.Zero(t, wakes, "below the watermark nobody is woken")
		mu.Unlock()
		w.numbers(t, make([]uint64, many)...)
	})
	tr.poll.Stop()
	reading.Wait()
	require.NoError(t, tr.drainAll())
	assert.Len(t, r.events, few+many)
	// An event takes 20 bytes.
	quarters := (few + many) * 20 / (tr.cfg.BufferSizeKB << 10 / 4)
	assert.Positive(t, wakes)
	assert.LessOrEqual(t, wakes, 2*quarters)
	t.Logf("%d wake-ups for %d events", wakes, few+many)
}

func TestUserEventsFollowAClockThatIsSet(t *testing.T) {
	kerneltest.Need(t)
	w := register(t, "hp_recorded u64 n", 0)
	r, tr := openRecorder(t)
	set := func(by time.Duration) {
		now := unix.NsecToTimespec(time.Now().Add(by).UnixNano())
		require.NoError(t, unix.ClockSettime(unix.CLOCK_REALTIME, &now))
	}
	for i, by := range []time.Duration{0, time.Hour, -2 * time.Hour, time.Hour} {
		set(by)
		before := time.Now().UnixNano() // without the monotonic clock, which is not set
		onCPU(t, 0, func() { w.numbers(t, uint64(i)) })
		after := time.Now().UnixNano()
		require.NoError(t, tr.drainAll())
		require.Len(t, r.events, i+1)
		const tolerance = int64(50 * time.Millisecond)
		assert.GreaterOrEqual(t, r.events[i].Time, before-tolerance)
		assert.LessOrEqual(t, r.events[i].Time, after+tolerance)
	}
}
