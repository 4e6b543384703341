// Package otlptest makes OTLP requests to measure with.
package otlptest

import (
	"fmt"

	"go.opentelemetry.io/collector/pdata/pmetric"
)

// Envelopes are requests as OpenTelemetry's exporter for Rust writes them to user_events: one delta point with two attributes
// each, and as many streams.
func Envelopes(streams int) [][]byte {
	var m pmetric.ProtoMarshaler
	requests := make([][]byte, streams)
	for i := range requests {
		request, err := m.MarshalMetrics(envelope(i))
		if err != nil {
			panic(err)
		}
		requests[i] = request
	}
	return requests
}

func envelope(stream int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	resource := rm.Resource().Attributes()
	resource.PutStr("service.name", "checkout")
	resource.PutStr("telemetry.sdk.language", "rust")
	resource.PutStr("telemetry.sdk.name", "opentelemetry")
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName("shop")
	metric := sm.Metrics().AppendEmpty()
	metric.SetName(fmt.Sprintf("requests.%d", stream%10))
	metric.SetUnit("1")
	sum := metric.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	point := sum.DataPoints().AppendEmpty()
	point.SetStartTimestamp(1_700_000_000_000_000_000)
	point.SetTimestamp(1_700_000_010_000_000_000)
	point.SetIntValue(3)
	point.Attributes().PutStr("method", "GET")
	point.Attributes().PutInt("worker", int64(stream))
	return md
}
