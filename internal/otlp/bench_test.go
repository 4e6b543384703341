package otlp_test

import (
	"fmt"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/otlp"
)

// discard is a sink that does nothing, so that benchmarks measure what comes before it.
type discard struct{ emit.Sink }

func (discard) Metrics(pmetric.ResourceMetrics) {}

// envelopes are requests as the exporter for Rust writes them: one delta point with two attributes each,
// of so many streams.
func envelopes(streams int) [][]byte {
	requests := make([][]byte, streams)
	for i := range requests {
		md := pmetric.NewMetrics()
		rm := md.ResourceMetrics().AppendEmpty()
		a := rm.Resource().Attributes()
		a.PutStr("service.name", "checkout")
		a.PutStr("telemetry.sdk.language", "rust")
		a.PutStr("telemetry.sdk.name", "opentelemetry")
		sm := rm.ScopeMetrics().AppendEmpty()
		sm.Scope().SetName("shop")
		m := sm.Metrics().AppendEmpty()
		fillDelta(m, "1", 1, 2, 3)
		m.SetName(fmt.Sprintf("requests.%d", i%10))
		p := m.Sum().DataPoints().At(0)
		p.Attributes().Clear()
		p.SetStartTimestamp(pcommon.Timestamp(1_700_000_000_000_000_000))
		p.SetTimestamp(1_700_000_010_000_000_000)
		p.SetIntValue(3)
		p.Attributes().PutStr("method", "GET")
		p.Attributes().PutInt("worker", int64(i))
		requests[i] = marshal(md)
	}
	return requests
}

// BenchmarkEnvelope measures one request from its bytes to pdata in the sink: what the pipeline behind does comes on top.
func BenchmarkEnvelope(b *testing.B) {
	for _, cumulative := range []bool{false, true} {
		b.Run(fmt.Sprintf("cumulative=%v", cumulative), func(b *testing.B) {
			requests := envelopes(1000)
			in := otlp.New(otlp.Config{PendingBytes: 1 << 30, Cumulative: cumulative, MaxSeries: 10000, Idle: 1 << 40},
				func(reason string, _ int64) { b.Fatal(reason) })
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				in.Add(requests[n%len(requests)])
				if n++; n%100_000 == 0 {
					in.Collect(discard{})
					in.Commit()
				}
			}
			in.Collect(discard{})
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "envelopes/s")
		})
	}
}

// BenchmarkPdata is the alternative: each request unmarshalled by itself.
func BenchmarkPdata(b *testing.B) {
	requests := envelopes(1000)
	var u pmetric.ProtoUnmarshaler
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if _, err := u.UnmarshalMetrics(requests[n%len(requests)]); err != nil {
			b.Fatal(err)
		}
		n++
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "envelopes/s")
}

// BenchmarkCollect measures what a collection makes of envelopes that came before, in the batch that goes on.
func BenchmarkCollect(b *testing.B) {
	for _, cumulative := range []bool{false, true} {
		b.Run(fmt.Sprintf("cumulative=%v", cumulative), func(b *testing.B) {
			requests := envelopes(10_000)
			in := otlp.New(otlp.Config{PendingBytes: 1 << 30, Cumulative: cumulative, MaxSeries: 10_000, Idle: 1 << 40},
				func(reason string, _ int64) { b.Fatal(reason) })
			for _, r := range requests {
				in.Add(r)
			}
			builder := emit.NewBuilder("", pmetric.AggregationTemporalityCumulative)
			b.ReportAllocs()
			for b.Loop() {
				builder.Begin(1)
				in.Collect(builder)
				if _, points := builder.Take(); points != len(requests) {
					b.Fatal(points)
				}
			}
			b.ReportMetric(float64(b.N*len(requests))/b.Elapsed().Seconds(), "points/s")
		})
	}
}
