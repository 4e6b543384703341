package quota

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestRoomIsWhatTheTightestLimitLeaves(t *testing.T) {
	limits := Limits{Segments: 9, SegmentsPerUID: 9, Series: 20, SeriesPerUID: 10, SeriesPerSegment: 5}
	for name, c := range map[string]struct {
		held    map[uint32]int
		charged int
		want    int
	}{
		"nothing held":     {nil, 0, 5},
		"of a segment":     {map[uint32]int{1: 3}, 3, 2},
		"of an owner":      {map[uint32]int{1: 7}, 0, 3},
		"of all":           {map[uint32]int{1: 4, 2: 9, 3: 6}, 0, 1},
		"of others":        {map[uint32]int{2: 9}, 0, 5},
		"overdrawn by all": {map[uint32]int{1: 5, 2: 19}, 1, -4},
	} {
		q := New(limits)
		for uid, series := range c.held {
			q.Charge(uid, 1, series)
		}
		assert.Equal(t, c.want, q.Room(1, c.charged), name)
	}
}

func TestFullIsSaidOfAnOwnerOrOfAll(t *testing.T) {
	q := New(Limits{Segments: 3, SegmentsPerUID: 2, Series: 9, SeriesPerUID: 9, SeriesPerSegment: 9})
	q.Charge(1, 1, 0)
	assert.False(t, q.Full(1, 1))
	q.Charge(1, 1, 0)
	assert.True(t, q.Full(1, 2), "two of one owner")
	assert.False(t, q.Full(2, 2))
	assert.True(t, q.Full(2, 3), "three of all")
	q.Charge(1, -1, 0)
	assert.False(t, q.Full(1, 1))
}

func TestOwnerThatGivesEverythingBackIsForgotten(t *testing.T) {
	limits := Limits{Segments: 9, SegmentsPerUID: 9, Series: 9, SeriesPerUID: 9, SeriesPerSegment: 9}
	q := New(limits)
	q.Charge(1, 1, 0)
	q.Charge(1, 0, 7)
	q.Charge(1, -1, -2)
	assert.NotEqual(t, New(limits), q)
	q.Charge(1, 0, -5)
	assert.Equal(t, New(limits), q)
}
