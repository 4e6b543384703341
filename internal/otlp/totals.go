package otlp

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// totals are the running totals of streams that come as deltas. A stream is a resource, scope, metric
// and attribute set; its total runs from the start of the first point on.
//
// Deltas add up in any order, and points that several CPUs wrote come in any. So only what begins before a start
// that was handed over already is out of order.
type totals struct {
	limit, used int
	idle        time.Duration
	skipped     func(reason string, n int64)

	resources index[resourceTotals]
	now       time.Time
	identity  identity
	key       []byte
}

// What totals have in common is kept as they are handed over, without what lies below. Cost is
// what they take of the limit.

type resourceTotals struct {
	common pmetric.ResourceMetrics
	cost   int
	scopes index[scopeTotals]
}

type scopeTotals struct {
	common  pmetric.ScopeMetrics
	cost    int
	metrics index[metricTotals]
}

type metricTotals struct {
	common  pmetric.Metric
	cost    int
	streams index[stream]
}

type stream struct {
	total     point
	cost      int
	touched   time.Time
	announced bool // its start was handed over
	changed   bool // since what was last accepted
	told      bool // and is handed over since it changed
}

func newTotals(limit int, idle time.Duration, skipped func(reason string, n int64)) *totals {
	return &totals{limit: limit, idle: idle, skipped: skipped}
}

// add adds the points of metrics that are all of delta temporality. What was made for points that were then refused, and so is the
// last of its kind, is taken back: everything that is kept has streams.
func (t *totals) add(rm pmetric.ResourceMetrics) {
	t.now = time.Now()
	r := t.resource(rm)
	for _, sm := range rm.ScopeMetrics().All() {
		s := t.scope(r, sm)
		for _, metric := range sm.Metrics().All() {
			m := t.metric(s, metric)
			t.addPoints(m, metric)
			if len(m.streams.list) == 0 {
				s.metrics.undo()
				t.used -= m.cost
			}
		}
		if len(s.metrics.list) == 0 {
			r.scopes.undo()
			t.used -= s.cost
		}
	}
	if len(r.scopes.list) == 0 {
		t.resources.undo()
		t.used -= r.cost
	}
}

