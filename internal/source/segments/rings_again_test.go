package segments

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/journal"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
)

const soon = 20 * time.Millisecond

// expiring is a set whose recorded series end soon.
func expiring(t *testing.T) *fixture { return setUp(t, func(l *Limits) { l.UnboundExpiry = soon }) }

func TestALevelThatIsNotZeroDoesNotExpire(t *testing.T) {
	f := expiring(t)
	ring := f.publish("a", recording(1)).Ring(0)
	ring.Record(open.Of(5, str("pool", "1")))
	f.one()
	f.set.Commit()
	time.Sleep(2 * soon)
	f.collect()
	f.set.Commit()
	ring.Record(open.Of(^uint64(0), str("pool", "1")))
	assert.EqualValues(t, 4, f.one().Sums["open,own=o,pool=1"])
}

// Whoever begins an expired series again, its value is less: so it starts later, too.
func TestAnExpiredSeriesBeginsAgainWithALaterStart(t *testing.T) {
	for name, again := range map[string]func(a, b *segmenttest.Live){
		"the same":        func(a, _ *segmenttest.Live) { a.Ring(0).Record(calls.Of(3, str("a", "1"))) },
		"another library": func(_, b *segmenttest.Live) { b.Ring(0).Record(calls.Of(3, str("a", "1"))) },
		"bound": func(a, _ *segmenttest.Live) {
			a.Add(segmenttest.Counter(600, "calls", str("a", "1"), own))
			a.Word(segmenttest.StripeWord(0, 600)).Store(3)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := expiring(t)
			a, b := f.publish("a", recording(1)), f.publish("b", recording(2))
			a.Ring(0).Record(calls.Of(100, str("a", "1")))
			first := f.deliver()
			f.set.Commit()
			time.Sleep(2 * soon)
			f.deliver()
			f.set.Commit()
			again(a, b)
			second := f.deliver()
			assert.EqualValues(t, 100, first.value["calls{a,own}"])
			assert.EqualValues(t, 3, second.value["calls{a,own}"])
			assert.Greater(t, second.series["calls{a,own}"].Start, first.series["calls{a,own}"].Start)
		})
	}
}

// keepIn has the set keep a journal in a directory, and go on from what is there.
func (f *fixture) keepIn(dir string) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	require.NoError(f, err)
	defer unix.Close(fd)
	j, known, err := journal.Open(fd, ".rings")
	require.NoError(f, err)
	f.set.Keep(j, known)
}

func TestTheJournalOutlivesWhatIsFoundBeforeItsSegment(t *testing.T) {
	for name, before := range map[string]func(f *fixture, live *segmenttest.Live){
		"a copy": func(f *fixture, live *segmenttest.Live) {
			b, err := os.ReadFile(live.Path)
			require.NoError(f, err)
			copied := filepath.Join(f.dir, "copy")
			require.NoError(f, os.WriteFile(copied, b, 0o600))
			f.admit(copied).Seen = true
		},
		"another, while it waits": func(f *fixture, _ *segmenttest.Live) {
			f.set.FoundAll(false)
			f.publish("other", recording(2))
			f.collect()
			f.set.Commit()
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, dir := setUp(t), t.TempDir()
			f.keepIn(dir)
			live := f.publish("a", recording(1))
			live.Word(segmenttest.StripeWord(0, 1)).Store(1000)
			live.Ring(0).Record(calls.Of(50))
			f.one()
			f.set.Commit()
			f.set.Close()
			f.keepIn(dir)
			before(f, live)
			f.admit(live.Path).Seen = true
			var got []uint64
			for _, p := range f.collect() {
				got = append(got, p.Counters["calls,own=o"])
			}
			assert.Contains(t, got, uint64(1050))
		})
	}
}

func TestOfTwoEqualSeriesInTheJournalTheLaterOneGoesOn(t *testing.T) {
	f, dir := expiring(t), t.TempDir()
	f.keepIn(dir)
	live := f.publish("a", recording(1))
	live.Ring(0).Record(calls.Of(100, str("a", "1")))
	f.deliver()
	f.set.Commit()
	time.Sleep(2 * soon)
	f.deliver() // its end, which nobody accepts
	live.Ring(0).Record(calls.Of(7, str("a", "1")))
	f.set.DrainRings()
	f.set.Close()
	f.keepIn(dir)
	f.admit(live.Path).Seen = true
	assert.EqualValues(t, 7, f.deliver().value["calls{a,own}"])
}
