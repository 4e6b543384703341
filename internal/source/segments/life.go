package segments

import (
	"cmp"
	"math"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/segment"
)

// refresh returns whether the segment is still good.
func (s *Set) refresh(seg *Segment) bool {
	if !seg.dead {
		// Before anything is read: only what is read of a segment known to be dead is final.
		live, err := Alive(seg.fd)
		if err != nil {
			s.drop(seg, err)
			return false
		}
		seg.dead = !live
	}
	if !s.reread(seg) {
		return false
	}
	if seg.dead && seg.catalogue.Parsed > 0 && len(seg.catalogue.Series) == 0 {
		s.reportClient(seg)
		seg.Origin.Delivered(seg)
		s.discard(seg)
		return false
	}
	return true
}

// reread takes what is new in a segment's header and catalogue, and returns whether it is still good.
func (s *Set) reread(seg *Segment) bool {
	if err := s.extendCatalogue(seg); err != nil {
		s.drop(seg, err)
		return false
	}
	return true
}

func (s *Set) extendCatalogue(seg *Segment) error {
	charged := seg.catalogue.Charged
	room := s.quota.Room(seg.UID, seg.charged())
	if len(seg.catalogue.Series) == 0 && room <= 0 {
		if !seg.limited {
			seg.limited = true
			s.tel.SegmentSkipped(string(ErrLimit))
			s.logger.Warn("Not reading a segment until there is room for its series", zap.String("name", seg.Origin.Name()), zap.Uint32("uid", seg.UID))
		}
		return nil // it waits, whole
	}
	n, err := seg.refresh(s.buffers, s.limits.SegmentSize, room)
	s.tel.BytesRead(n)
	s.quota.Charge(seg.UID, 0, seg.catalogue.Charged-charged)
	if seg.catalogue.Skipped[segment.ErrLimit] > 0 && !seg.trimmed {
		seg.trimmed = true
		s.logger.Warn("Leaving out series of a segment that are beyond a limit", zap.String("name", seg.Origin.Name()), zap.Uint32("uid", seg.UID))
	}
	for reason, n := range seg.catalogue.Skipped {
		s.skipSeries(reason, n)
	}
	clear(seg.catalogue.Skipped)
	return err
}

func (s *Set) skipSeries(reason segment.Reason, n int64) {
	if n > 0 {
		s.tel.SeriesSkipped(string(reason), n)
	}
}

// attach puts segments that were found since into processes.
func (s *Set) attach() {
	if len(s.fresh) == 0 {
		return
	}
	fresh := s.fresh
	s.fresh = nil
	// The live ones first: a dead one must see whether its process lives.
	slices.SortStableFunc(fresh, func(a, b *Segment) int { return cmp.Compare(rank(a), rank(b)) })
	for _, seg := range fresh {
		if seg.catalogue.Parsed == 0 {
			s.fresh = append(s.fresh, seg) // it waits for room
			continue
		}
		if seg.catalogue.ResourceFaults > 0 {
			s.logger.Warn("Left out resource attributes that are malformed",
				zap.String("name", seg.Origin.Name()), zap.Int("attributes", seg.catalogue.ResourceFaults))
		}
		p := s.processOf(seg)
		p.add(seg)
		s.skipSeries(segment.ErrConflict, p.extend(seg))
	}
}

func rank(seg *Segment) int {
	if seg.late {
		return 1
	}
	return 0
}

// processOf finds the process of a segment, or makes it.
func (s *Set) processOf(seg *Segment) *process {
	key := processKeyOf(seg)
	known := s.byKey[key]
	alive := known != nil && known.alive()
	switch {
	case known == nil || known.Ended():
	case alive && !seg.late, !alive && seg.dead:
		return known
	case alive && s.lates[key] != nil:
		return s.lates[key]
	}

	p := newProcess(key, seg)
	if alive {
		// Its last values are never merged into those of the segment that lives: only the writer could
		// say whether they are part of them already.
		p.supersede(known.Start)
		s.lates[key] = p
		s.processes = slices.Insert(s.processes, 0, p) // in a series, older values come first
		return p
	}
	if known != nil { // it executed another program, which may be its own again
		known.supersede(p.Start)
	}
	s.byKey[key] = p
	s.processes = append(s.processes, p)
	return p
}

// publish makes what was recorded since into series of a process, in a collection that began at the given time.
func (s *Set) publish(p *process, began time.Time) {
	for _, seg := range p.segments {
		if len(seg.recorded.fresh) > 0 {
			s.skipSeries(segment.ErrConflict, p.extend(seg)+p.publish(seg, began.Add(-time.Second).UnixNano()))
		}
	}
}

// expire ends series of a live process that were recorded and are not any more. Their last value was accepted.
func (s *Set) expire(p *process) {
	if s.limits.UnboundExpiry <= 0 || p.State != emit.Live || !slices.ContainsFunc(p.segments, func(seg *Segment) bool { return len(seg.recorded.byID) > 0 }) {
		return
	}
	last := min(p.accepted, p.handed-int64(s.limits.UnboundExpiry))
	p.series.End(
		func(m part) bool { return m.recorded != nil && m.recorded.measured <= last && !m.recorded.holds() },
		func(m part) { m.recorded.ended = true },
	)
}

// snapshot reads the values of a process.
func (s *Set) snapshot(p *process) (read int64) {
	words := 0
	for _, seg := range p.segments {
		if !seg.final {
			words += seg.words()
		}
	}
	s.buffers.reset(words)
	for i := 0; i < len(p.segments); i++ {
		seg := p.segments[i]
		if seg.final {
			continue
		}
		n, ok := s.read(seg)
		if !ok { // it was taken out of p.segments
			i--
			continue
		}
		read += n
	}
	return read
}

