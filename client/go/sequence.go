//go:build linux && (amd64 || arm64)

package hotpath

import (
	"sync/atomic"
	"unsafe"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/client/go/userevent"
)

// sequence is a series' sequence of updates. As its values it lies in memory that isn't Go's.
type sequence struct {
	number uint64 // of the last one
	record uint32 // where the record is, in bytes from the segment's start
	size   uint32 // of the record, 0 for a series that is too long to be sent
	series uint32
	_      uint32
}

// add begins the sequence of a series whose record is the next to be appended. It may take the record's description.
func (u *updates) add(r *segment.Record, made cell, series int) {
	u.keep()
	room := userevent.MaxSize - userevent.HeaderSize - len(u.resource)
	of := u.ofStripes
	switch r.Kind {
	case segment.KindHistogram:
		room -= userevent.MaxBuckets * 8
	case segment.KindGauge:
		of = u.ofGauge
	}
	if r.Size() > room {
		r.Description = ""
	}
	if r.Size() > room {
		u.tooLong++
		return
	}
	*of(made.word) = sequence{record: uint32(segment.HeaderSize + u.client.mapping.used), size: uint32(r.Size()), series: uint32(series)}
}

// ofStripes is the sequence of the series with this word in the stripe of P 0.
func (u *updates) ofStripes(word unsafe.Pointer) *sequence {
	m := u.client.mapping
	first := m.at(m.stripes.offset + m.stripes.size)
	return u.sequence((uintptr(word) - uintptr(first)) / 8)
}

// ofGauge is the sequence of the gauge with this word.
func (u *updates) ofGauge(word unsafe.Pointer) *sequence {
	m := u.client.mapping
	first := m.at(m.shared.offset)
	return u.sequence((uintptr(m.stripes.size) + uintptr(word) - uintptr(first)) / 8)
}

func (u *updates) sequence(i uintptr) *sequence {
	return (*sequence)(unsafe.Add(u.sequences, i*unsafe.Sizeof(sequence{})))
}

// next is the series' next update. What is read after that belongs to it: it covers all that was added before
// the number was taken, by whomever.
func (u *updates) next(s *sequence) userevent.Update {
	update := u.header
	update.Series = s.series
	update.RecordLen = uint16(s.size)
	update.Number = atomic.AddUint64(&s.number, 1)
	return update
}
