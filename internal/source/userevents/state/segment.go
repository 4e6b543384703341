package state

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/hotpath-metrics/hotpath/client/go/userevent"

	layout "github.com/hotpath-metrics/hotpath/internal/segment"

	"github.com/hotpath-metrics/hotpath/internal/process"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/event"
)

// segment is what a process counts in, as far as updates tell.
type segment struct {
	id       uint64
	process  *process.Process // the first one that wrote it
	resource *resource
	start    int64 // UNIX nanoseconds
	old      bool  // an earlier run of the collector may have delivered some of it
	charged  int   // against the limits on series
	foreign  int32 // the last thread of another process that wrote it

	series []*series
	ids    map[string]struct{} // of series
	dense  []*series           // by number, nil where there is none
	sparse map[uint32]*series
}

// Numbers are dense as a rule, but a hostile one must not cost more memory than it takes to write it.
const (
	denseLeast = 256 // numbers below this are always kept in segment.dense,
	denseRatio = 8   // and higher ones up to so many for each series that there is
)

func (s *segment) find(number uint32) *series {
	if int64(number) < int64(len(s.dense)) {
		if x := s.dense[number]; x != nil {
			return x
		}
	}
	return s.sparse[number]
}

func (s *segment) put(number uint32, x *series) {
	if n := int(number); n < denseLeast || n < denseRatio*len(s.series) {
		for n >= len(s.dense) {
			s.dense = append(s.dense, nil)
		}
		s.dense[n] = x
		return
	}
	if s.sparse == nil {
		s.sparse = map[uint32]*series{}
	}
	s.sparse[number] = x
}

// maxAsked bounds how often the kernel is asked, from one collection to the next, whose a thread is that writes to another
// process's segment: that takes some 20 us, so that all together take as many milliseconds.
const maxAsked = 1000

// admit takes up a segment that was not known.
func (in *Ingest) admit(id uint64, e *event.Event, b []byte) (*segment, reason, bool) {
	p := in.table.Of(e.TID)
	if p == nil {
		return nil, skipProcessLimit, false
	}
	// Before the kernel is asked, which takes time: a flood of segments must not cost that much for each.
	if in.quota.Full(p.UID, len(in.segments)) {
		return nil, skipSegmentLimit, false
	}
	start := word(b, userevent.OffStart)
	if start == 0 || start > math.MaxInt64 {
		return nil, skipStart, false
	}
	record, ok := locate(b, userevent.OffResource)
	if !ok {
		return nil, skipBounds, false
	}
	described, err := layout.ParseResource(record)
	if err != nil {
		return nil, skipResource, false
	}
	s := &segment{id: id, process: p, start: int64(start), charged: layout.Charge(record), ids: map[string]struct{}{}}
	if s.charged > in.room(s) {
		return nil, skipLimit, false
	}
	if s.process = in.table.Resolve(e.TID); s.process == nil {
		return nil, skipProcessLimit, false
	}
	if p = s.process; s.charged > in.room(s) {
		return nil, skipLimit, false
	}
	key := resourceKey{process: p, id: described.ID}
	copy(key.instance[:], b[userevent.OffInstanceHi:])
	in.quota.Charge(p.UID, 1, s.charged)
	in.segments[id] = s
	in.join(s, key, described.Attributes, binary.NativeEndian.Uint32(b[userevent.OffPID:]))
	return s, 0, true
}

// belongs says whether a thread that is not known to be of the segment's process may write to it after all.
func (in *Ingest) belongs(s *segment, p *process.Process, tid int32) (skip reason, ok bool) {
	switch {
	case p == nil:
		return skipProcessLimit, false
	case p.Unknown && !s.resource.Ended():
		// A thread that is gone already. The id is random: who knows it is of the process, and its last update must not be lost.
		return 0, true
	case s.process.Unknown:
		in.move(s, p) // now it is known, or known to live
		return 0, true
	case s.process.Dead(), tid == s.foreign, in.asked >= maxAsked:
		return skipForeign, false
	}
	// The thread's id may have been another's.
	in.asked++
	if in.table.Resolve(tid) == s.process {
		return 0, true
	}
	s.foreign = tid
	return skipForeign, false
}

// addSeries takes up a series that the segment did not have, with the number of the update that brings it.
func (in *Ingest) addSeries(s *segment, number uint32, record []byte, update uint64) (*series, reason, bool) {
	if number >= userevent.MaxSeries {
		return nil, skipNumber, false
	}
	cost := 1 + layout.Charge(record)
	if cost > in.room(s) {
		return nil, skipLimit, false
	}
	parsed, err := layout.ParseSeries(record)
	if err != nil {
		return nil, skipRecord, false
	}
	if _, twice := s.ids[parsed.ID]; twice {
		return nil, skipDuplicate, false
	}
	x := &series{kind: parsed.Instrument.Kind, record: bytes.Clone(record)}
	if s.old && update > 1 {
		x.lowest = unheard
	}
	if !s.resource.add(parsed, part{x, s}) {
		return nil, skipConflict, false
	}
	s.series = append(s.series, x)
	s.ids[parsed.ID] = struct{}{}
	s.put(number, x)
	s.charged += cost
	in.quota.Charge(s.process.UID, 0, cost)
	return x, 0, true
}
