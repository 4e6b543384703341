package aggregate

import (
	"math"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// End hands the totals to the next sink.
func (f *Fold) End() {
	t := f.retired.oldest
	for range f.retired.len - f.limit {
		t.over = f.batch
		t = t.newer
	}
	for _, s := range f.order {
		f.tell(s)
	}
}

// tell hands over a service: first the series that go on, then those that end.
func (f *Fold) tell(s *service) {
	ending := len(f.ending)
	opened := false
	s.process.State = emit.Live
	for _, fam := range s.families {
		for _, t := range fam.totals {
			if t.over == f.batch || len(t.parts) == 0 && isLevel(fam.key.kind) {
				f.ending = append(f.ending, t)
				continue
			}
			if !opened {
				f.next.Process(&s.process)
				opened = true
			}
			f.value(t)
		}
	}
	switch {
	case !opened && s.members == 0: // the service ends as a whole, even if its last series did before
		s.process.State = emit.Gone
		f.next.Process(&s.process)
	case ending < len(f.ending):
		f.next.Process(&s.ended)
	}
	for _, t := range f.ending[ending:] {
		f.value(t)
	}
}

// value hands over what the total is now.
func (f *Fold) value(t *total) {
	if t.family.key.double {
		f.next.Sum(&t.series, t.double())
		return
	}
	switch t.family.key.kind {
	case emit.KindCounter:
		f.next.Counter(&t.series, t.value)
	case emit.KindUpDownCounter:
		var sum uint64
		for _, p := range t.parts {
			sum += p.last
		}
		f.next.UpDownCounter(&t.series, int64(sum))
	case emit.KindGauge:
		f.next.Gauge(&t.series, t.newest())
	case emit.KindHistogram:
		t.hist.get(&f.scratch)
		f.next.Histogram(&t.series, &f.scratch)
	}
}

// double returns a total with fractions.
func (t *total) double() float64 {
	sum := t.sum
	for _, p := range t.parts {
		if isLevel(t.family.key.kind) {
			sum += math.Float64frombits(p.last)
		}
	}
	return sum
}

// newest returns the gauge of the member that started last.
func (t *total) newest() float64 {
	if len(t.parts) == 0 {
		return 0
	}
	newest := t.parts[0]
	for _, p := range t.parts {
		if p.start > newest.start {
			newest = p
		}
	}
	return math.Float64frombits(newest.last)
}
