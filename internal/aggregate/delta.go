package aggregate

import (
	"math"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// Delta is the stage that turns running totals into what came since the last
// delivery that was accepted.
//
// It does so for counters and histograms. Updowncounters stay cumulative, as
// under OpenTelemetry's "delta" preference, and gauges are last values anyway.
// The first point of a series is told even if it is zero, so that its
// existence is known; after that points without a change are left out. A total that fell is taken
// as it is then, and adds nothing. A process that is gone ends its gauges and
// updowncounters, and so does a series that ended; a delta that is over needs no end.
//
// A process's first delta begins at its start. For one with [emit.Process.Seen] it
// begins when Delta did, and the first values are the baseline that it begins with. What the
// [emit.Series.Bases] of a series hold counts for nothing.
type Delta struct {
	next    emit.Sink
	started int64 // UNIX nanoseconds
	now     int64

	processes map[*emit.Process]*interval

	// To be done when the batch was accepted.
	toldProcesses []*interval
	toldCounters  []*counterState
	toldHists     []*histogramState
	goneProcesses []*emit.Process
	goneSeries    []*emit.Series // of processes that go on

	in      *interval // nil while a process is gone
	wholly  bool      // it is gone, and not only some series that a Fold has ended
	batch   uint64
	scratch emit.HistogramValue
	beyond  emit.HistogramValue // bases
}

// interval is a process with the time since its last delivery.
type interval struct {
	out       emit.Process // what the next sink gets to see
	found     uint64       // the batch in which it was first seen
	time      int64        // of this batch's values
	delivered int64        // of the last values that were accepted, 0 if none were
	counters  map[*emit.Series]*counterState
	hists     map[*emit.Series]*histogramState
}

type counterState struct {
	delivered, value uint64 // or bits of doubles
	told             bool
}

type histogramState struct {
	delivered, value histogram
	told             bool
}

// NewDelta returns a stage before next that started at a time in UNIX nanoseconds.
func NewDelta(next emit.Sink, started int64) *Delta {
	return &Delta{
		next:      next,
		started:   started,
		processes: make(map[*emit.Process]*interval),
		scratch:   emit.HistogramValue{Buckets: new([segment.HistogramBuckets]uint64)},
		beyond:    emit.HistogramValue{Buckets: new([segment.HistogramBuckets]uint64)},
	}
}

// Begin starts a batch that is collected at a time in UNIX nanoseconds.
func (d *Delta) Begin(now int64) {
	d.now = now
	d.batch++
	d.forget()
}

// Commit takes what this batch told as delivered.
func (d *Delta) Commit() {
	for _, p := range d.toldProcesses {
		p.delivered = p.time
	}
	for _, c := range d.toldCounters {
		c.delivered, c.told = c.value, true
	}
	for _, h := range d.toldHists {
		h.delivered, h.value, h.told = h.value, h.delivered, true
	}
	for _, p := range d.goneProcesses {
		delete(d.processes, p)
	}
	for _, in := range d.processes {
		for _, s := range d.goneSeries {
			delete(in.counters, s)
			delete(in.hists, s)
		}
	}
	d.forget()
}

// forget empties the lists of what to do, and lets go of what they point to.
func (d *Delta) forget() {
	d.toldProcesses = empty(d.toldProcesses)
	d.toldCounters = empty(d.toldCounters)
	d.toldHists = empty(d.toldHists)
	d.goneProcesses = empty(d.goneProcesses)
	d.goneSeries = empty(d.goneSeries)
}

func empty[T any](list []T) []T {
	clear(list)
	return list[:0]
}

// Process implements [emit.Sink].
func (d *Delta) Process(p *emit.Process) {
	if p.State == emit.Gone {
		d.in = nil
		d.wholly = d.processes[p] != nil
		d.goneProcesses = append(d.goneProcesses, p)
		d.next.Process(p)
		return
	}
	in := d.processes[p]
	if in == nil {
		in = &interval{
			found:    d.batch,
			counters: make(map[*emit.Series]*counterState),
			hists:    make(map[*emit.Series]*histogramState),
		}
		d.processes[p] = in
	}
	in.out = *p
	switch {
	case in.delivered > 0:
		in.out.Since = in.delivered
	case p.Seen:
		in.out.Since = d.started
	default:
		in.out.Since = p.Start
	}
	in.time = d.now
	if p.Time > 0 {
		in.time = p.Time
	}
	d.toldProcesses = append(d.toldProcesses, in)
	d.in = in
	d.next.Process(&in.out)
}

// end is about a series that is gone.
func (d *Delta) end(s *emit.Series) {
	if !d.wholly {
		d.goneSeries = append(d.goneSeries, s)
	}
}

// Counter implements [emit.Sink].
func (d *Delta) Counter(s *emit.Series, value uint64) {
	value = beyond(s, value)
	c := d.counter(s, value)
	if c == nil {
		return
	}
	if delta := grown(value, c.delivered); delta > 0 || !c.told {
		d.next.Counter(s, delta)
	}
}

// Sum implements [emit.Sink].
func (d *Delta) Sum(s *emit.Series, value float64) {
	if isLevel(s.Instrument.Kind) {
		d.next.Sum(s, value)
		return
	}
	c := d.counter(s, math.Float64bits(value))
	if c == nil {
		return
	}
	if delta := max(value-math.Float64frombits(c.delivered), 0); delta > 0 || !c.told {
		d.next.Sum(s, delta)
	}
}

// counter returns the state of a counter that has something to tell, else nil. The value is a number or the
// bits of a double.
func (d *Delta) counter(s *emit.Series, value uint64) *counterState {
	if d.in == nil {
		d.end(s)
		return nil
	}
	if s.Ended { // its last value was accepted: even if this batch is not, there is nothing left to tell
		delete(d.in.counters, s)
		return nil
	}
	c := d.in.counters[s]
	if c == nil {
		c = &counterState{}
		d.in.counters[s] = c
		if d.baseline(s) {
			c.delivered = value
		}
	}
	if value == c.delivered && c.told {
		return nil
	}
	c.value = value
	d.toldCounters = append(d.toldCounters, c)
	return c
}

// Histogram implements [emit.Sink].
func (d *Delta) Histogram(s *emit.Series, value *emit.HistogramValue) {
	if d.in == nil {
		d.end(s)
		return
	}
	if s.Ended {
		delete(d.in.hists, s)
		return
	}
	value = histogramBeyond(s, value, &d.beyond)
	h := d.in.hists[s]
	if h == nil {
		h = &histogramState{}
		d.in.hists[s] = h
		if d.baseline(s) {
			h.delivered.set(value)
		}
	}
	counted, changed := growth(value, &h.delivered, &d.scratch)
	if !changed && h.told {
		return
	}
	h.value.set(value)
	if !changed {
		h.value.sum = h.delivered.sum
	}
	d.toldHists = append(d.toldHists, h)
	if counted || !h.told {
		d.next.Histogram(s, &d.scratch)
	}
}

// UpDownCounter implements [emit.Sink].
func (d *Delta) UpDownCounter(s *emit.Series, value int64) { d.next.UpDownCounter(s, value) }

// Gauge implements [emit.Sink].
func (d *Delta) Gauge(s *emit.Series, value float64) { d.next.Gauge(s, value) }

// Metrics implements [emit.Sink].
func (d *Delta) Metrics(rm pmetric.ResourceMetrics) { d.next.Metrics(rm) }

// baseline says that a value seen for the first time may have been delivered by an earlier run.
func (d *Delta) baseline(s *emit.Series) bool {
	return d.in.out.Seen && d.in.found == d.batch && s.Bases == nil
}
