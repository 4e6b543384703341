package segments

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
	"github.com/hotpath-metrics/hotpath/internal/source/segments/segmentstest"
)

func TestNothingIsKeptOfProcessesThatAreOver(t *testing.T) {
	for name, run := range map[string]func(f *fixture){
		"one that died": func(f *fixture) {
			live := f.publish("a", segmentstest.Requests(1))
			f.one()
			f.set.Commit()
			live.Die()
		},
		"one that was never seen alive": func(f *fixture) {
			live := f.unknown("a", segmentstest.Requests(1))
			live.Die()
			f.admit(live.Path)
		},
		"one that died beside a live one of its process": func(f *fixture) {
			live := f.publish("a", segmentstest.Requests(1))
			other := f.unknown("b", segmentstest.Requests(2))
			other.Die()
			f.admit(other.Path)
			require.Len(f, f.collect(), 2)
			live.Die()
		},
		"one that executed itself again": func(f *fixture) {
			old := f.publish("a", segmentstest.Requests(1))
			f.one()
			old.Die()
			live := f.publish("b", segmentstest.Requests(2))
			require.Len(f, f.collect(), 2)
			f.set.Commit()
			live.Die()
		},
		"one without series": func(f *fixture) {
			s := segmentstest.Requests(1)
			s.Records = s.Records[:1]
			f.publish("a", s).Die()
		},
		"one that turned out bad": func(f *fixture) {
			live := f.publish("a", segmentstest.Requests(1))
			f.one()
			live.Word(layout.OffStripesUsed).Store(99)
		},
		"one that was finished": func(f *fixture) {
			live, seg := f.hold("a", segmentstest.Requests(1))
			live.Die()
			require.True(f, f.set.Finish(seg))
		},
		"one of two that was finished": func(f *fixture) {
			live, seg := f.hold("a", segmentstest.Requests(1))
			other := f.publish("b", segmentstest.Requests(2))
			f.one()
			live.Die()
			require.True(f, f.set.Finish(seg))
			other.Die()
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := setUp(t)
			run(f)
			for range 3 { // Final, Gone, and nothing
				f.collect()
				f.set.Commit()
			}
			f.assertEmpty()
		})
	}
}

func TestSealedMemfdIsReadThroughProc(t *testing.T) {
	f := setUp(t)
	live := memfd(t, segmentstest.Requests(1))
	seg := f.admit(live.path)
	live.word(count).Store(7)
	p := f.one()
	assert.Equal(t, emit.Live, p.State)
	assert.Equal(t, map[string]uint64{"requests": 7}, p.Counters)

	live.closeDescriptor()
	assert.False(t, f.set.Finish(seg), "the mapping holds the lock")
	live.word(count).Store(9)
	live.unmap()
	assert.True(t, f.set.Finish(seg))
	p = f.one()
	assert.Equal(t, emit.Final, p.State)
	assert.Equal(t, map[string]uint64{"requests": 9}, p.Counters)
}

func TestWhatTheSourceKnowsOfAProcessOutweighsTheSegment(t *testing.T) {
	f := setUp(t)
	s := segmentstest.Requests(1)
	s.Records[0] = segmenttest.Resource(segmenttest.Str("container.id", "liar"), segmenttest.Str("process.executable.name", "liar"),
		segmenttest.Int("process.pid", 1), segmenttest.Str("service.name", "shop"))
	_, seg := f.hold("a", s)
	seg.Who.PID, seg.Who.UID, seg.Who.Executable = 77, 1234, "app"
	seg.Attributes = []emit.Attribute{segmenttest.Str("container.id", "c1"), segmenttest.Str("k", "v")}
	seg.Seen = true
	p := f.one()
	assert.Equal(t, []emit.Attribute{
		segmenttest.Str("container.id", "c1"),
		segmenttest.Str("k", "v"),
		segmenttest.Str("process.executable.name", "app"),
		segmenttest.Int("process.pid", 77),
		segmenttest.Int("process.user.id", 1234),
		segmenttest.Str("service.instance.id", "01000000-0000-0000-0000-000000000000"),
		segmenttest.Str("service.name", "shop"),
	}, p.Resource)
	assert.True(t, p.Seen)
	assert.EqualValues(t, os.Geteuid(), p.Owner)
}

func TestSegmentsMergeOnlyWithinAScope(t *testing.T) {
	f := setUp(t)
	for i, scope := range []uint64{5, 6, 5} {
		live, seg := f.hold(string(rune('a'+i)), segmentstest.Requests(uint64(i)))
		live.Word(count).Store(1)
		seg.Scope = scope
	}
	processes := f.collect()
	require.Len(t, processes, 2)
	assert.Equal(t, map[string]uint64{"requests": 2}, processes[0].Counters)
	assert.Equal(t, map[string]uint64{"requests": 1}, processes[1].Counters)
}

func TestFreshSegmentsAreToldOnceTheyAreGood(t *testing.T) {
	f := setUp(t)
	_, good := f.hold("a", segmentstest.Requests(1))
	bad := f.publish("b", segmentstest.Requests(2))
	bad.Word(layout.OffStripesUsed).Store(99)
	assert.Equal(t, []*Segment{good}, f.set.Refresh())
	assert.False(t, good.Attached())
	f.one()
	assert.True(t, good.Attached())
	assert.Empty(t, f.set.Refresh())
	assert.Equal(t, map[string]int64{"bounds": 1}, f.tel.Skipped())
}

func TestSegmentThatIsHeldIsNotAdmittedAgain(t *testing.T) {
	f := setUp(t)
	live, seg := f.hold("a", segmentstest.Requests(1))
	assert.Same(t, seg, f.set.Lookup(seg.Key))
	assert.ErrorIs(t, f.refuse(live.Path), ErrDuplicate)

	fd, st := f.open(live.Path)
	_, err := f.set.Admit(fd, st, st.Uid+1, &origin{})
	require.ErrorIs(t, err, ErrDuplicate, "whoever is said to own it")
	f.set.Close()
	assert.Nil(t, f.set.Lookup(seg.Key))
	assert.Equal(t, 1, seg.Origin.(*origin).closed)
	seg, err = f.set.Admit(fd, st, st.Uid, &origin{})
	require.NoError(t, err)
	assert.Equal(t, fd, seg.FD())
}

func TestFileThatIsNoSegmentStaysTheCallers(t *testing.T) {
	f := setUp(t)
	for want, b := range map[segment.Reason][]byte{
		segment.ErrMagic:     []byte("no segment"),
		segment.ErrTruncated: []byte(layout.Magic),
	} {
		path := filepath.Join(f.dir, string(want))
		require.NoError(t, os.WriteFile(path, b, 0o600))
		assert.ErrorIs(t, f.refuse(path), want)
	}
	empty := filepath.Join(f.dir, "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	assert.ErrorIs(t, f.refuse(empty), segment.ErrMagic)
	f.assertEmpty()
}
