package state

import (
	"math"
	"slices"
	"time"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/merge"
	"github.com/hotpath-metrics/hotpath/internal/process"
)

// resourceKey is what segments of one process have in common.
type resourceKey struct {
	process  *process.Process
	instance [layout.InstanceSize]byte
	id       string
}

// resource is a process with the segments that describe it alike.
type resource struct {
	emit.Life
	key      resourceKey
	client   []emit.Attribute // what the process says of itself
	claimed  uint32           // its pid, as it says
	segments []*segment
	series   merge.Set[part]
	known    bool // to the sink
}

// part is a series of a segment as part of its resource's.
type part struct {
	*series
	segment *segment
}

// join makes a segment part of its resource.
func (in *Ingest) join(s *segment, key resourceKey, client []emit.Attribute, claimed uint32) {
	r := in.byKey[key]
	if r == nil || r.Ended() {
		r = &resource{key: key, client: client, claimed: claimed}
		r.Resource = describe(key, client, claimed)
		r.Owner = key.process.UID
		r.Start = math.MaxInt64
		in.byKey[key] = r
		in.resources = append(in.resources, r)
	}
	s.process, s.resource, s.old = key.process, r, key.process.Older
	if key.process.Start == 0 { // only what the client says is known
		s.old = s.start < in.started
	}
	r.segments = append(r.segments, s)
	if r.known {
		return // a start must not change
	}
	r.Start = min(r.Start, s.start)
}

// add makes a series one of the resource's. It is false if its name has another kind or unit already.
func (r *resource) add(of *emit.Series, p part) bool {
	shown := r.series.Add(of, p)
	if shown == nil {
		return false
	}
	p.of = shown
	p.of.Bases = append(p.of.Bases, &p.base)
	return true
}

// seen says whether an earlier run of the collector may have delivered some of it.
func (r *resource) seen() bool {
	for _, s := range r.segments {
		if slices.ContainsFunc(s.series, func(x *series) bool { return x.lowest > 1 }) {
			return true
		}
	}
	return false
}

func describe(key resourceKey, client []emit.Attribute, claimed uint32) []emit.Attribute {
	who := key.process.Identity
	if key.process.Unknown {
		who.PID = uint64(claimed) // the kernel tells no more than a thread's
	}
	return process.SetMissing(who.Describe(client), "service.instance.id", process.UUID(key.instance))
}

// move gives a segment to another process.
func (in *Ingest) move(s *segment, p *process.Process) {
	old := s.resource
	old.series.Remove(func(x part) bool { return x.segment == s })
	old.segments = slices.DeleteFunc(old.segments, func(other *segment) bool { return other == s })
	if len(old.segments) == 0 {
		old.End()
	}
	in.quota.Charge(s.process.UID, -1, -s.charged)
	in.quota.Charge(p.UID, 1, s.charged)
	key := old.key
	key.process = p
	in.join(s, key, old.client, old.claimed)
	for _, x := range s.series {
		x.of.Bases = slices.DeleteFunc(x.of.Bases, func(b *emit.Base) bool { return b == &x.base })
		if old.known {
			x.told()
		}
		of := *x.of
		of.Bases = nil
		if !s.resource.add(&of, part{x, s}) {
			in.skipped[skipConflict]++
		}
	}
}

// Collect hands over every process. Before, the table was swept, and all events were handled that had been written by then.
func (in *Ingest) Collect(sink emit.Sink) {
	in.report()
	in.asked = 0
	now := time.Now().UnixNano()
	for _, r := range in.resources {
		r.Bound(now)
		if !r.known {
			r.Seen = r.seen()
		}
		r.Advance(r.key.process.Dead())
		r.series.Deliver(&r.Life, sink, &in.scratch)
		r.known = true
	}
}

// Commit takes what the last Collect handed over as accepted, and forgets processes whose end was told.
func (in *Ingest) Commit() {
	kept := in.resources[:0]
	for _, r := range in.resources {
		if r.Commit() {
			in.forget(r)
		} else {
			kept = append(kept, r)
		}
	}
	clear(in.resources[len(kept):])
	in.resources = kept
}

func (in *Ingest) forget(r *resource) {
	for _, s := range r.segments {
		in.quota.Charge(r.key.process.UID, -1, -s.charged)
		delete(in.segments, s.id)
	}
	if in.byKey[r.key] == r {
		delete(in.byKey, r.key)
	}
	in.last = nil
}
