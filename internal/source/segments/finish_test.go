package segments

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
	"github.com/hotpath-metrics/hotpath/internal/source/segments/segmentstest"
)

func TestFinishedSegmentIsClosedAndDeliveredUntilItIsAccepted(t *testing.T) {
	for name, collections := range map[string]int{"before any collection": 0, "after one": 1} {
		t.Run(name, func(t *testing.T) {
			f := setUp(t)
			live, seg := f.hold("a", segmentstest.Requests(1))
			for range collections {
				f.one()
				f.set.Commit()
			}
			live.Word(count).Store(5)
			live.Add(segmenttest.Counter(2, "late"))
			live.Word(segmenttest.StripeWord(0, 2)).Store(6)
			live.Die()
			require.True(t, f.set.Finish(seg))
			require.True(t, f.set.Finish(seg), "once more is no harm")
			told := seg.Origin.(*origin)
			assert.Equal(t, -1, seg.FD())
			assert.Zero(t, f.set.Len())
			assert.Equal(t, 1, told.closed)

			for range 3 { // it is refused twice
				p := f.one()
				assert.Equal(t, emit.Final, p.State)
				assert.Equal(t, map[string]uint64{"requests": 5, "late": 6}, p.Counters)
				assert.EqualValues(t, 1, f.tel.States["dead"])
				assert.Zero(t, told.delivered)
			}
			f.set.Commit()
			assert.Equal(t, 1, told.delivered)
			assert.Equal(t, emit.Gone, f.one().State)
			assert.Zero(t, f.tel.States["dead"])
			f.set.Commit()
			assert.Equal(t, &origin{tel: f.tel, name: "a", delivered: 1, closed: 1}, told)
			f.assertEmpty()
			assert.ErrorIs(t, f.refuse(live.Path), ErrDuplicate, "it was delivered")
		})
	}
}

func TestValuesOfASegmentThatIsFinishedDuringADeliveryAreNotAcceptedWithIt(t *testing.T) {
	f := setUp(t)
	live, seg := f.hold("a", segmentstest.Requests(1))
	live.Word(count).Store(3)
	live.Word(layout.OffRefused).Store(1)
	assert.Equal(t, emit.Live, f.one().State)
	live.Word(count).Store(5)
	live.Word(layout.OffRefused).Store(2)
	live.Die()
	require.True(t, f.set.Finish(seg))
	f.set.Commit()
	assert.Zero(t, seg.Origin.(*origin).delivered)
	p := f.one()
	assert.Equal(t, emit.Final, p.State)
	assert.Equal(t, map[string]uint64{"requests": 5}, p.Counters)
	f.set.Commit()
	assert.Equal(t, 1, seg.Origin.(*origin).delivered)
	assert.Equal(t, map[string]int64{"refused": 2}, f.tel.Client)
}

func TestSegmentWhoseLastValuesWereReadByACollectionIsClosedByFinish(t *testing.T) {
	f := setUp(t)
	live, seg := f.hold("a", segmentstest.Requests(1))
	live.Word(count).Store(5)
	live.Die()
	assert.Equal(t, emit.Final, f.one().State)
	require.True(t, f.set.Finish(seg))
	assert.Equal(t, -1, seg.FD())
	f.set.Commit()
	assert.Equal(t, &origin{tel: f.tel, name: "a", delivered: 1, closed: 1}, seg.Origin)
	assert.Equal(t, emit.Gone, f.one().State)
}

func TestFinishLeavesASegmentOpenThatIsStillMapped(t *testing.T) {
	f := setUp(t)
	live, seg := f.hold("a", segmentstest.Requests(1))
	for range 2 {
		require.False(t, f.set.Finish(seg))
		assert.Equal(t, emit.Live, f.one().State)
	}
	live.Word(count).Store(5)
	live.Die()
	p := f.one()
	assert.Equal(t, emit.Final, p.State)
	assert.Equal(t, map[string]uint64{"requests": 5}, p.Counters)
}

func TestFinishLeavesASegmentOpenThatWaitsForRoom(t *testing.T) {
	f := setUp(t, func(l *Limits) { l.Series = 1 })
	first := f.publish("a", segmentstest.Requests(1))
	f.one()
	other := segmentstest.Requests(2)
	other.PID = 43
	live, seg := f.hold("b", other)
	live.Word(count).Store(5)
	live.Die()
	require.False(t, f.set.Finish(seg))
	assert.Equal(t, map[string]uint64{"requests": 0}, f.one().Counters)
	f.set.Commit()
	first.Die()
	f.collect()
	f.set.Commit()
	f.collect()
	f.set.Commit()
	assert.Equal(t, map[string]uint64{"requests": 5}, f.one().Counters)
}

func TestFinishKeepsNoMoreThanTheSizeOfASegment(t *testing.T) {
	f := setUp(t, func(l *Limits) { l.SegmentSize = 8192 })
	var finished []bool
	for i := range 3 {
		s := segmentstest.Requests(uint64(i))
		s.PID = uint64(100 + i)
		s.Records[1].Slot = 500 // of 8 bytes, which are kept from the first on
		live, seg := f.hold(string(rune('a'+i)), s)
		live.Word(segmenttest.StripeWord(0, 500)).Store(5)
		live.Die()
		finished = append(finished, f.set.Finish(seg))
	}
	assert.Equal(t, []bool{true, true, false}, finished)
	processes := f.collect()
	require.Len(t, processes, 3)
	for _, p := range processes {
		assert.Equal(t, emit.Final, p.State)
		assert.Equal(t, map[string]uint64{"requests": 5}, p.Counters)
	}
	f.set.Commit()
	f.collect()
	f.set.Commit()
	f.assertEmpty()
}

func TestFinishRefusesASegmentThatTurnsOutBad(t *testing.T) {
	f := setUp(t)
	live, seg := f.hold("a", segmentstest.Requests(1))
	live.Word(layout.OffCatalogueUsed).Store(1 << 40)
	live.Die()
	assert.True(t, f.set.Finish(seg))
	assert.Equal(t, &origin{tel: f.tel, name: "a", refused: segment.ErrBounds, closed: 1}, seg.Origin)
	assert.Empty(t, f.collect())
	f.assertEmpty()
}

func TestFinishedSegmentGoesOnCountingWhileASiblingLives(t *testing.T) {
	f := setUp(t)
	live, seg := f.hold("a", segmentstest.Requests(1))
	sibling := f.publish("b", segmentstest.Requests(2))
	live.Word(count).Store(3)
	sibling.Word(count).Store(4)
	f.one()
	live.Die()
	require.True(t, f.set.Finish(seg))
	for n := range uint64(3) {
		sibling.Word(count).Store(4 + n)
		p := f.one()
		assert.Equal(t, emit.Live, p.State)
		assert.Equal(t, map[string]uint64{"requests": 7 + n}, p.Counters)
		f.set.Commit()
	}
}