// read takes a segment's values, for good if it is dead. It returns whether the segment is still good.
func (s *Set) read(seg *Segment) (read int64, ok bool) {
	read, err := seg.snapshot(s.buffers)
	if err != nil {
		s.drop(seg, err)
		return 0, false
	}
	if seg.dead {
		seg.stripes, seg.shared = slices.Clone(seg.stripes), slices.Clone(seg.shared)
		seg.final = true
		s.kept += seg.size()
	}
	return read, true
}

// Finish takes the last values of a segment whose process has ended, and closes it: they are delivered from the collector's memory. It
// returns false if the segment has to stay open, so that later collections find out its end: something
// else still has it mapped, it waits for room for its series, or what is kept of others is too much already.
func (s *Set) Finish(seg *Segment) bool {
	if seg.fd < 0 {
		return true
	}
	if !seg.final && !s.takeLast(seg) {
		return seg.fd < 0 // it turned out bad, or empty
	}
	s.close(seg)
	return true
}

// takeLast returns whether it took a segment's last values.
func (s *Set) takeLast(seg *Segment) bool {
	if !s.refresh(seg) {
		return false
	}
	if seg.process != nil {
		s.skipSeries(segment.ErrConflict, seg.process.extend(seg))
	}
	s.drain(seg)
	if seg.fd < 0 {
		return false
	}
	words := seg.words()
	if !seg.dead || len(seg.catalogue.Series) == 0 || s.kept+int64(words)*8 > s.limits.SegmentSize {
		return false
	}
	s.buffers.reset(words)
	n, ok := s.read(seg)
	s.tel.BytesRead(n)
	seg.handed = false // by a collection before these values
	return ok
}

// commit is about a process that was accepted as it was handed over. It returns whether nothing is left of it.
func (s *Set) commit(p *process) (over bool) {
	for _, seg := range p.segments {
		if !seg.handed {
			continue
		}
		p.accepted = p.handed
		s.reportClient(seg)
		if seg.final && !seg.accepted {
			seg.accepted = true
			seg.Origin.Delivered(seg)
			s.close(seg)
		}
	}
	if p.accepted == p.handed {
		p.series.Drop(func(m part) {
			s.quota.Charge(m.from.UID, 0, -m.from.recorded.drop(m.recorded))
			p.expired = s.collected.Add(-time.Second).UnixNano() // as starts are bounded
		})
	}
	over = p.Commit()
	if p.Ended() {
		for _, seg := range p.segments {
			s.kept -= seg.size()
			seg.stripes, seg.shared = nil, nil
			seg.recorded.forms, seg.recorded.byID = nil, nil
		}
	}
	return over
}

// reportClient reports what the client counted about itself since the last time.
func (s *Set) reportClient(seg *Segment) {
	now, old := seg.header.Client, &seg.reported
	countIncrease(now.Refused, old.Refused, s.tel.ClientRefused)
	countIncrease(now.Folded, old.Folded, s.tel.ClientFolded)
	countIncrease(now.Unplaced, old.Unplaced, s.tel.ClientUnplaced)
	countIncrease(now.Rejected, old.Rejected, s.tel.ClientRejected)
	countIncrease(now.Unrecorded, old.Unrecorded, s.tel.ClientUnrecorded)
	*old = now
}

func countIncrease(now, old uint64, count func(int64)) {
	if grown := now - old; now > old && grown <= math.MaxInt64 { // more is a lie
		count(int64(grown))
	}
}

// drop stops reading a segment that turned out bad.
func (s *Set) drop(seg *Segment, cause error) {
	seg.Origin.Refused(seg, segment.ReasonOf(cause, ErrUnreadable), cause)
	s.discard(seg)
}

// discard lets go of a segment and what it counts against the limits.
func (s *Set) discard(seg *Segment) {
	s.close(seg)
	s.quota.Charge(seg.UID, -1, -seg.charged())
	s.fresh = slices.DeleteFunc(s.fresh, func(other *Segment) bool { return other == seg })
	if seg.process != nil {
		seg.process.remove(seg)
	}
}

// Release lets go of a segment that somebody else has disposed of.
func (s *Set) Release(seg *Segment) {
	if seg.final {
		s.kept -= seg.size()
	}
	s.discard(seg)
}

// Forget forgets processes of which no segment is left. Their end is not told.
func (s *Set) Forget() {
	s.processes = slices.DeleteFunc(s.processes, func(p *process) bool {
		if len(p.segments) > 0 {
			return false
		}
		s.forget(p)
		return true
	})
}

// close gives a segment's file back, if that was not done before; its values may stay.
func (s *Set) close(seg *Segment) {
	if seg.fd < 0 {
		return
	}
	seg.close()
	delete(s.segments, seg.Key)
	s.unkeep(seg)
	s.ringed = slices.DeleteFunc(s.ringed, func(other *Segment) bool { return other == seg })
	id := copyKey{seg.UID, seg.header.ID}
	if s.ids[id] == seg {
		delete(s.ids, id)
		if seg.dead {
			s.retire(id)
		}
	}
}

// forget ends a process.
func (s *Set) forget(p *process) {
	for _, seg := range p.segments {
		s.quota.Charge(seg.UID, -1, -seg.charged())
	}
	if s.byKey[p.key] == p {
		delete(s.byKey, p.key)
	}
	if s.lates[p.key] == p {
		delete(s.lates, p.key)
	}
}
