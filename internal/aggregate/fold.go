package aggregate

import (
	"math"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// Fold is the stage that turns processes into services. A service is what
// processes of one owner have in common: their resource without
// service.instance.id and process.*; the owner stands in it as process.user.id.
//
// Counters and histograms are totals of all processes, dead ones included, so
// that they never fall. Updowncounters are sums over the live, and of gauges the
// one of the process that started last wins; when none lives any more, one
// point without a value ends the series.
//
// What a process had counted before this Fold saw it goes into the total unless
// [emit.Process.Seen] says that an earlier run of the collector may have
// delivered it: then that, or what [emit.Series.Bases] says, is a baseline, and only what comes on top counts.
// A service starts when the first of its processes did, or for those with a baseline when Fold did,
// as far as that is known when it is first delivered; later it stays. What begins after something ended, a
// service or a series of one, starts no earlier than that end, which may have been its own: a total never falls under one start.
//
// A series that ended leaves its service's total as it would with its process.
//
// Running totals need no rollback: a batch that was refused is part of the next.
// Only the end of a series waits for Commit.
type Fold struct {
	next    emit.Sink
	started int64 // UNIX nanoseconds
	limit   int
	now     int64
	ended   int64 // when the last batch was that ended a series and was accepted

	members  map[*emit.Process]*member
	services map[string]*service // by identity
	order    []*service          // as they were found
	retired  retirees
	ending   []*total // told about in this batch for the last time
	batch    uint64

	member  *member // the one whose series come now; nil to ignore them
	scratch emit.HistogramValue
	beyond  emit.HistogramValue // bases
}

// NewFold returns a stage before next. It keeps at most limit series to which
// no process adds any more, and ends the ones that were left first beyond that.
// The time it started is in UNIX nanoseconds.
func NewFold(next emit.Sink, limit int, started int64) *Fold {
	return &Fold{
		next:     next,
		started:  started,
		limit:    limit,
		members:  make(map[*emit.Process]*member),
		services: make(map[string]*service),
		scratch:  emit.HistogramValue{Buckets: new([segment.HistogramBuckets]uint64)},
		beyond:   emit.HistogramValue{Buckets: new([segment.HistogramBuckets]uint64)},
	}
}

// Begin starts a batch that is collected at a time in UNIX nanoseconds.
func (f *Fold) Begin(now int64) {
	f.now = now
	f.batch++
	f.member = nil
	f.ending = f.ending[:0]
}

// Commit forgets the series whose end was accepted.
func (f *Fold) Commit() {
	if len(f.ending) > 0 {
		f.ended = f.now
	}
	for _, t := range f.ending {
		f.retired.remove(t)
		t.service.drop(t)
	}
	f.ending = f.ending[:0]
	kept := f.order[:0]
	for _, s := range f.order {
		if len(s.totals) == 0 && s.members == 0 {
			delete(f.services, s.key)
			continue
		}
		s.delivered = s.delivered || len(s.totals) > 0
		kept = append(kept, s)
	}
	clear(f.order[len(kept):])
	f.order = kept
}

// Process implements [emit.Sink].
func (f *Fold) Process(p *emit.Process) {
	f.member = f.members[p]
	switch p.State {
	case emit.Live:
		if f.member == nil {
			f.member = f.join(p)
		}
	case emit.Final:
		if f.member == nil {
			f.member = f.join(p)
		}
		f.end(f.member)
	case emit.Gone:
		if f.member != nil {
			f.leave(f.member)
			f.member = nil
		}
	}
}

// Counter implements [emit.Sink].
func (f *Fold) Counter(s *emit.Series, value uint64) {
	p, baseline := f.part(s)
	if p == nil {
		return
	}
	value = beyond(s, value)
	if !baseline {
		p.total.value = add(p.total.value, grown(value, p.last))
	}
	p.last = value
}

// Histogram implements [emit.Sink].
func (f *Fold) Histogram(s *emit.Series, value *emit.HistogramValue) {
	p, baseline := f.part(s)
	if p == nil {
		return
	}
	value = histogramBeyond(s, value, &f.beyond)
	if !baseline {
		counted, changed := growth(value, &p.hist, &f.scratch)
		if !changed {
			return
		}
		if counted {
			p.total.hist.add(&f.scratch)
		}
	}
	p.hist.set(value)
}

// UpDownCounter implements [emit.Sink].
func (f *Fold) UpDownCounter(s *emit.Series, value int64) {
	if p, _ := f.part(s); p != nil {
		p.last = uint64(value)
	}
}

// Sum implements [emit.Sink].
func (f *Fold) Sum(s *emit.Series, value float64) {
	p, baseline := f.part(s)
	if p == nil {
		return
	}
	if gain := value - math.Float64frombits(p.last); !isLevel(s.Instrument.Kind) && !baseline && gain > 0 {
		p.total.sum += gain
	}
	p.last = math.Float64bits(value)
}

// Gauge implements [emit.Sink].
func (f *Fold) Gauge(s *emit.Series, value float64) {
	if p, _ := f.part(s); p != nil {
		p.last = math.Float64bits(value)
	}
}

// Metrics implements [emit.Sink].
func (f *Fold) Metrics(rm pmetric.ResourceMetrics) { f.next.Metrics(rm) }
