package e2e

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// who is a process as its resource names it.
type who struct {
	pid      int64
	instance string
}

// point is one data point with all that it belongs to.
type point struct {
	resource   map[string]any
	who        who
	name, unit string
	attributes map[string]any
	series     string // name and attributes
	kind       pmetric.MetricType
	monotonic  bool
	delta      bool

	start, time pcommon.Timestamp
	noValue     bool
	integer     int64
	double      float64
	histogram   histogram
}

type histogram struct {
	count, zero uint64
	sum         float64
	scale       int32
}

func pointsOf(batch pmetric.Metrics) (points []point) {
	for _, rm := range batch.ResourceMetrics().All() {
		of := point{resource: rm.Resource().Attributes().AsRaw()}
		of.who.pid, _ = of.resource["process.pid"].(int64)
		of.who.instance, _ = of.resource["service.instance.id"].(string)
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				points = append(points, pointsOfMetric(of, m)...)
			}
		}
	}
	return points
}

func pointsOfMetric(of point, m pmetric.Metric) (points []point) {
	of.name, of.unit, of.kind = m.Name(), m.Unit(), m.Type()
	switch m.Type() {
	case pmetric.MetricTypeSum:
		of.monotonic = m.Sum().IsMonotonic()
		of.delta = m.Sum().AggregationTemporality() == pmetric.AggregationTemporalityDelta
		points = numbers(of, m.Sum().DataPoints())
	case pmetric.MetricTypeGauge:
		points = numbers(of, m.Gauge().DataPoints())
	case pmetric.MetricTypeExponentialHistogram:
		h := m.ExponentialHistogram()
		of.delta = h.AggregationTemporality() == pmetric.AggregationTemporalityDelta
		for _, dp := range h.DataPoints().All() {
			of.histogram = histogram{dp.Count(), dp.ZeroCount(), dp.Sum(), dp.Scale()}
			points = append(points, complete(of, dp.Attributes(), dp.StartTimestamp(), dp.Timestamp(), dp.Flags()))
		}
	}
	return points
}

func numbers(of point, slice pmetric.NumberDataPointSlice) (points []point) {
	for _, dp := range slice.All() {
		of.integer, of.double = dp.IntValue(), dp.DoubleValue()
		points = append(points, complete(of, dp.Attributes(), dp.StartTimestamp(), dp.Timestamp(), dp.Flags()))
	}
	return points
}

func complete(p point, attributes pcommon.Map, start, time pcommon.Timestamp, flags pmetric.DataPointFlags) point {
	p.attributes = attributes.AsRaw()
	p.series = p.name + fmt.Sprint(p.attributes) // fmt sorts maps
	p.start, p.time, p.noValue = start, time, flags.NoRecordedValue()
	return p
}

// named wants the points of an instrument, from wants those of a process.
func named(name string) func(*point) bool {
	return func(p *point) bool { return p.name == name }
}

func from(pid int) func(*point) bool {
	return func(p *point) bool { return p.who.pid == int64(pid) }
}

func both(a, b func(*point) bool) func(*point) bool {
	return func(p *point) bool { return a(p) && b(p) }
}

// doneBy wants the counter of a client that takes commands.
func doneBy(c *client) func(*point) bool { return both(from(c.pid()), named("job.done")) }

// endOf wants the points that end the series of a client.
func endOf(c *client) func(*point) bool {
	return func(p *point) bool { return p.noValue && p.who.pid == int64(c.pid()) }
}

func counted(n int64) func(point) bool {
	return func(p point) bool { return p.integer == n }
}
