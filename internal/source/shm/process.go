package shm

import (
	"slices"
	"time"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/emit"
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
	emit.Process
	key     processKey
	readers []*reader

	instruments []*instrument // in the order of appearance
	names       map[string]*instrument

	superseded bool // its series go on in another, of the same key
	ended      bool // nothing is left to be delivered but its end
	known      bool // to the sink, since an earlier collection
	begun      bool // by the sink, in this collection
	// handed says in which state the last collection handed it over, if it did.
	handed      bool
	handedState emit.State
}

type instrument struct {
	*emit.Instrument
	entries []entry
	index   map[string]int // by emit.Series.ID
}

// part is where one segment keeps a series.
type part struct {
	from *reader
	slot int
}

// entry is a series with its parts, of which there is one as a rule.
type entry struct {
	series *emit.Series
	part
	more  []part
	named bool // to the sink, at any time
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

// bound takes times back that lie in the future, for good: the clock was set back, or a client lies. A start that
// moved with the clock would be a reset at each collection. The batch has begun a little before now, and its points
// may not start after it: hence the second.
func (p *process) bound(now int64) {
	past := now - int64(time.Second)
	if p.Start > now {
		p.Start = past
	}
	if p.Time > now {
		p.Time = max(p.Start, past)
	}
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
		in := p.names[s.Instrument.Name]
		if in == nil {
			in = &instrument{Instrument: s.Instrument, index: map[string]int{}}
			p.names[s.Instrument.Name] = in
			p.instruments = append(p.instruments, in)
		}
		if in.Kind != s.Instrument.Kind || in.Unit != s.Instrument.Unit {
			conflicts++
			continue
		}
		i, known := in.index[s.ID]
		switch {
		case !known:
			s.Instrument = in.Instrument
			in.index[s.ID] = len(in.entries)
			in.entries = append(in.entries, entry{series: s.Series, part: part{r, s.Slot}})
		case in.entries[i].from == nil:
			in.entries[i].part = part{r, s.Slot}
		default:
			in.entries[i].more = append(in.entries[i].more, part{r, s.Slot})
		}
	}
	r.added = len(r.catalogue.Series)
	return conflicts
}

// remove takes a segment out whose values are no good any more.
func (p *process) remove(r *reader) {
	p.readers = slices.DeleteFunc(p.readers, func(other *reader) bool { return other == r })
	for _, in := range p.instruments {
		for i := range in.entries {
			e := &in.entries[i]
			e.more = slices.DeleteFunc(e.more, func(m part) bool { return m.from == r })
			if e.from != r {
				continue
			}
			if e.part = (part{}); len(e.more) > 0 {
				e.part, e.more = e.more[0], e.more[1:]
			}
		}
	}
}

// deliver hands over all values of the last snapshots, or names every series of a process that is gone.
func (p *process) deliver(sink emit.Sink, scratch *[layout.HistogramBuckets]uint64) {
	p.begun = false
	if p.State == emit.Gone && p.superseded {
		if p.known {
			p.begin(sink) // sinks forget it; its series go on
		}
		return
	}
	for _, in := range p.instruments {
		for i := range in.entries {
			e := &in.entries[i]
			if p.State == emit.Gone {
				if e.named {
					p.begin(sink)
					nameOnly(sink, e.series, scratch)
				}
				continue
			}
			if e.from == nil {
				continue
			}
			switch in.Kind {
			case emit.KindCounter:
				p.begin(sink)
				sink.Counter(e.series, e.sum())
			case emit.KindUpDownCounter:
				p.begin(sink)
				sink.UpDownCounter(e.series, int64(e.sum()))
			case emit.KindHistogram:
				p.begin(sink)
				h := e.histogram(scratch)
				sink.Histogram(e.series, &h)
			case emit.KindGauge:
				value, ok := e.newest()
				if !ok {
					continue
				}
				p.begin(sink)
				sink.Gauge(e.series, value)
			}
			e.named = true
		}
	}
}

func (p *process) begin(sink emit.Sink) {
	if !p.begun {
		p.begun = true
		sink.Process(&p.Process)
	}
}
