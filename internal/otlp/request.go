package otlp

import (
	"go.opentelemetry.io/collector/pdata/pmetric"
	"google.golang.org/protobuf/encoding/protowire"
)

// add takes the points of a request that was checked, whose metrics have the given sizes.
func (t *table) add(b []byte, sizes []int) error {
	for len(b) > 0 {
		number, _, value, n := split(b)
		b = b[n:]
		if number != requestResourceMetrics {
			continue
		}
		rest, err := t.addResource(value, sizes)
		if err != nil {
			return err
		}
		sizes = rest
	}
	return nil
}

func (t *table) addResource(b []byte, sizes []int) ([]int, error) {
	t.head = appendOthers(t.head[:0], b, resourceMetricsScopeMetrics)
	r, err := t.resource(t.head)
	for len(b) > 0 && err == nil {
		number, _, value, n := split(b)
		b = b[n:]
		if number == resourceMetricsScopeMetrics {
			sizes, err = t.addScope(r, value, sizes)
		}
	}
	return sizes, err
}

func (t *table) addScope(r *resourceEntry, b []byte, sizes []int) ([]int, error) {
	t.head = appendOthers(t.head[:0], b, scopeMetricsMetrics)
	s, err := t.scope(r, t.head)
	for len(b) > 0 && err == nil {
		number, _, value, n := split(b)
		b = b[n:]
		if number == scopeMetricsMetrics {
			t.addMetric(s, value, sizes[0])
			sizes = sizes[1:]
		}
	}
	return sizes, err
}

// appendOthers appends all fields of a message but those of one number.
func appendOthers(dst, b []byte, but protowire.Number) []byte {
	for len(b) > 0 {
		number, _, _, n := split(b)
		if number != but {
			dst = append(dst, b[:n]...)
		}
		b = b[n:]
	}
	return dst
}

func (t *table) addMetric(s *scopeEntry, b []byte, size int) {
	// Of fields that come more than once the last counts, as it does in pdata, but for metadata, which adds up.
	var name, description, unit, points []byte
	var data protowire.Number
	head := t.head[:0]
	for len(b) > 0 {
		number, _, value, n := split(b)
		switch number {
		case metricName:
			name = value
		case metricDescription:
			description = value
		case metricUnit:
			unit = value
		case metricGauge, metricSum, metricHistogram, metricExponentialHistogram, metricSummary:
			data, points = number, value
		case metricMetadata:
			head = append(head, b[:n]...)
		}
		b = b[n:]
	}
	if len(points) == 0 {
		return
	}
	head = appendField(head, metricName, name)
	head = appendField(head, metricDescription, description)
	head = appendField(head, metricUnit, unit)
	headLen := len(head)
	head, delta := appendTail(head, data, points)
	key := append(head, byte(data))
	t.head = key

	m := s.metrics.find(key)
	if m == nil {
		kept := append([]byte(nil), head...)
		m = &metricEntry{head: kept[:headLen:headLen], tail: kept[headLen:], data: data, delta: delta && t.apart}
		s.metrics.add(key, m)
		t.charge(&m.size, containerSize+2*len(key)+sizeOf(m.head, metric))
	}
	for len(points) > 0 {
		number, _, _, n := split(points)
		if number == dataPoints {
			m.addPoint(points[:n])
		}
		points = points[n:]
	}
	t.addSize(m, size)
}

// appendTail appends temporality and monotonicity in one way of all that they can be written in.
func appendTail(dst []byte, data protowire.Number, b []byte) (tail []byte, delta bool) {
	if data == metricGauge || data == metricSummary {
		return dst, false
	}
	var temporality, monotonic uint64
	for len(b) > 0 {
		number, _, value, n := split(b)
		switch {
		case number == dataTemporality:
			temporality, _ = protowire.ConsumeVarint(value)
		case number == dataMonotonic && data == metricSum:
			monotonic, _ = protowire.ConsumeVarint(value)
		}
		b = b[n:]
	}
	dst = protowire.AppendTag(dst, dataTemporality, protowire.VarintType)
	dst = protowire.AppendVarint(dst, temporality)
	if monotonic != 0 {
		dst = protowire.AppendTag(dst, dataMonotonic, protowire.VarintType)
		dst = append(dst, 1)
	}
	return dst, int32(temporality) == int32(pmetric.AggregationTemporalityDelta)
}
