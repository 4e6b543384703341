package main

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// The slice that a program would have that knew all values by itself.
type (
	slice    []resource
	resource struct {
		attributes    []pair
		scope, number string
		metrics       []instrument
	}
	instrument struct {
		name, unit, description string
		kind                    pmetric.MetricType
		monotonic               bool
		points                  []point
	}
	point struct {
		attributes []pair
		start, end pcommon.Timestamp
		integer    int64
		double     float64
	}
	pair struct {
		key, text string
		number    int64
		isText    bool
	}
)

// flatten makes the slice of a batch.
func flatten(m pmetric.Metrics) slice {
	var s slice
	for _, rm := range m.ResourceMetrics().All() {
		sm := rm.ScopeMetrics().At(0)
		r := resource{attributes: pairs(rm.Resource().Attributes()), scope: sm.Scope().Name(), number: sm.Scope().Version()}
		for _, m := range sm.Metrics().All() {
			i := instrument{name: m.Name(), unit: m.Unit(), description: m.Description(), kind: m.Type()}
			var numbers pmetric.NumberDataPointSlice
			if m.Type() == pmetric.MetricTypeGauge {
				numbers = m.Gauge().DataPoints()
			} else {
				numbers, i.monotonic = m.Sum().DataPoints(), m.Sum().IsMonotonic()
			}
			for _, p := range numbers.All() {
				i.points = append(i.points, point{pairs(p.Attributes()), p.StartTimestamp(), p.Timestamp(), p.IntValue(), p.DoubleValue()})
			}
			r.metrics = append(r.metrics, i)
		}
		s = append(s, r)
	}
	return s
}

func pairs(m pcommon.Map) []pair {
	var all []pair
	for key, value := range m.All() {
		all = append(all, pair{key, value.Str(), value.Int(), value.Type() == pcommon.ValueTypeStr})
	}
	return all
}

// build makes the batch again, with each slice allocated once.
func (s slice) build() pmetric.Metrics {
	batch := pmetric.NewMetrics()
	batch.ResourceMetrics().EnsureCapacity(len(s))
	for i := range s {
		r := &s[i]
		rm := batch.ResourceMetrics().AppendEmpty()
		put(rm.Resource().Attributes(), r.attributes)
		sm := rm.ScopeMetrics().AppendEmpty()
		sm.Scope().SetName(r.scope)
		sm.Scope().SetVersion(r.number)
		sm.Metrics().EnsureCapacity(len(r.metrics))
		for j := range r.metrics {
			r.metrics[j].build(sm.Metrics().AppendEmpty())
		}
	}
	return batch
}

func (i *instrument) build(m pmetric.Metric) {
	m.SetName(i.name)
	m.SetUnit(i.unit)
	m.SetDescription(i.description)
	var numbers pmetric.NumberDataPointSlice
	if i.kind == pmetric.MetricTypeGauge {
		numbers = m.SetEmptyGauge().DataPoints()
	} else {
		sum := m.SetEmptySum()
		sum.SetIsMonotonic(i.monotonic)
		sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		numbers = sum.DataPoints()
	}
	numbers.EnsureCapacity(len(i.points))
	for k := range i.points {
		from, to := &i.points[k], numbers.AppendEmpty()
		to.SetStartTimestamp(from.start)
		to.SetTimestamp(from.end)
		if i.kind == pmetric.MetricTypeGauge {
			to.SetDoubleValue(from.double)
		} else {
			to.SetIntValue(from.integer)
		}
		put(to.Attributes(), from.attributes)
	}
}

func put(m pcommon.Map, attributes []pair) {
	m.EnsureCapacity(len(attributes))
	for i := range attributes {
		if a := &attributes[i]; a.isText {
			m.PutStr(a.key, a.text)
		} else {
			m.PutInt(a.key, a.number)
		}
	}
}
