package state

import (
	"bytes"
	"encoding/binary"
	"math"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/client/go/userevent"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/event"
)

// Handle takes one update. Most are about a series that is known: those cost a look at the segment, a comparison of
// the record with the one it had before, and a store.
func (in *Ingest) Handle(e *event.Event) {
	if skip, ok := in.handle(e); !ok {
		in.skipped[skip]++
	}
}

func (in *Ingest) handle(e *event.Event) (skip reason, ok bool) {
	if len(e.Record) < fieldsAt+userevent.HeaderSize {
		return skipTruncated, false
	}
	b := e.Record[fieldsAt:]
	record, ok := locate(b, userevent.OffRecord)
	if !ok {
		return skipBounds, false
	}
	update := word(b, userevent.OffNumber)
	if update == 0 {
		return skipNumber, false
	}
	s := in.last
	if id := word(b, userevent.OffSegment); s == nil || s.id != id {
		if s = in.segments[id]; s == nil {
			if s, skip, ok = in.admit(id, e, b); !ok {
				return skip, false
			}
		}
		in.last = s
	}
	if p := in.table.Of(e.TID); p != s.process {
		if skip, ok = in.belongs(s, p, e.TID); !ok {
			return skip, false
		}
	}
	number := binary.NativeEndian.Uint32(b[userevent.OffSeries:])
	x := s.find(number)
	if x == nil {
		if x, skip, ok = in.addSeries(s, number, record, update); !ok {
			return skip, false
		}
	} else if !bytes.Equal(record, x.record) {
		return skipRecordChanged, false
	}
	if x.kind == emit.KindHistogram {
		return in.histogram(s, x, b)
	}
	if binary.NativeEndian.Uint32(b[userevent.OffBuckets:])>>16 != 0 {
		return skipBuckets, false
	}
	value := word(b, userevent.OffValue)
	switch {
	case x.kind == emit.KindGauge && value == layout.GaugeUnset:
		return skipUnset, false
	case x.kind == emit.KindCounter && value < x.value:
		// Who took the higher number may have added up earlier, and a counter must not fall.
	case update > x.update:
		x.update, x.value, x.time = update, value, e.Time
	}
	if update < x.lowest {
		x.begin(update, value, 0)
	}
	return 0, true
}

// histogram takes the highest count of each bucket: they only grow, and an update may come in several events.
func (in *Ingest) histogram(s *segment, x *series, b []byte) (skip reason, ok bool) {
	counts, ok := locate(b, userevent.OffBuckets)
	if !ok {
		return skipBounds, false
	}
	first := int(binary.NativeEndian.Uint16(b[userevent.OffFirst:]))
	if len(counts)%8 != 0 || first+len(counts)/8 > layout.HistogramBuckets {
		return skipBuckets, false
	}
	update, value, zero := word(b, userevent.OffNumber), word(b, userevent.OffValue), word(b, userevent.OffZero)
	low, high := x.low, x.low+len(x.counts)
	if len(counts) > 0 {
		kept, ok := in.buckets(s, x, first, len(counts)/8)
		if !ok {
			return skipLimit, false
		}
		raise(kept, counts)
	}
	if update > x.update {
		x.update = update
	}
	if x.zero = max(x.zero, zero); math.Float64frombits(value) > math.Float64frombits(x.value) {
		x.value = value
	}
	lowest := update < x.lowest
	if lowest {
		x.begin(update, value, zero)
	}
	if x.lowest > 1 && (lowest || high-low < len(x.counts)) {
		x.rebase(low, high, first, counts, b)
	}
	return 0, true
}

// rebase takes buckets of an event into the base, if it is the lowest or has some that were not known: those were from
// low up to high. What one event brings that holds all of its update was zero before. Of an update in several
// events an earlier one may have been lost, or delivered.
func (x *series) rebase(low, high, first int, counts, b []byte) {
	x.cover()
	whole := binary.NativeEndian.Uint16(b[userevent.OffFlags:])&userevent.FlagMore == 0 &&
		(low == high || first <= low && first+len(counts)/8 >= high)
	lowest := word(b, userevent.OffNumber) == x.lowest
	for i := range len(counts) / 8 {
		bucket, n := first+i, binary.NativeEndian.Uint64(counts[i*8:])
		switch at := &x.base.Buckets[bucket-x.low]; {
		case bucket >= low && bucket < high:
			if lowest {
				*at = min(*at, n)
			}
		case lowest || !whole:
			*at = n
		}
	}
}

// buckets returns n of a histogram's buckets from first on, for which it makes room.
func (in *Ingest) buckets(s *segment, x *series, first, n int) ([]uint64, bool) {
	if low, high := x.span(first, n); high-low > len(x.counts) {
		cost := x.bucketCharge(high-low) - x.bucketCharge(len(x.counts))
		if cost > 0 && cost > in.room(s) {
			return nil, false
		}
		x.grow(low, high)
		s.charged += cost
		in.quota.Charge(s.process.UID, 0, cost)
	}
	return x.counts[first-x.low:][:n], true
}

// raise makes each bucket what the counts say if that is more. Eight at a time take half the time that one by one takes.
func raise(buckets []uint64, counts []byte) {
	for ; len(buckets) >= 8 && len(counts) >= 64; buckets, counts = buckets[8:], counts[64:] {
		b, c := (*[8]uint64)(buckets), (*[64]byte)(counts)
		b[0] = max(b[0], binary.NativeEndian.Uint64(c[0:]))
		b[1] = max(b[1], binary.NativeEndian.Uint64(c[8:]))
		b[2] = max(b[2], binary.NativeEndian.Uint64(c[16:]))
		b[3] = max(b[3], binary.NativeEndian.Uint64(c[24:]))
		b[4] = max(b[4], binary.NativeEndian.Uint64(c[32:]))
		b[5] = max(b[5], binary.NativeEndian.Uint64(c[40:]))
		b[6] = max(b[6], binary.NativeEndian.Uint64(c[48:]))
		b[7] = max(b[7], binary.NativeEndian.Uint64(c[56:]))
	}
	for i := range buckets {
		buckets[i] = max(buckets[i], binary.NativeEndian.Uint64(counts[i*8:]))
	}
}

// locate returns the bytes that a __rel_loc field at an offset refers to, part of b.
func locate(b []byte, field int) ([]byte, bool) {
	location := binary.NativeEndian.Uint32(b[field:])
	size, at := int(location>>16), field+4+int(location&0xffff)
	if at+size > len(b) {
		return nil, false
	}
	return b[at:][:size:size], true
}

func word(b []byte, offset int) uint64 { return binary.NativeEndian.Uint64(b[offset:]) }
