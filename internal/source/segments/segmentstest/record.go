// Package segmentstest records what a source of segments hands over and reports, for tests.
package segmentstest

import (
	"slices"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
)

// Process is a process as a sink saw it in one collection. Values are by name and attributes.
type Process struct {
	emit.Process
	Address    *emit.Process
	Counters   map[string]uint64
	Sums       map[string]int64 // of updowncounters
	Gauges     map[string]float64
	Histograms map[string]Histogram
	Order      []string // names of instruments, one for each series
}

// Histogram holds the buckets that are not empty.
type Histogram struct {
	Sum     float64
	Zero    uint64
	Buckets map[int]uint64
}

// Attribute is a value of the resource, or nil.
func (p *Process) Attribute(key string) any {
	for _, a := range p.Resource {
		if a.Key == key {
			if a.Type == emit.AttributeString {
				return a.Str
			}
			return a.Bits
		}
	}
	return nil
}

// label counts a series of the process, and names it.
func (p *Process) label(s *emit.Series) string {
	p.Order = append(p.Order, s.Instrument.Name)
	name := s.Instrument.Name
	for _, a := range s.Attributes {
		name += "," + a.Key + "=" + a.Str
	}
	return name
}

// Sink is an [emit.Sink] that remembers. Sum and Metrics panic: segments hold no fractions and no OTLP.
type Sink struct {
	emit.Sink
	Processes []Process
}

// Told are the processes of which something was told: one that is gone without naming a series ended
// nothing, sinks only forget it.
func (s *Sink) Told() []Process {
	return slices.DeleteFunc(slices.Clone(s.Processes), func(p Process) bool { return p.State == emit.Gone && len(p.Order) == 0 })
}

func (s *Sink) last() *Process { return &s.Processes[len(s.Processes)-1] }

func (s *Sink) Process(p *emit.Process) {
	s.Processes = append(s.Processes, Process{
		Process: *p, Address: p,
		Counters: map[string]uint64{}, Sums: map[string]int64{}, Gauges: map[string]float64{}, Histograms: map[string]Histogram{},
	})
}

func (s *Sink) Counter(series *emit.Series, v uint64) { p := s.last(); p.Counters[p.label(series)] = v }

func (s *Sink) UpDownCounter(series *emit.Series, v int64) {
	p := s.last()
	p.Sums[p.label(series)] = v
}

func (s *Sink) Gauge(series *emit.Series, v float64) { p := s.last(); p.Gauges[p.label(series)] = v }

func (s *Sink) Histogram(series *emit.Series, v *emit.HistogramValue) {
	h := Histogram{v.Sum, v.ZeroCount, map[int]uint64{}}
	for i, n := range v.Buckets {
		if n != 0 {
			h.Buckets[i] = n
		}
	}
	p := s.last()
	p.Histograms[p.label(series)] = h
}

// Requests is a segment with one counter.
func Requests(id uint64) segmenttest.Segment {
	return segmenttest.Segment{
		PID: 42, ID: id, StartTime: 1000, Instance: [16]byte{1},
		Records: []segmenttest.Record{segmenttest.Resource(segmenttest.Str("service.name", "shop")), segmenttest.Counter(1, "requests")},
	}
}
