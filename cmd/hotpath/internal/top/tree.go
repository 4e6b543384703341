package top

import (
	"cmp"
	"slices"
	"strings"

	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/reading"
	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// row is a line of the screen: of a service, of a process if that is set, or of a series if that is.
type row struct {
	service *service
	process *reading.Process
	series  *reading.Series
	depth   int
	folded  bool
	shown   int // series of a process that pass the filter
}

// key tells rows of one reading apart, and is the same in the next.
func (r *row) key() any {
	switch {
	case r.series != nil:
		return r.series.Series
	case r.process != nil:
		return r.process.Key
	}
	return r.service.name
}

// keep forgets processes that are there no more.
func (f folds) keep(r *reading.Reading) {
	if len(f) == 0 {
		return
	}
	there := make(map[any]struct{}, len(r.Processes))
	for i := range r.Processes {
		there[r.Processes[i].Key] = struct{}{}
	}
	for key := range f {
		if _, name := key.(string); !name && !folds(there).has(key) {
			delete(f, key)
		}
	}
}

// service is the processes of one name.
type service struct {
	name      string
	processes []member
	series    int
	weight    float64
}

// member is a process of a service.
type member struct {
	process *reading.Process
	series  []one
	weight  float64
}

// folds are the keys of rows whose children are not shown.
type folds map[any]struct{}

func (f folds) has(key any) bool {
	_, ok := f[key]
	return ok
}

// tree puts series under their process, and processes under their service. It also returns how many series there are.
func tree(r *reading.Reading, f filter, o order, reverse bool, folded folds) (rows []row, series int) {
	services := group(r, f, o, reverse)
	rows = make([]row, 0, len(r.Processes)+len(services)+r.Series())
	for _, s := range services {
		series += s.series
		closed := folded.has(s.name)
		rows = append(rows, row{service: s, folded: closed})
		if closed {
			continue
		}
		for i := range s.processes {
			rows = s.processes[i].appendRows(rows, s, folded)
		}
	}
	return rows, series
}

func (m *member) appendRows(rows []row, s *service, folded folds) []row {
	closed := folded.has(m.process.Key)
	rows = append(rows, row{service: s, process: m.process, depth: 1, folded: closed, shown: len(m.series)})
	if closed {
		return rows
	}
	for i := range m.series {
		rows = append(rows, row{service: s, process: m.process, series: m.series[i].series, depth: 2})
	}
	return rows
}

func group(r *reading.Reading, f filter, o order, reverse bool) []*service {
	byName := map[string]*service{}
	var services []*service
	all := make([]one, 0, r.Series())
	for i := range r.Processes {
		p := &r.Processes[i]
		from := len(all)
		all = appendSeries(all, p, f, o)
		m := member{process: p, series: all[from:len(all):len(all)], weight: -1}
		if len(m.series) == 0 {
			continue
		}
		sortSeries(m.series, o, reverse)
		for j := range m.series {
			m.weight = max(m.weight, m.series[j].weight)
		}
		s := byName[p.Service]
		if s == nil {
			s = &service{name: p.Service, weight: -1}
			byName[p.Service] = s
			services = append(services, s)
		}
		s.processes = append(s.processes, m)
		s.series += len(m.series)
		s.weight = max(s.weight, m.weight)
	}
	for _, s := range services {
		slices.SortFunc(s.processes, func(a, b member) int {
			return direct(cmp.Or(cmp.Compare(b.weight, a.weight), compareProcess(a.process, b.process)), reverse)
		})
	}
	slices.SortFunc(services, func(a, b *service) int {
		return direct(cmp.Or(cmp.Compare(b.weight, a.weight), strings.Compare(a.name, b.name)), reverse)
	})
	return services
}

// flat is all series, one below the other.
func flat(r *reading.Reading, f filter, o order, reverse bool) []row {
	all := sorted(r, f, o, reverse)
	rows := make([]row, len(all))
	for i := range all {
		rows[i] = row{process: all[i].process, series: all[i].series}
	}
	return rows
}

var kinds = map[emit.Kind]string{
	emit.KindCounter: "counter", emit.KindUpDownCounter: "updowncounter", emit.KindGauge: "gauge", emit.KindHistogram: "histogram",
}
