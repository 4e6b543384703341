// Package merge makes one series of the equal series that several segments of a
// process have, and hands a process's series to a sink, instrument by instrument.
package merge

import (
	"slices"

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
	ending  bool           // some of entries have ended
}

// entry is a series with its parts, of which there is one as a rule.
type entry[P Part] struct {
	series *emit.Series
	part   P
	filled bool // part is one
	named  bool // to the sink, at any time
	ended  bool // while its process lives
	again  bool // as another entry, which is equal
	waits  bool // for the end of another entry, which is equal
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
	waits := false
	if known && in.entries[i].ended {
		in.entries[i].again, waits = true, in.entries[i].named
		known = false
	}
	if !known {
		series.Instrument = in.Instrument
		in.index[series.ID] = len(in.entries)
		in.entries = append(in.entries, entry[P]{series: series, part: part, filled: true, waits: waits})
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

// End ends the series of which all parts are idle, and says so of each part: the next Deliver tells their end instead of a value. A
// part that is added to one of them later begins another series, which is told once that end was accepted, at the latest with the
// last values of its process.
func (s *Set[P]) End(idle func(P) bool, end func(P)) {
	for _, in := range s.instruments {
		for i := range in.entries {
			e := &in.entries[i]
			if e.ended || !e.filled || !idle(e.part) || slices.ContainsFunc(e.more, func(p P) bool { return !idle(p) }) {
				continue
			}
			e.ended, in.ending = true, true
			end(e.part)
			for _, p := range e.more {
				end(p)
			}
		}
	}
}

// Drop forgets the series whose end was told, and says so of each part.
func (s *Set[P]) Drop(drop func(P)) {
	for _, in := range s.instruments {
		if in.ending {
			in.drop(drop)
		}
	}
}

func (in *instrument[P]) drop(drop func(P)) {
	in.ending = false
	kept := in.entries[:0]
	for _, e := range in.entries {
		if e.ended {
			if e.filled {
				drop(e.part)
			}
			for _, p := range e.more {
				drop(p)
			}
			if !e.again {
				delete(in.index, e.series.ID)
			}
			continue
		}
		e.waits = false
		in.index[e.series.ID] = len(kept)
		kept = append(kept, e)
	}
	clear(in.entries[len(kept):])
	in.entries = kept
}

// Deliver hands over all values, or names every series of a process that is gone.
func (s *Set[P]) Deliver(life *emit.Life, sink emit.Sink, scratch *Scratch) {
	for _, in := range s.instruments {
		for i := range in.entries {
			e := &in.entries[i]
			switch {
			case e.again && life.State != emit.Live, e.waits && life.State == emit.Live:
			case life.State == emit.Gone, e.ended:
				if e.named || e.waits {
					life.Begin(sink)
					e.series.Ended = e.ended
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
