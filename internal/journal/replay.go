package journal

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math"
)

// magic begins a journal. It changes with the meaning of what follows.
const magic = "HPRING1\n"

// replay reads a journal of a size up to what is torn or wrong in it.
func replay(r io.Reader, size int64) State {
	state := State{}
	buffered := bufio.NewReaderSize(r, 1<<16)
	var begin [len(magic)]byte
	if _, err := io.ReadFull(buffered, begin[:]); err != nil || string(begin[:]) != magic {
		return state
	}
	var payload bytes.Buffer
	for {
		var header [frameHeader]byte
		if _, err := io.ReadFull(buffered, header[:]); err != nil {
			return state
		}
		n := int64(binary.LittleEndian.Uint32(header[:]))
		if n > min(size, maxPayload) {
			return state
		}
		payload.Reset()
		if _, err := io.CopyN(&payload, buffered, n); err != nil {
			return state
		}
		if crc32.Checksum(payload.Bytes(), castagnoli) != binary.LittleEndian.Uint32(header[4:]) {
			return state
		}
		// Twice, so that a frame which is wrong changes nothing.
		if !(&decoder{rest: payload.Bytes()}).apply(nil) {
			return state
		}
		(&decoder{rest: payload.Bytes()}).apply(state)
	}
}

// decoder takes a payload apart.
type decoder struct {
	rest []byte
	bad  bool
}

// apply applies the entries to a state, or only checks them where it is nil. It returns whether they are right.
func (d *decoder) apply(state State) bool {
	var about *Segment
	named := false
	for len(d.rest) > 0 && !d.bad {
		kind := d.rest[0]
		d.rest = d.rest[1:]
		if kind == entrySegment || kind == entrySegmentGone {
			key := Key{UID: uint32(d.number(math.MaxUint32)), ID: d.number(math.MaxUint64)}
			named = kind == entrySegment
			about = state.enter(key, named)
			continue
		}
		d.bad = d.bad || !named
		d.entry(kind, about)
	}
	return !d.bad
}

// enter returns a segment, or forgets it.
func (s State) enter(key Key, stays bool) *Segment {
	if s == nil {
		return nil
	}
	if !stays {
		delete(s, key)
		return nil
	}
	segment := s[key]
	if segment == nil {
		segment = &Segment{Rings: map[int]Ring{}, Series: map[uint64]*Series{}}
		s[key] = segment
	}
	return segment
}

// entry reads an entry, and applies it to the segment that it is about, if there is one.
func (d *decoder) entry(kind byte, about *Segment) {
	switch kind {
	case entryDrained:
		at := int64(d.number(math.MaxUint64))
		if about != nil {
			about.Drained = at
		}
	case entryRing:
		number := int(d.number(math.MaxInt32))
		r := Ring{Words: d.number(math.MaxUint64), End: d.number(math.MaxUint64), Sequence: d.number(math.MaxUint64), Unnumbered: d.number(1) == 1}
		if about != nil {
			about.Rings[number] = r
		}
	case entrySeries:
		id := d.number(math.MaxUint64)
		s := Series{Slot: uint32(d.number(math.MaxUint32)), Kind: uint8(d.number(math.MaxUint8)), Start: int64(d.number(math.MaxUint64))}
		attributes := d.bytes(d.number(maxPayload))
		if about != nil {
			s.Attributes = bytes.Clone(attributes)
			about.Series[id] = &s
		}
	case entryValue:
		id := d.number(math.MaxUint64)
		w := Word{Index: uint16(d.number(math.MaxUint16)), Value: d.number(math.MaxUint64)}
		if about != nil && about.Series[id] != nil {
			about.Series[id].set(w)
		}
	case entrySeriesGone:
		id := d.number(math.MaxUint64)
		if about != nil {
			delete(about.Series, id)
		}
	default:
		d.bad = true
	}
}

// number takes a varint that is no larger than most.
func (d *decoder) number(most uint64) uint64 {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 || n > most {
		d.rest, d.bad = nil, true
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.rest)) {
		d.rest, d.bad = nil, true
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}
