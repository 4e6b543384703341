// Package segments reads segments that a source has found, wherever they are: it copies and checks them (read.go), takes
// measurements out of their rings (rings.go, recordings.go), merges those of one process (process.go) and follows them to their end (life.go). A source finds them, says whose they are, and disposes of
// them through an [Origin].
//
//	found:    set.Lookup, set.Admit
//	Collect:  set.Refresh, set.Deliver
//	between:  set.DrainRings, as often as measurement rings fill
//	Commit:   set.Commit
//	the end:  set.Finish, where it is known at once and the segment's memory is to be given back
package segments

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/merge"
	"github.com/hotpath-metrics/hotpath/internal/quota"
	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/source"
)

// Set is the segments that a source holds, and their processes. Calls come one at a time.
type Set struct {
	limits Limits
	logger *zap.Logger
	tel    source.Telemetry

	segments map[Key]*Segment // those that are open
	ids      map[copyKey]*Segment
	quota    *quota.Quota
	kept     int64      // bytes of final values
	fresh    []*Segment // in no process yet

	processes []*process // in the order of appearance
	byKey     map[processKey]*process
	lates     map[processKey]*process

	retired      map[copyKey]struct{}
	retiredOrder []copyKey
	retiredNext  int

	ringed   []*Segment    // those of segments that have measurement rings
	drained  time.Time     // when DrainRings last ended
	draining time.Duration // and how long it took
	filling  bool          // then there was much in one of them
	keeper   *keeper       // nil if what is read out of rings is in memory alone

	foundAll bool // see FoundAll

	made      time.Time // for Set.clock
	collected time.Time // when the last collection began; zero after Commit
	buffers   *buffers
	scratch   merge.Scratch
}

// New returns an empty set.
func New(limits Limits, logger *zap.Logger, telemetry source.Telemetry) *Set {
	return &Set{
		limits: limits, logger: logger, tel: telemetry,
		segments: map[Key]*Segment{}, ids: map[copyKey]*Segment{}, quota: quota.New(limits.Limits),
		byKey: map[processKey]*process{}, lates: map[processKey]*process{}, retired: map[copyKey]struct{}{},
		made: time.Now(), buffers: newBuffers(),
	}
}

// Refresh begins a collection: it probes every segment, and reads what is new in their catalogues. It returns the segments that are
// going to be part of a process for the first time, for the source to say more about them.
func (s *Set) Refresh() (fresh []*Segment) {
	for _, p := range s.processes {
		for i := 0; i < len(p.segments); i++ {
			seg := p.segments[i]
			if seg.final {
				continue
			}
			if !s.refresh(seg) { // it was taken out of p.segments
				i--
				continue
			}
			s.skipSeries(segment.ErrConflict, p.extend(seg))
		}
	}
	for _, seg := range slices.Clone(s.fresh) {
		if (seg.final || s.refresh(seg)) && seg.catalogue.Parsed > 0 {
			fresh = append(fresh, seg)
		}
	}
	return fresh
}

// Deliver hands every process to the sink, in a collection that began at the given time. It also
// sets how many segments are live and dead; Waiting says how many it left out.
func (s *Set) Deliver(ctx context.Context, sink emit.Sink, began time.Time) error {
	s.collected = began
	s.attach()
	s.DrainRings()
	for _, p := range s.processes {
		p.Hold()
		for _, seg := range p.segments {
			seg.handed = false
		}
	}
	var live, dead, read int64
	for _, p := range s.processes {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.keepUp()
		s.publish(p, began)
		read += s.snapshot(p)
		if len(p.segments) == 0 {
			p.End()
		}
		p.Bound(began.UnixNano())
		p.Advance(!p.alive())
		p.handed = s.clock(time.Now())
		s.expire(p)
		p.deliver(sink, &s.scratch)
		p.known = true
		for _, seg := range p.segments {
			seg.handed = true
			switch {
			case seg.accepted:
			case seg.dead:
				dead++
			default:
				live++
			}
		}
	}
	s.keep() // with the starts that were told
	s.tel.BytesRead(read)
	s.tel.Segments("live", live)
	s.tel.Segments("dead", dead)
	return nil
}

// Waiting is how many open segments are in no process yet: they wait for room for their series, or for a collection.
func (s *Set) Waiting() int { return len(s.fresh) }

// Commit says that what the last Deliver handed over was accepted, and forgets what will never be needed again. It returns when
// that collection began, or zero if there was none since the last Commit.
func (s *Set) Commit() (delivered time.Time) {
	if s.collected.IsZero() {
		return time.Time{}
	}
	kept := s.processes[:0]
	for _, p := range s.processes {
		if s.commit(p) {
			s.forget(p)
		} else {
			kept = append(kept, p)
		}
	}
	clear(s.processes[len(kept):])
	s.processes = kept
	s.keptDelivery()
	delivered, s.collected = s.collected, time.Time{}
	return delivered
}

// Close closes all segments, where they are, for the next collector. The set is empty then.
func (s *Set) Close() {
	for _, seg := range s.segments {
		seg.close()
	}
	if s.keeper != nil {
		s.keeper.Close()
	}
	*s = *New(s.limits, s.logger, s.tel)
}