func (t *totals) addPoints(m *metricTotals, metric pmetric.Metric) {
	switch metric.Type() {
	case pmetric.MetricTypeSum:
		for _, p := range metric.Sum().DataPoints().All() {
			addPoint(t, m, p, &numbers)
		}
	case pmetric.MetricTypeHistogram:
		for _, p := range metric.Histogram().DataPoints().All() {
			addPoint(t, m, p, &histograms)
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, p := range metric.ExponentialHistogram().DataPoints().All() {
			addPoint(t, m, p, &exponentials)
		}
	}
}

func (t *totals) resource(rm pmetric.ResourceMetrics) *resourceTotals {
	t.key = t.identity.appendResource(t.key[:0], rm.Resource(), rm.SchemaUrl())
	r := t.resources.find(t.key)
	if r == nil {
		r = &resourceTotals{common: pmetric.NewResourceMetrics(), cost: len(t.key) >> 10}
		rm.Resource().CopyTo(r.common.Resource())
		r.common.SetSchemaUrl(rm.SchemaUrl())
		t.used += r.cost
		t.resources.add(t.key, r)
	}
	return r
}

func (t *totals) scope(r *resourceTotals, sm pmetric.ScopeMetrics) *scopeTotals {
	t.key = t.identity.appendScope(t.key[:0], sm.Scope(), sm.SchemaUrl())
	s := r.scopes.find(t.key)
	if s == nil {
		s = &scopeTotals{common: pmetric.NewScopeMetrics(), cost: len(t.key) >> 10}
		sm.Scope().CopyTo(s.common.Scope())
		s.common.SetSchemaUrl(sm.SchemaUrl())
		t.used += s.cost
		r.scopes.add(t.key, s)
	}
	return s
}

func (t *totals) metric(s *scopeTotals, metric pmetric.Metric) *metricTotals {
	monotonic := metric.Type() == pmetric.MetricTypeSum && metric.Sum().IsMonotonic()
	t.key = appendText(t.key[:0], metric.Name())
	t.key = appendText(t.key, metric.Unit())
	t.key = appendText(t.key, metric.Description())
	t.key = append(t.key, byte(metric.Type()), boolean(monotonic))
	m := s.metrics.find(t.key)
	if m == nil {
		m = &metricTotals{common: pmetric.NewMetric(), cost: len(t.key) >> 10}
		m.common.SetName(metric.Name())
		m.common.SetUnit(metric.Unit())
		m.common.SetDescription(metric.Description())
		switch metric.Type() {
		case pmetric.MetricTypeSum:
			m.common.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			m.common.Sum().SetIsMonotonic(monotonic)
		case pmetric.MetricTypeHistogram:
			m.common.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		case pmetric.MetricTypeExponentialHistogram:
			m.common.SetEmptyExponentialHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		}
		t.used += m.cost
		s.metrics.add(t.key, m)
	}
	return m
}

func boolean(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// addPoint adds a point to its stream's total.
func addPoint[P point](t *totals, m *metricTotals, p P, of *arithmetic[P]) {
	if p.Flags().NoRecordedValue() {
		return
	}
	if !of.valid(m, p) {
		t.skipped(ReasonValue, 1)
		return
	}
	t.key = t.identity.appendMap(t.key[:0], p.Attributes())
	s := m.streams.find(t.key)
	if s == nil {
		cost := 1 + (len(t.key)+of.size(p))>>10
		if t.used+cost > t.limit {
			t.skipped(ReasonSeriesLimit, 1)
			return
		}
		s = &stream{cost: cost}
		t.used += cost
		m.streams.add(t.key, s)
		begin(s, p, 0, of)
	} else if total := s.total.(P); !of.compatible(total, p) {
		cost := 1 + (len(t.key)+of.size(p))>>10
		if t.used+cost-s.cost > t.limit {
			t.skipped(ReasonSeriesLimit, 1)
			return
		}
		t.used += cost - s.cost
		s.cost = cost
		begin(s, p, total.Timestamp(), of)
	} else {
		if start := p.StartTimestamp(); start != 0 && start < total.StartTimestamp() {
			if s.announced {
				t.skipped(ReasonOutOfOrder, 1)
				return
			}
			total.SetStartTimestamp(start)
		}
		total.SetTimestamp(max(total.Timestamp(), p.Timestamp()))
		of.add(total, p)
	}
	s.touched, s.changed, s.told = t.now, true, false
}

// begin makes a point the first of a total, which does not start before a given time.
func begin[P point](s *stream, p P, after pcommon.Timestamp, of *arithmetic[P]) {
	total := of.first(p)
	start := p.StartTimestamp()
	if start == 0 {
		start = p.Timestamp() // unknown: then that is the first that is known
	}
	start = max(start, after)
	total.SetStartTimestamp(start)
	total.SetTimestamp(max(p.Timestamp(), start))
	s.total, s.announced = total, false
}

// collect hands over the totals that changed.
func (t *totals) collect(sink emit.Sink) {
	for _, r := range t.resources.list {
		rm := pmetric.NewResourceMetrics()
		for _, s := range r.scopes.list {
			sm := pmetric.NewScopeMetrics()
			for _, m := range s.metrics.list {
				m.collect(sm.Metrics())
			}
			if sm.Metrics().Len() > 0 {
				s.common.Scope().CopyTo(sm.Scope())
				sm.SetSchemaUrl(s.common.SchemaUrl())
				sm.MoveTo(rm.ScopeMetrics().AppendEmpty())
			}
		}
		if rm.ScopeMetrics().Len() > 0 {
			r.common.Resource().CopyTo(rm.Resource())
			rm.SetSchemaUrl(r.common.SchemaUrl())
			sink.Metrics(rm)
		}
	}
}

func (m *metricTotals) collect(to pmetric.MetricSlice) {
	var metric pmetric.Metric
	opened := false
	for _, s := range m.streams.list {
		if !s.changed {
			continue
		}
		if !opened {
			opened = true
			metric = to.AppendEmpty()
			m.common.CopyTo(metric)
		}
		switch total := s.total.(type) {
		case pmetric.NumberDataPoint:
			total.CopyTo(metric.Sum().DataPoints().AppendEmpty())
		case pmetric.HistogramDataPoint:
			total.CopyTo(metric.Histogram().DataPoints().AppendEmpty())
		case pmetric.ExponentialHistogramDataPoint:
			total.CopyTo(metric.ExponentialHistogram().DataPoints().AppendEmpty())
		}
		s.told, s.announced = true, true
	}
}

// commit says that what collect handed over was accepted, and drops streams that were idle for too long.
func (t *totals) commit() {
	t.now = time.Now()
	for _, r := range t.resources.list {
		for _, s := range r.scopes.list {
			for _, m := range s.metrics.list {
				for _, s := range m.streams.list {
					s.changed = s.changed && !s.told
				}
				m.streams.drop(t.expired)
			}
		}
	}
	t.compact()
}

func (t *totals) expired(s *stream) bool { return !s.changed && t.now.Sub(s.touched) >= t.idle }

// compact drops what has no streams, and counts the cost of what has.
func (t *totals) compact() {
	t.resources.drop(func(r *resourceTotals) bool {
		r.scopes.drop(func(s *scopeTotals) bool {
			s.metrics.drop(func(m *metricTotals) bool { return len(m.streams.list) == 0 })
			return len(s.metrics.list) == 0
		})
		return len(r.scopes.list) == 0
	})
	t.used = 0
	for _, r := range t.resources.list {
		t.used += r.cost
		for _, s := range r.scopes.list {
			t.used += s.cost
			for _, m := range s.metrics.list {
				t.used += m.cost
				for _, s := range m.streams.list {
					t.used += s.cost
				}
			}
		}
	}
}
