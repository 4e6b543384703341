package shm

import (
	"cmp"
	"context"
	"math"
	"slices"

	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/segment"
)

// refresh probes every segment, and reads what is new in the catalogues.
func (s *source) refresh() {
	for _, p := range s.processes {
		for i := 0; i < len(p.readers); i++ {
			r := p.readers[i]
			if r.final {
				continue
			}
			if !s.refreshOne(r) { // it was taken out of p.readers
				i--
				continue
			}
			s.skipSeries(segment.ErrConflict, p.extend(r))
		}
	}
	for _, r := range slices.Clone(s.fresh) {
		s.refreshOne(r)
	}
}

// refreshOne returns whether the segment is still good.
func (s *source) refreshOne(r *reader) bool {
	if !r.dead {
		// Before anything is read: only what is read of a segment known to be dead is final.
		live, err := alive(r.fd)
		if err != nil {
			s.drop(r, err)
			return false
		}
		r.dead = !live
	}
	charged := r.catalogue.Charged
	room := s.room(r)
	if len(r.catalogue.Series) == 0 && room <= 0 {
		if !r.limited {
			r.limited = true
			s.report(r.name, skipLimit, nil)
		}
		return true // it waits, whole
	}
	n, err := r.refresh(s.buffers, s.limits.SegmentSize, room)
	s.tel.BytesRead(n)
	s.addOwner(r.uid, 0, r.catalogue.Charged-charged)
	if r.catalogue.Skipped[segment.ErrLimit] > 0 && !r.trimmed {
		r.trimmed = true
		s.logger.Warn("Leaving out series of a segment that are beyond a limit", zap.String("name", r.name), zap.Uint32("uid", r.uid))
	}
	for reason, n := range r.catalogue.Skipped {
		s.skipSeries(reason, n)
	}
	clear(r.catalogue.Skipped)
	if err != nil {
		s.drop(r, err)
		return false
	}
	if r.dead && len(r.catalogue.Series) == 0 {
		s.reportClient(r)
		s.remove(r)
		s.discard(r)
		return false
	}
	return true
}

// room is how much more a segment's catalogue may charge.
func (s *source) room(r *reader) int {
	return min(s.limits.Series-s.series, s.limits.SeriesPerUID-s.owners[r.uid].series,
		s.limits.SeriesPerSegment-r.catalogue.Charged)
}

func (s *source) skipSeries(reason segment.Reason, n int64) {
	if n > 0 {
		s.tel.SeriesSkipped(string(reason), n)
	}
}

// attach puts segments that were found since into processes.
func (s *source) attach() {
	if len(s.fresh) == 0 {
		return
	}
	fresh := s.fresh
	s.fresh = nil
	// The live ones first: a dead one must see whether its process lives.
	slices.SortStableFunc(fresh, func(a, b *reader) int { return cmp.Compare(rank(a), rank(b)) })

	holders := map[fileKey]int{}
	for _, r := range fresh {
		if !r.dead {
			holders[r.key] = 0
		}
	}
	if len(holders) > 0 {
		lockHolders(holders)
	}
	for _, r := range fresh {
		if r.catalogue.Parsed == 0 {
			s.fresh = append(s.fresh, r) // it waits for room
			continue
		}
		s.forgetName(r.name)
		if r.catalogue.ResourceFaults > 0 {
			s.logger.Warn("Left out resource attributes that are malformed",
				zap.String("name", r.name), zap.Int("attributes", r.catalogue.ResourceFaults))
		}
		p := s.processOf(r, holders[r.key])
		p.add(r)
		s.skipSeries(segment.ErrConflict, p.extend(r))
	}
}

func rank(r *reader) int {
	if r.late {
		return 1
	}
	return 0
}

