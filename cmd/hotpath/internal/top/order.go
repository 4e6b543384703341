package top

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/reading"
)

// order is what series are sorted by.
type order int

const (
	byRate order = iota
	byName
	byTotal
	byProcess
)

var orders = []string{"rate", "name", "total", "process"}

func (o order) String() string { return orders[o] }

// Set implements pflag.Value.
func (o *order) Set(name string) error {
	i := slices.Index(orders, name)
	if i < 0 {
		return fmt.Errorf("must be one of %s", strings.Join(orders, ", "))
	}
	*o = order(i)
	return nil
}

// Type implements pflag.Value.
func (o *order) Type() string { return "order" }

// one is a series with its process, and the number that it is sorted by.
type one struct {
	process *reading.Process
	series  *reading.Series
	weight  float64
}

// weigh is by what a series comes before others, if that is a number.
func (o order) weigh(s *reading.Series) float64 {
	var v float64
	switch {
	case o == byRate && s.HasRate:
		v = math.Abs(s.Rate)
	case o == byRate:
		v = -1
	case o == byTotal:
		v = math.Abs(s.Value())
	}
	if math.IsNaN(v) {
		return -1
	}
	return v
}

func (o order) compare(a, b *one) int {
	if c := cmp.Compare(b.weight, a.weight); c != 0 {
		return c
	}
	if o == byProcess {
		if c := compareProcess(a.process, b.process); c != 0 {
			return c
		}
	}
	if c := strings.Compare(a.series.Instrument.Name, b.series.Instrument.Name); c != 0 {
		return c
	}
	if c := strings.Compare(a.series.ID, b.series.ID); c != 0 {
		return c
	}
	return compareProcess(a.process, b.process)
}

func compareProcess(a, b *reading.Process) int {
	return cmp.Or(cmp.Compare(a.PID, b.PID), a.Start.Compare(b.Start))
}

// sorted are all series that pass the filter.
func sorted(r *reading.Reading, f filter, o order, reverse bool) []one {
	all := make([]one, 0, r.Series())
	for i := range r.Processes {
		all = appendSeries(all, &r.Processes[i], f, o)
	}
	sortSeries(all, o, reverse)
	return all
}

func appendSeries(all []one, p *reading.Process, f filter, o order) []one {
	f = f.of(p)
	for i := range p.Series {
		if s := &p.Series[i]; f.matches(s) {
			all = append(all, one{p, s, o.weigh(s)})
		}
	}
	return all
}

func sortSeries(all []one, o order, reverse bool) {
	slices.SortFunc(all, func(a, b one) int { return direct(o.compare(&a, &b), reverse) })
}

func direct(c int, reverse bool) int {
	if reverse {
		return -c
	}
	return c
}
