package journal

import (
	"cmp"
	"iter"
	"maps"
	"slices"
)

// Key tells a segment from all others: whose it is, and its id.
type Key struct {
	UID uint32
	ID  uint64
}

// State is what a journal says of all segments.
type State map[Key]*Segment

// Segment is what was read out of the rings of one.
type Segment struct {
	Drained int64 // in UNIX nanoseconds
	Rings   map[int]Ring
	Series  map[uint64]*Series // by an id that the owner gave
}

// Ring is how far a measurement ring was read, as the reader counts.
type Ring struct {
	Words, End, Sequence uint64
	Unnumbered           bool
}

// Series is a series as it was begun, and its values.
type Series struct {
	Slot       uint32
	Kind       uint8
	Start      int64  // in UNIX nanoseconds
	Attributes []byte // in whatever form the owner likes
	Values     []Word // those that were ever set, in the order of their indices
}

// Word is one of the words that a value has.
type Word struct {
	Index uint16
	Value uint64
}

func (s *Series) set(w Word) {
	i, found := slices.BinarySearchFunc(s.Values, w, func(a, b Word) int { return cmp.Compare(a.Index, b.Index) })
	if found {
		s.Values[i] = w
		return
	}
	s.Values = slices.Insert(s.Values, i, w)
}

// putSegment writes all that is known of a segment.
func (f *Frame) putSegment(key Key, s *Segment) {
	f.Segment(key)
	f.Drained(s.Drained)
	for _, number := range slices.Sorted(maps.Keys(s.Rings)) {
		f.Ring(number, s.Rings[number])
	}
	for _, id := range slices.Sorted(maps.Keys(s.Series)) {
		series := s.Series[id]
		f.Series(id, series)
		for _, w := range series.Values {
			f.Value(id, w)
		}
	}
}

func compareKeys(a, b Key) int { return cmp.Or(cmp.Compare(a.UID, b.UID), cmp.Compare(a.ID, b.ID)) }

// Frames are the frames of a journal that says nothing else. Each is valid until the next.
func (s State) Frames() iter.Seq[*Frame] {
	return func(yield func(*Frame) bool) {
		var f Frame
		for _, key := range slices.SortedFunc(maps.Keys(s), compareKeys) {
			f.Reset()
			f.putSegment(key, s[key])
			if !yield(&f) {
				return
			}
		}
	}
}
