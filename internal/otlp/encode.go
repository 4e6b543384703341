package otlp

import "google.golang.org/protobuf/encoding/protowire"

// The lengths and bytes below are those of the delta points that are kept apart, or of all others.
// What has no such points has length 0 and is left out.

// appendRequest appends a request with one resource.
func (r *resourceEntry) appendRequest(dst []byte, delta bool) []byte {
	n := r.len(delta)
	if n == 0 {
		return dst
	}
	dst = appendHead(dst, requestResourceMetrics, n)
	dst = append(dst, r.head...)
	for _, s := range r.scopes.list {
		dst = s.append(dst, delta)
	}
	return dst
}

func (r *resourceEntry) len(delta bool) int {
	n := 0
	for _, s := range r.scopes.list {
		n += fieldLen(resourceMetricsScopeMetrics, s.len(delta))
	}
	if n == 0 {
		return 0
	}
	return len(r.head) + n
}

func (s *scopeEntry) append(dst []byte, delta bool) []byte {
	n := s.len(delta)
	if n == 0 {
		return dst
	}
	dst = appendHead(dst, resourceMetricsScopeMetrics, n)
	dst = append(dst, s.head...)
	for _, m := range s.metrics.list {
		dst = m.append(dst, delta)
	}
	return dst
}

func (s *scopeEntry) len(delta bool) int {
	n := 0
	for _, m := range s.metrics.list {
		n += fieldLen(scopeMetricsMetrics, m.len(delta))
	}
	if n == 0 {
		return 0
	}
	return len(s.head) + n
}

func (m *metricEntry) append(dst []byte, delta bool) []byte {
	n := m.len(delta)
	if n == 0 {
		return dst
	}
	dst = appendHead(dst, scopeMetricsMetrics, n)
	dst = append(dst, m.head...)
	dst = appendHead(dst, m.data, len(m.points)+len(m.tail))
	dst = append(dst, m.points...)
	return append(dst, m.tail...)
}

func (m *metricEntry) len(delta bool) int {
	if m.delta != delta || len(m.points) == 0 {
		return 0
	}
	return len(m.head) + fieldLen(m.data, len(m.points)+len(m.tail))
}

func appendHead(dst []byte, number protowire.Number, length int) []byte {
	dst = protowire.AppendTag(dst, number, protowire.BytesType)
	return protowire.AppendVarint(dst, uint64(length))
}

func appendField(dst []byte, number protowire.Number, value []byte) []byte {
	return append(appendHead(dst, number, len(value)), value...)
}

// fieldLen is the length of a field that holds so many bytes, and 0 for none.
func fieldLen(number protowire.Number, length int) int {
	if length == 0 {
		return 0
	}
	return protowire.SizeTag(number) + protowire.SizeBytes(length)
}
