package reading

import (
	"math"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// sink makes a reading of what sources hand over. It implements [emit.Sink].
type sink struct {
	reading *Reading
	choice  Choice

	before    *Reading
	processes map[*emit.Process]*Process // of the reading before

	current *Process // nil while what comes is of no interest
	known   *earlier
}

// earlier finds the series of a process in the reading before. As a rule they come in the same order.
type earlier struct {
	process *Process
	next    int
	index   map[*emit.Series]int // made when they do not
}

func newSink(choice Choice, before *Reading) *sink {
	s := &sink{reading: &Reading{}, choice: choice, before: before, processes: map[*emit.Process]*Process{}}
	if before != nil {
		for i := range before.Processes {
			p := &before.Processes[i]
			s.processes[p.Key] = p
		}
		s.reading.Processes = make([]Process, 0, len(before.Processes))
	}
	return s
}

// Process implements [emit.Sink].
func (s *sink) Process(p *emit.Process) {
	s.current, s.known = nil, nil
	if p.State == emit.Gone {
		return
	}
	process := Process{
		Key: p, Owner: p.Owner, Start: time.Unix(0, p.Start).UTC(), Ended: p.State == emit.Final, Resource: p.Resource,
	}
	for _, a := range p.Resource {
		switch {
		case a.Key == "service.name" && a.Type == emit.AttributeString:
			process.Service = a.Str
		case a.Key == "process.executable.name" && a.Type == emit.AttributeString:
			process.Command = a.Str
		case a.Key == "process.pid" && a.Type == emit.AttributeInt:
			process.PID = int64(a.Bits)
		}
	}
	if !s.choice.includes(&process) {
		return
	}
	if known := s.processes[p]; known != nil {
		s.known = &earlier{process: known}
		process.Series = make([]Series, 0, len(known.Series)+1)
	}
	s.reading.Processes = append(s.reading.Processes, process)
	s.current = &s.reading.Processes[len(s.reading.Processes)-1]
}

// add begins a series. It returns nil if it is of no interest, and the series in the reading before, or nil.
func (s *sink) add(series *emit.Series) (now, before *Series) {
	if s.current == nil {
		return nil, nil
	}
	one := Series{Series: series, Start: s.current.Start}
	if series.Start > 0 {
		one.Start = time.Unix(0, series.Start).UTC()
	}
	s.current.Series = append(s.current.Series, one)
	now = &s.current.Series[len(s.current.Series)-1]
	if s.known != nil {
		before = s.known.find(series)
	}
	if before != nil {
		copy(now.Trend[:], before.Trend[1:])
	} else {
		for i := range now.Trend {
			now.Trend[i] = float32(math.NaN())
		}
	}
	return now, before
}

func (e *earlier) find(series *emit.Series) *Series {
	if e.next < len(e.process.Series) && e.process.Series[e.next].Series == series {
		e.next++
		return &e.process.Series[e.next-1]
	}
	if e.index == nil {
		e.index = make(map[*emit.Series]int, len(e.process.Series))
		for i := range e.process.Series {
			e.index[e.process.Series[i].Series] = i
		}
	}
	i, ok := e.index[series]
	if !ok {
		return nil
	}
	e.next = i + 1
	return &e.process.Series[i]
}

// zeroBefore says whether a series that was not in the reading before was zero then: its process was, without it, or has begun since.
func (s *sink) zeroBefore(now *Series) bool {
	return s.before != nil && (s.known != nil || now.Start.After(s.before.Time))
}

// grow sets the rate of a total that has grown by so much.
func (s *sink) grow(now *Series, by float64) {
	if s.reading.Interval <= 0 {
		return
	}
	now.Rate, now.HasRate = by/s.reading.Interval.Seconds(), true
}

// Counter implements [emit.Sink].
func (s *sink) Counter(series *emit.Series, total uint64) {
	now, before := s.add(series)
	if now == nil {
		return
	}
	now.Counter = total
	s.count(now, before)
}

// count sets the rate of what only grows, as its trend.
func (s *sink) count(now, before *Series) {
	switch {
	case before != nil && now.Counter >= before.Counter:
		s.grow(now, float64(now.Counter-before.Counter))
	case before == nil && s.zeroBefore(now):
		s.grow(now, float64(now.Counter))
	}
	s.trend(now, now.Rate, now.HasRate)
}

// trend sets the newest of a series' trend.
func (s *sink) trend(now *Series, value float64, known bool) {
	if !known {
		value = math.NaN()
	}
	now.Trend[History-1] = float32(value)
}

// UpDownCounter implements [emit.Sink].
func (s *sink) UpDownCounter(series *emit.Series, total int64) {
	now, before := s.add(series)
	if now == nil {
		return
	}
	now.Integer = total
	switch {
	case before != nil:
		s.grow(now, float64(total)-float64(before.Integer))
	case s.zeroBefore(now):
		s.grow(now, float64(total))
	}
	s.trend(now, float64(total), true)
}

// Sum implements [emit.Sink].
func (s *sink) Sum(series *emit.Series, total float64) {
	now, before := s.add(series)
	if now == nil {
		return
	}
	now.Number = total
	switch {
	case before != nil:
		s.grow(now, total-before.Number)
	case s.zeroBefore(now):
		s.grow(now, total)
	}
	s.trend(now, now.Rate, now.HasRate)
}

// Gauge implements [emit.Sink].
func (s *sink) Gauge(series *emit.Series, value float64) {
	now, _ := s.add(series)
	if now == nil {
		return
	}
	now.Number = value
	s.trend(now, value, true)
}

// Histogram implements [emit.Sink].
func (s *sink) Histogram(series *emit.Series, v *emit.HistogramValue) {
	now, before := s.add(series)
	if now == nil {
		return
	}
	low, high := v.Span()
	now.Counter = v.ZeroCount
	for _, n := range v.Buckets[low:high] {
		now.Counter += n
	}
	if before != nil && before.Counter == now.Counter {
		now.Records = before.Records // of the values that it has, nothing was recorded since
		now.Records.Sum = v.Sum
		if before.HasRate && before.Rate > 0 { // then these were of an interval
			now.Records.Percentiles = percentiles(v.ZeroCount, now.Records.Buckets, now.Records.Offset)
		}
	} else {
		now.Records = Histogram{Sum: v.Sum, ZeroCount: v.ZeroCount, Offset: segment.HistogramOffset + low, Buckets: slices.Clone(v.Buckets[low:high])}
		now.Records.Percentiles = recent(&now.Records, before)
	}
	s.count(now, before)
}

// recent is of what was recorded since the reading before.
func recent(now *Histogram, before *Series) Percentiles {
	if before == nil || len(before.Records.Buckets) == 0 && before.Records.ZeroCount == 0 {
		return percentiles(now.ZeroCount, now.Buckets, now.Offset)
	}
	since := slices.Clone(now.Buckets)
	for i, n := range before.Records.Buckets {
		// A bucket that counts less than it did is a writer's lie.
		if at := before.Records.Offset + i - now.Offset; at >= 0 && at < len(since) {
			since[at] -= min(n, since[at])
		}
	}
	return percentiles(now.ZeroCount-min(before.Records.ZeroCount, now.ZeroCount), since, now.Offset)
}

// Metrics implements [emit.Sink]. Segments hold no OTLP.
func (s *sink) Metrics(pmetric.ResourceMetrics) {}
