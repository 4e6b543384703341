// Package merge makes one series of the equal series that several segments of a
// process have, and hands a process's series to a sink, instrument by instrument.
package merge

import (
	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// Part is what one segment has of a series. Of each only the method of its kind is called.
type Part interface {
	// Total is the running total of a counter or, in two's complement, of an updowncounter.
	Total() uint64
	// Gauge is the last value and how recent it is, in nanoseconds since any fixed time. It is not ok if it was never set.
	Gauge() (value float64, recent int64, ok bool)
	// Histogram is the running totals of a histogram, with the segment's own buckets or some in the given array. What
	// it returns is valid until the next call.
	Histogram(*[layout.HistogramBuckets]uint64) emit.HistogramValue
}

// Scratch is what values are put together in.
type Scratch struct {
	sum, part [layout.HistogramBuckets]uint64
}

// Set is the series of one process. Its zero value is empty.
type Set[P Part] struct {
	instruments []*instrument[P] // in the order of appearance
	names       map[string]*instrument[P]
}

type instrument[P Part] struct {
	*emit.Instrument
	entries []entry[P]
	index   map[string]int // by emit.Series.ID
}

// entry is a series with its parts, of which there is one as a rule.
type entry[P Part] struct {
	series *emit.Series
	part   P
	filled bool // part is one
	named  bool // to the sink, at any time
	more   []P
}

// Add adds a part of a series, and returns the one that sinks see: the first of equal ones, whose Instrument may change to
// that of another with its name. It returns nil if the series' name has another kind or unit already.
func (s *Set[P]) Add(series *emit.Series, part P) *emit.Series {
	in := s.names[series.Instrument.Name]
	if in == nil {
		in = &instrument[P]{Instrument: series.Instrument, index: map[string]int{}}
		if s.names == nil {
			s.names = map[string]*instrument[P]{}
		}
		s.names[series.Instrument.Name] = in
		s.instruments = append(s.instruments, in)
	}
	if in.Kind != series.Instrument.Kind || in.Unit != series.Instrument.Unit {
		return nil
	}
	i, known := in.index[series.ID]
	if !known {
		series.Instrument = in.Instrument
		in.index[series.ID] = len(in.entries)
		in.entries = append(in.entries, entry[P]{series: series, part: part, filled: true})
		return series
	}
	e := &in.entries[i]
	if e.filled {
		e.more = append(e.more, part)
	} else {
		e.part, e.filled = part, true
	}
	return e.series
}

// Remove takes parts out whose values are no good any more. Their series are still named at the process's end.
func (s *Set[P]) Remove(gone func(P) bool) {
	for _, in := range s.instruments {
		for i := range in.entries {
			in.entries[i].remove(gone)
		}
	}
}

func (e *entry[P]) remove(gone func(P) bool) {
	kept := e.more[:0]
	for _, p := range e.more {
		if !gone(p) {
			kept = append(kept, p)
		}
	}
	clear(e.more[len(kept):])
	e.more = kept
	if !e.filled || !gone(e.part) {
		return
	}
	var none P
	if e.part, e.filled = none, len(kept) > 0; e.filled {
		e.part, e.more = kept[0], kept[1:]
	}
}

// Deliver hands over all values, or names every series of a process that is gone.
func (s *Set[P]) Deliver(life *emit.Life, sink emit.Sink, scratch *Scratch) {
	for _, in := range s.instruments {
		for i := range in.entries {
			e := &in.entries[i]
			switch {
			case life.State == emit.Gone:
				if e.named {
					life.Begin(sink)
					nameOnly(sink, e.series, scratch)
				}
			case e.filled:
				e.deliver(life, sink, scratch)
			}
		}
	}
}

func (e *entry[P]) deliver(life *emit.Life, sink emit.Sink, scratch *Scratch) {
	switch e.series.Instrument.Kind {
	case emit.KindCounter:
		life.Begin(sink)
		sink.Counter(e.series, e.total())
	case emit.KindUpDownCounter:
		life.Begin(sink)
		sink.UpDownCounter(e.series, int64(e.total()))
	case emit.KindHistogram:
		life.Begin(sink)
		h := e.histogram(scratch)
		sink.Histogram(e.series, &h)
	case emit.KindGauge:
		value, ok := e.newest()
		if !ok {
			return
		}
		life.Begin(sink)
		sink.Gauge(e.series, value)
	}
	e.named = true
}

// nameOnly hands over a series whose value does not matter any more.
func nameOnly(sink emit.Sink, s *emit.Series, scratch *Scratch) {
	switch s.Instrument.Kind {
	case emit.KindCounter:
		sink.Counter(s, 0)
	case emit.KindUpDownCounter:
		sink.UpDownCounter(s, 0)
	case emit.KindGauge:
		sink.Gauge(s, 0)
	case emit.KindHistogram:
		scratch.sum = [layout.HistogramBuckets]uint64{}
		sink.Histogram(s, &emit.HistogramValue{Buckets: &scratch.sum})
	}
}
