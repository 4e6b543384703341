package merge

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
)

// endings remembers which series end and which have a value, by id.
type endings struct {
	emittest.Discard
	told []string
}

func (e *endings) Counter(s *emit.Series, v uint64) {
	told := s.ID
	if s.Ended {
		told += " ended"
	} else {
		told += string('0' + rune(v))
	}
	e.told = append(e.told, told)
}

func tell(s *Set[value], state emit.State) []string {
	var e endings
	life := emit.Life{Process: emit.Process{State: state}}
	s.Deliver(&life, &e, &Scratch{})
	return e.told
}

// end ends the series of which only those segments have parts, and returns whose parts these were.
func end(s *Set[value], segments ...int) (ended []int) {
	s.End(func(v value) bool {
		for _, segment := range segments {
			if v.segment == segment {
				return true
			}
		}
		return false
	}, func(v value) { ended = append(ended, v.segment) })
	return ended
}

func TestSeriesOfWhichAllPartsAreIdleEnds(t *testing.T) {
	var s Set[value]
	s.Add(series(emit.KindCounter, "", "ca"), value{segment: 1, total: 1})
	s.Add(series(emit.KindCounter, "", "cb"), value{segment: 2, total: 2})
	s.Add(series(emit.KindCounter, "", "cb"), value{segment: 1, total: 3})
	s.Add(series(emit.KindCounter, "", "cc"), value{segment: 3, total: 4})
	assert.Equal(t, []string{"ca1", "cb5", "cc4"}, tell(&s, emit.Live))
	assert.Equal(t, []int{1}, end(&s, 1))
	assert.Empty(t, end(&s, 1), "once")
	for range 2 { // refused
		assert.Equal(t, []string{"ca ended", "cb5", "cc4"}, tell(&s, emit.Live))
	}
	var dropped []int
	drop := func(v value) { dropped = append(dropped, v.segment) }
	s.Drop(drop)
	s.Drop(drop)
	assert.Equal(t, []int{1}, dropped)
	assert.Equal(t, []string{"cb5", "cc4"}, tell(&s, emit.Live))
	s.Add(series(emit.KindCounter, "", "cc"), value{segment: 5, total: 1})
	assert.Equal(t, []string{"cb5", "cc5"}, tell(&s, emit.Live), "the others are found where they are now")
	assert.Equal(t, []int{2, 1}, end(&s, 1, 2))
	s.Remove(func(v value) bool { return v.segment == 2 })
	s.Drop(drop)
	assert.Equal(t, []int{1, 1}, dropped)
	s.Add(series(emit.KindCounter, "", "ca"), value{segment: 1, total: 7})
	assert.Equal(t, []string{"cc5", "ca7"}, tell(&s, emit.Live))
	assert.Equal(t, []string{"cc0", "ca0"}, tell(&s, emit.Gone))
}

func TestSeriesThatComesBackBeforeItsEndWasAcceptedWaitsForThat(t *testing.T) {
	for name, tt := range map[string]struct {
		state emit.State
		want  []string
	}{
		"its process lives": {emit.Live, []string{"ca ended"}},
		"its process ended": {emit.Final, []string{"ca7"}},
	} {
		t.Run(name, func(t *testing.T) {
			var s Set[value]
			old, again := series(emit.KindCounter, "", "ca"), series(emit.KindCounter, "", "ca")
			s.Add(old, value{segment: 1, total: 1})
			tell(&s, emit.Live)
			end(&s, 1)
			assert.Same(t, again, s.Add(again, value{segment: 2, total: 5}))
			assert.Same(t, again, s.Add(series(emit.KindCounter, "", "ca"), value{segment: 3, total: 2}))
			assert.Equal(t, tt.want, tell(&s, tt.state))
			assert.Equal(t, []string{"ca0"}, tell(&s, emit.Gone), "once")
			s.Drop(func(v value) { assert.Equal(t, 1, v.segment) })
			assert.Equal(t, []string{"ca7"}, tell(&s, emit.Live))
			assert.Same(t, again, s.Add(series(emit.KindCounter, "", "ca"), value{segment: 4, total: 1}))
			assert.Equal(t, []string{"ca8"}, tell(&s, emit.Live))
		})
	}
}

func TestSeriesThatWasNeverToldHasNoEnd(t *testing.T) {
	var s Set[value]
	s.Add(series(emit.KindCounter, "", "ca"), value{segment: 1})
	end(&s, 1)
	assert.Empty(t, tell(&s, emit.Live))
	s.Drop(func(value) {})
	assert.Empty(t, tell(&s, emit.Live))
}
