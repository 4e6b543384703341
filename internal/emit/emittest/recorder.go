// Package emittest has sinks for tests and benchmarks of what comes before them.
package emittest

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// Histogram is a copy of what a sink was given.
type Histogram struct {
	Sum     float64
	Zero    uint64
	Count   uint64
	Buckets []uint64
}

// Process is one process as it was handed over, its values keyed by name and
// attributes as in `requests{code=200,method=GET}`.
type Process struct {
	Info           emit.Process
	Resource       map[string]string
	Instruments    map[string]emit.Instrument
	Counters       map[string]uint64
	UpDownCounters map[string]int64
	Sums           map[string]float64
	Gauges         map[string]float64
	Histograms     map[string]Histogram
	// Ended are the series that were named to tell their end; they have no values.
	Ended []string
}

// Recorder is a sink that remembers.
type Recorder struct {
	Processes []*Process
	// Foreign is what came as OTLP.
	Foreign pmetric.Metrics
}

var _ emit.Sink = (*Recorder)(nil)

// Reset forgets everything.
func (r *Recorder) Reset() { *r = Recorder{} }

// Total is the sum of a counter over all processes.
func (r *Recorder) Total(key string) uint64 {
	var sum uint64
	for _, p := range r.Processes {
		sum += p.Counters[key]
	}
	return sum
}

// Find returns the processes that have a series.
func (r *Recorder) Find(key string) []*Process {
	return slices.DeleteFunc(slices.Clone(r.Processes), func(p *Process) bool {
		_, ok := p.Instruments[key]
		return !ok
	})
}

func (r *Recorder) Process(p *emit.Process) {
	resource := map[string]string{}
	for _, a := range p.Resource {
		resource[a.Key] = text(a)
	}
	r.Processes = append(r.Processes, &Process{
		Info: *p, Resource: resource, Instruments: map[string]emit.Instrument{}, Counters: map[string]uint64{},
		UpDownCounters: map[string]int64{}, Sums: map[string]float64{}, Gauges: map[string]float64{}, Histograms: map[string]Histogram{},
	})
}

// series notes a series. It is not ok if that is all there is to it.
func (r *Recorder) series(s *emit.Series) (p *Process, key string, ok bool) {
	p, key = r.Processes[len(r.Processes)-1], Key(s)
	if _, twice := p.Instruments[key]; twice {
		panic("handed over twice: " + key)
	}
	p.Instruments[key] = *s.Instrument
	if s.Ended {
		p.Ended = append(p.Ended, key)
	}
	return p, key, !s.Ended
}

func (r *Recorder) Counter(s *emit.Series, v uint64) {
	if p, key, ok := r.series(s); ok {
		p.Counters[key] = v
	}
}

func (r *Recorder) UpDownCounter(s *emit.Series, v int64) {
	if p, key, ok := r.series(s); ok {
		p.UpDownCounters[key] = v
	}
}

func (r *Recorder) Sum(s *emit.Series, v float64) {
	if p, key, ok := r.series(s); ok {
		p.Sums[key] = v
	}
}

func (r *Recorder) Gauge(s *emit.Series, v float64) {
	if p, key, ok := r.series(s); ok {
		p.Gauges[key] = v
	}
}

func (r *Recorder) Histogram(s *emit.Series, v *emit.HistogramValue) {
	p, key, ok := r.series(s)
	if !ok {
		return
	}
	h := Histogram{Sum: v.Sum, Zero: v.ZeroCount, Count: v.ZeroCount, Buckets: slices.Clone(v.Buckets[:])}
	for _, n := range h.Buckets {
		h.Count += n
	}
	p.Histograms[key] = h
}

func (r *Recorder) Metrics(rm pmetric.ResourceMetrics) {
	if r.Foreign == (pmetric.Metrics{}) {
		r.Foreign = pmetric.NewMetrics()
	}
	rm.MoveTo(r.Foreign.ResourceMetrics().AppendEmpty())
}

// Key names a series as the maps of a [Process] do.
func Key(s *emit.Series) string {
	if len(s.Attributes) == 0 {
		return s.Instrument.Name
	}
	attrs := make([]string, len(s.Attributes))
	for i, a := range s.Attributes {
		attrs[i] = a.Key + "=" + text(a)
	}
	return s.Instrument.Name + "{" + strings.Join(attrs, ",") + "}"
}

func text(a emit.Attribute) string {
	switch a.Type {
	case emit.AttributeString:
		return a.Str
	case emit.AttributeDouble:
		return fmt.Sprint(math.Float64frombits(a.Bits))
	case emit.AttributeBool:
		return fmt.Sprint(a.Bits != 0)
	default:
		return fmt.Sprint(int64(a.Bits))
	}
}