// processOf finds the process of a segment, or makes it.
func (s *source) processOf(r *reader, holder int) *process {
	key := processKey{r.uid, r.header.PID, r.header.Instance, r.catalogue.ResourceID}
	known := s.byKey[key]
	alive := known != nil && known.alive()
	switch {
	case known == nil || known.Ended():
	case alive && !r.late, !alive && r.dead:
		return known
	case alive && s.lates[key] != nil:
		return s.lates[key]
	}

	p := &process{key: key}
	p.Resource = identify(r.catalogue.Resource, r.uid, holder, r.header.PID, r.header.Instance)
	p.Owner = r.uid
	p.Start = r.header.StartTime
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

// deliver takes the values of each process and hands them over.
func (s *source) deliver(ctx context.Context, sink emit.Sink) error {
	for _, p := range s.processes {
		p.Hold()
		for _, r := range p.readers {
			r.handed = false
		}
	}
	var live, dead, read int64
	for _, p := range s.processes {
		if err := ctx.Err(); err != nil {
			return err
		}
		read += s.snapshot(p)
		if len(p.readers) == 0 {
			p.End()
		}
		p.Bound(s.collected.UnixNano())
		p.Advance(!p.alive())
		p.deliver(sink, &s.scratch)
		p.known = true
		for _, r := range p.readers {
			r.handed = true
			if r.fd < 0 {
				continue
			}
			if r.dead {
				dead++
			} else {
				live++
			}
		}
	}
	s.tel.BytesRead(read)
	s.tel.Segments("live", live)
	s.tel.Segments("dead", dead)
	s.tel.Segments("skipped", int64(len(s.skipped)+len(s.waiting)+len(s.fresh)))
	return nil
}

// snapshot reads the values of a process.
func (s *source) snapshot(p *process) (read int64) {
	words := 0
	for _, r := range p.readers {
		if !r.final {
			words += r.words()
		}
	}
	s.buffers.reset(words)
	for i := 0; i < len(p.readers); i++ {
		r := p.readers[i]
		if r.final {
			continue
		}
		n, err := r.snapshot(s.buffers)
		if err != nil {
			s.drop(r, err) // takes it out of p.readers
			i--
			continue
		}
		read += n
		if r.dead {
			r.stripes, r.shared = slices.Clone(r.stripes), slices.Clone(r.shared)
			r.final = true
		}
	}
	return read
}

// commit is about a process that was accepted as it was handed over. It returns whether nothing is left of it.
func (s *source) commit(p *process) (over bool) {
	for _, r := range p.readers {
		if !r.handed {
			continue
		}
		s.reportClient(r)
		if r.final && r.fd >= 0 {
			s.remove(r)
			s.close(r)
		}
	}
	over = p.Commit()
	if p.Ended() {
		for _, r := range p.readers {
			r.stripes, r.shared = nil, nil
		}
	}
	return over
}

// reportClient reports what the client counted about itself since the last time.
func (s *source) reportClient(r *reader) {
	now, old := r.header.Client, &r.reported
	countIncrease(now.Refused, old.Refused, s.tel.ClientRefused)
	countIncrease(now.Folded, old.Folded, s.tel.ClientFolded)
	countIncrease(now.Unplaced, old.Unplaced, s.tel.ClientUnplaced)
	countIncrease(now.Rejected, old.Rejected, s.tel.ClientRejected)
	*old = now
}

func countIncrease(now, old uint64, count func(int64)) {
	if grown := now - old; now > old && grown <= math.MaxInt64 { // more is a lie
		count(int64(grown))
	}
}

// drop stops reading a segment that turned out bad.
func (s *source) drop(r *reader, cause error) {
	reason := segment.ReasonOf(cause, skipUnreadable)
	removable := litter(reason)
	s.disregard(r, reason, removable, cause)
	if removable && r.dead && unlink(r.dir, r.name, r.key) == nil {
		s.forgetName(r.name)
	}
	s.discard(r)
}

// discard lets go of a segment and what it counts against the limits.
func (s *source) discard(r *reader) {
	s.close(r)
	s.addOwner(r.uid, -1, -r.catalogue.Charged)
	s.fresh = slices.DeleteFunc(s.fresh, func(other *reader) bool { return other == r })
	if r.process != nil {
		r.process.remove(r)
	}
}

// close gives a segment's file back; its values may stay.
func (s *source) close(r *reader) {
	r.close()
	delete(s.readers, r.key)
	id := segmentKey{r.uid, r.header.ID}
	if s.ids[id] == r {
		delete(s.ids, id)
		if r.dead {
			s.retire(id)
		}
	}
}

// forget ends a process.
func (s *source) forget(p *process) {
	for _, r := range p.readers {
		s.addOwner(r.uid, -1, -r.catalogue.Charged)
	}
	if s.byKey[p.key] == p {
		delete(s.byKey, p.key)
	}
	if s.lates[p.key] == p {
		delete(s.lates, p.key)
	}
}

func (s *source) addOwner(uid uint32, segments, series int) {
	o := s.owners[uid]
	o.segments += segments
	o.series += series
	s.series += series
	if o == (owner{}) {
		delete(s.owners, uid)
	} else {
		s.owners[uid] = o
	}
}
