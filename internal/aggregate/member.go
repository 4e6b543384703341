package aggregate

import "github.com/hotpath-metrics/hotpath/internal/emit"

// member is a process as part of its service.
type member struct {
	service *service
	process *emit.Process
	since   uint64 // the batch in which it was first seen
	late    bool   // it was dead already then
	parts   map[*emit.Series]*part
}

// part is what one process adds to one total.
type part struct {
	total *total
	start int64  // of the process
	index int    // in total.parts
	last  uint64 // counter, updowncounter (two's complement), or bits of a double: sums and gauges
	hist  histogram
}

// join makes the process a member of its service.
func (f *Fold) join(p *emit.Process) *member {
	s := f.service(p)
	start := p.Start
	if p.Seen {
		start = f.started
	}
	start = max(start, f.ended)
	if !s.delivered && (s.process.Start == 0 || start < s.process.Start) {
		s.process.Start, s.ended.Start = start, start
	}
	s.members++
	m := &member{service: s, process: p, since: f.batch, late: p.State == emit.Final, parts: make(map[*emit.Series]*part)}
	f.members[p] = m
	return m
}

// end takes the levels of a dead process out of its service; its totals may still rise.
func (f *Fold) end(m *member) {
	for s, p := range m.parts {
		if isLevel(s.Instrument.Kind) {
			p.total.detach(p)
			delete(m.parts, s)
		}
	}
}

// leave ends a membership: what the process counted stays in the totals.
func (f *Fold) leave(m *member) {
	for _, p := range m.parts {
		f.release(p)
	}
	m.service.members--
	delete(f.members, m.process)
}

// release takes a part out of its total, in which what it counted stays.
func (f *Fold) release(p *part) {
	t := p.total
	t.detach(p)
	if len(t.parts) == 0 && !isLevel(t.series.Instrument.Kind) {
		f.retired.add(t)
	}
}

// part returns what the present process adds to the series' total, nil if it adds
// nothing, and whether the value it has now is a baseline.
func (f *Fold) part(s *emit.Series) (p *part, baseline bool) {
	m := f.member
	if m == nil {
		return nil, false
	}
	p = m.parts[s]
	if s.Ended {
		if p != nil {
			f.release(p)
			delete(m.parts, s)
		}
		return nil, false
	}
	if p != nil {
		return p, false
	}
	baseline = m.process.Seen && s.Bases == nil && (m.since == f.batch || m.late)
	if m.process.State == emit.Final && (isLevel(s.Instrument.Kind) || baseline && m.late) {
		return nil, false
	}
	t := m.service.total(s, f.ended)
	f.retired.remove(t)
	p = &part{total: t, start: m.process.Start, index: len(t.parts)}
	t.parts = append(t.parts, p)
	m.parts[s] = p
	return p, baseline
}

// isLevel says that a kind has values which end with the process they are of.
func isLevel(k emit.Kind) bool { return k == emit.KindUpDownCounter || k == emit.KindGauge }
