package journal

import (
	"encoding/binary"
	"hash/crc32"
)

// Sizes in bytes.
const (
	frameHeader = 8
	maxPayload  = 1 << 31
)

// Kinds of entries. The first names the segment that all but the second are about, until the next of those two.
const (
	entrySegment     = 1 // user id, segment id
	entrySegmentGone = 2 // the same
	entryDrained     = 3 // time
	entryRing        = 4 // ring, words, end, sequence, 1 if that is not known
	entrySeries      = 5 // id, slot, kind, start, size of the attributes; the attributes
	entryValue       = 6 // id, word, value
	entrySeriesGone  = 7 // id
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Frame is entries that are appended together. The zero Frame is empty.
type Frame struct{ bytes []byte }

// Reset empties the frame.
func (f *Frame) Reset() { f.bytes = f.bytes[:0] }

// Empty says that there is no entry in it.
func (f *Frame) Empty() bool { return len(f.bytes) == 0 }

// Segment begins entries about a segment.
func (f *Frame) Segment(key Key) { f.put(entrySegment, uint64(key.UID), key.ID) }

// SegmentGone says that nothing is to be known of a segment any more.
func (f *Frame) SegmentGone(key Key) { f.put(entrySegmentGone, uint64(key.UID), key.ID) }

// Drained says when the segment's rings were drained, in UNIX nanoseconds.
func (f *Frame) Drained(at int64) { f.put(entryDrained, uint64(at)) }

// Ring says how far a ring was read.
func (f *Frame) Ring(number int, r Ring) {
	f.put(entryRing, uint64(number), r.Words, r.End, r.Sequence, bit(r.Unnumbered))
}

// Series begins a series of the segment.
func (f *Frame) Series(id uint64, s *Series) {
	f.put(entrySeries, id, uint64(s.Slot), uint64(s.Kind), uint64(s.Start), uint64(len(s.Attributes)))
	f.bytes = append(f.bytes, s.Attributes...)
}

// Value sets a word of a series.
func (f *Frame) Value(id uint64, w Word) { f.put(entryValue, id, uint64(w.Index), w.Value) }

// SeriesGone says that a series ended.
func (f *Frame) SeriesGone(id uint64) { f.put(entrySeriesGone, id) }

func (f *Frame) put(kind byte, numbers ...uint64) {
	if len(f.bytes) == 0 {
		f.bytes = append(f.bytes, make([]byte, frameHeader)...)
	}
	f.bytes = append(f.bytes, kind)
	for _, n := range numbers {
		f.bytes = binary.AppendUvarint(f.bytes, n)
	}
}

// seal completes the header.
func (f *Frame) seal() []byte {
	payload := f.bytes[frameHeader:]
	binary.LittleEndian.PutUint32(f.bytes, uint32(len(payload)))
	binary.LittleEndian.PutUint32(f.bytes[4:], crc32.Checksum(payload, castagnoli))
	return f.bytes
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
