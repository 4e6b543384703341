package segments

import (
	"slices"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/merge"
	processes "github.com/hotpath-metrics/hotpath/internal/process"
)

// processKey is what segments of one process have in common. Only the uid and the scope are the
// kernel's word: a liar can only merge with itself.
type processKey struct {
	uid      uint32
	scope    uint64
	pid      uint64
	instance [layout.InstanceSize]byte
	resource string
}

func processKeyOf(seg *Segment) processKey {
	return processKey{seg.UID, seg.Scope, seg.header.PID, seg.header.Instance, seg.catalogue.ResourceID}
}

// process is a process with all its segments. Equal series of several segments are one.
type process struct {
	emit.Life
	key      processKey
	segments []*Segment
	series   merge.Set[part]

	superseded bool // its series go on in another, of the same key
	known      bool // to the sink, since an earlier collection

	handed, accepted int64 // the last time that it was to the sink, and was taken as delivered, by Set.clock
	// expired is when the last collection began with which series ended, in UNIX nanoseconds: equal ones may begin again, and no earlier.
	expired int64
}

// newProcess makes the process of its first segment, which is still to be added.
func newProcess(key processKey, seg *Segment) *process {
	p := &process{key: key}
	p.Resource = seg.Who.Describe(seg.catalogue.Resource)
	for _, a := range seg.Attributes {
		p.Resource = processes.Set(p.Resource, a)
	}
	p.Resource = processes.SetMissing(p.Resource, "service.instance.id", processes.UUID(key.instance))
	p.Owner = seg.UID
	p.Start = seg.header.StartTime
	return p
}

func (p *process) alive() bool {
	return slices.ContainsFunc(p.segments, func(seg *Segment) bool { return !seg.dead })
}

// supersede makes way for a process that began at start. The last values were right at the latest then: at the
// time of the other's they would be two values of one series, and their end would be its end.
func (p *process) supersede(start int64) {
	p.superseded = true
	p.Time = max(p.Start, start)
}

// add makes a segment part of the process.
func (p *process) add(seg *Segment) {
	seg.process = p
	p.segments = append(p.segments, seg)
	if !p.known { // later, a start must not change
		p.Start = min(p.Start, seg.header.StartTime)
		// Also true of one that the earlier collector had left waiting for room: it kept no list of those.
		p.Seen = p.Seen || seg.Seen
	}
}

// extend adds the series of a segment that are new, and returns how many contradict
// an instrument of another segment.
func (p *process) extend(seg *Segment) (conflicts int64) {
	for _, s := range seg.catalogue.Series[seg.added:] {
		if p.expired != 0 {
			s.Start = p.expired
		}
		if p.series.Add(s.Series, part{from: seg, slot: s.Slot}) == nil {
			conflicts++
		}
	}
	seg.added = len(seg.catalogue.Series)
	return conflicts
}

// publish adds the series that were recorded into a segment's rings and are new. None of them starts after a time in UNIX nanoseconds: their first
// points are older than the drain that found them may be. It returns how many contradict an instrument of another segment.
func (p *process) publish(seg *Segment, before int64) (conflicts int64) {
	for _, x := range seg.recorded.fresh {
		if start := min(max(x.series.Start, p.expired), before); start != x.series.Start {
			x.series.Start, x.kept = start, false
			seg.recorded.change(x)
		}
		if p.series.Add(&x.series, part{from: seg, recorded: x}) == nil {
			conflicts++
		}
	}
	seg.recorded.fresh = nil
	return conflicts
}

// remove takes a segment out whose values are no good any more.
func (p *process) remove(seg *Segment) {
	p.segments = slices.DeleteFunc(p.segments, func(other *Segment) bool { return other == seg })
	p.series.Remove(func(m part) bool { return m.from == seg })
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
