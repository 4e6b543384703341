package state

import (
	"bytes"
	"encoding/binary"

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
		if x, skip, ok = in.addSeries(s, number, record); !ok {
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
	case update > x.update:
		x.update, x.value, x.time = update, value, e.Time
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
	if len(counts) > 0 {
		kept, ok := in.buckets(s, x, first, len(counts)/8)
		if !ok {
			return skipLimit, false
		}
		for i := range kept {
			kept[i] = max(kept[i], binary.NativeEndian.Uint64(counts[i*8:]))
		}
	}
	if update := word(b, userevent.OffNumber); update > x.update {
		x.update, x.value, x.zero = update, word(b, userevent.OffValue), word(b, userevent.OffZero)
	}
	return 0, true
}

// buckets returns n of a histogram's buckets from first on, for which it makes room.
func (in *Ingest) buckets(s *segment, x *series, first, n int) ([]uint64, bool) {
	if low, high := x.span(first, n); high-low > len(x.counts) {
		cost := bucketCharge(high-low) - bucketCharge(len(x.counts))
		if cost > 0 && cost > in.room(s) {
			return nil, false
		}
		x.grow(low, high)
		s.charged += cost
		in.charge(s.process.UID, 0, cost)
	}
	return x.counts[first-x.low:][:n], true
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
