package aggregate

import (
	"time"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// Measured is a process of [Measurements].
type Measured struct {
	life    emit.Life
	table   *Measurements
	bySet   map[string]*measured // by what the streams make of attributes
	byID    map[string]*measured
	byName  map[*emit.Instrument]*gathered
	order   []*gathered // as they were found
	charged int
	dead    bool
	told    bool // to sinks
}

// gathered is the series of one instrument, which sinks want together.
type gathered struct {
	series   []*measured
	told     int       // how many of them sinks know
	overflow *measured // others were folded into it, nil if there is none
}

// End says that the process ended and that no more measurements of it come.
func (p *Measured) End() { p.dead = true }

// in returns the series that the attributes put into the stream belong to.
func (p *Measured) in(s *Stream, time int64) *measured {
	if m := p.bySet[string(s.set)]; m != nil {
		return m
	}
	return p.find(s, time)
}

// find is about a set of attributes that the stream meets for the first time in this process.
func (p *Measured) find(s *Stream, time int64) *measured {
	g := p.byName[s.instrument]
	if g == nil {
		g = &gathered{}
		p.byName[s.instrument] = g
		p.order = append(p.order, g)
	}
	charge := 1 + len(s.set)>>10
	if s.instrument.Kind == emit.KindHistogram {
		charge += 4
	}
	if !p.table.room(p.life.Owner, charge) {
		p.table.folded = true
		if g.overflow == nil {
			if g.overflow = p.byID[s.instrument.ID(overflowAttributes)]; g.overflow == nil { // a stream may be about it
				g.overflow = p.begin(g, s, overflowAttributes, time)
				p.charge(charge)
			}
		}
		return g.overflow
	}
	attributes := s.attributes()
	m := p.byID[s.instrument.ID(attributes)]
	if m == nil {
		m = p.begin(g, s, attributes, time)
	}
	p.charge(charge)
	p.bySet[string(s.set)] = m
	return m
}

// begin adds a series.
func (p *Measured) begin(g *gathered, s *Stream, attributes []emit.Attribute, time int64) *measured {
	in := s.instrument
	m := &measured{scale: s.scale, series: emit.Series{Instrument: in, Attributes: attributes, ID: in.ID(attributes), Start: time}}
	p.byID[m.series.ID] = m
	g.series = append(g.series, m)
	return m
}

func (p *Measured) charge(charge int) {
	p.charged += charge
	p.table.charge(p.life.Owner, charge)
}

// tell hands the process over, or names every series of one that is gone.
func (p *Measured) tell(sink emit.Sink, scratch *emit.HistogramValue, now int64) {
	// The batch has begun a little before now, and a start that lies behind its time would have to be another in the
	// next batch.
	before := now - int64(time.Second)
	if !p.told {
		p.life.Start = min(p.life.Start, before)
		p.told = true
	}
	p.life.Advance(p.dead)
	for _, g := range p.order {
		for _, m := range g.series[g.told:] {
			m.series.Start = min(m.series.Start, before)
		}
		g.told = len(g.series)
		for _, m := range g.series {
			p.life.Begin(sink)
			m.tell(sink, scratch)
		}
	}
}
