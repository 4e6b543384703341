package shm

import (
	"slices"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/merge"
)

// processKey is what segments of one process have in common. Only the uid is the
// kernel's word: a liar can only merge with itself.
type processKey struct {
	uid      uint32
	pid      uint64
	instance [layout.InstanceSize]byte
	resource string
}

// process is a process with all its segments. Equal series of several segments are one.
type process struct {
	emit.Life
	key     processKey
	readers []*reader
	series  merge.Set[part]

	superseded bool // its series go on in another, of the same key
	known      bool // to the sink, since an earlier collection
}

func (p *process) alive() bool {
	return slices.ContainsFunc(p.readers, func(r *reader) bool { return !r.dead })
}

// supersede makes way for a process that began at start. The last values were right at the latest then: at the
// time of the other's they would be two values of one series, and their end would be its end.
func (p *process) supersede(start int64) {
	p.superseded = true
	p.Time = max(p.Start, start)
}

// add makes a segment part of the process.
func (p *process) add(r *reader) {
	r.process = p
	p.readers = append(p.readers, r)
	if !p.known { // later, a start must not change
		p.Start = min(p.Start, r.header.StartTime)
		last := r.dir.lastDelivery
		// Also true of one that the earlier collector had left waiting for room: it kept no list of those.
		p.Seen = p.Seen || !last.IsZero() && r.header.StartTime < last.UnixNano()
	}
}

// extend adds the series of r that are new, and returns how many contradict
// an instrument of another segment.
func (p *process) extend(r *reader) (conflicts int64) {
	for _, s := range r.catalogue.Series[r.added:] {
		if p.series.Add(s.Series, part{r, s.Slot}) == nil {
			conflicts++
		}
	}
	r.added = len(r.catalogue.Series)
	return conflicts
}

// remove takes a segment out whose values are no good any more.
func (p *process) remove(r *reader) {
	p.readers = slices.DeleteFunc(p.readers, func(other *reader) bool { return other == r })
	p.series.Remove(func(m part) bool { return m.from == r })
}

// deliver hands over all values of the last snapshots, or names every series of a process that is gone.
func (p *process) deliver(sink emit.Sink, scratch *merge.Scratch) {
	if p.State == emit.Gone && p.superseded {
		if p.known {
			p.Begin(sink) // sinks forget it; its series go on
		}
		return
	}
	p.series.Deliver(&p.Life, sink, scratch)
}
