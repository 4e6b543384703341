package otlp_test

import (
	"fmt"
	"testing"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
	"github.com/hotpath-metrics/hotpath/internal/otlp"
	"github.com/hotpath-metrics/hotpath/internal/otlp/otlptest"
)

// BenchmarkEnvelope measures one request from its bytes to pdata in the sink: what the pipeline behind does comes on top.
func BenchmarkEnvelope(b *testing.B) {
	for _, cumulative := range []bool{false, true} {
		b.Run(fmt.Sprintf("cumulative=%v", cumulative), func(b *testing.B) {
			requests := otlptest.Envelopes(1000)
			in := otlp.New(otlp.Config{PendingBytes: 1 << 30, Cumulative: cumulative, MaxSeries: 10000, Idle: 1 << 40},
				func(reason string, _ int64) { b.Fatal(reason) })
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				in.Add(requests[n%len(requests)])
				if n++; n%100_000 == 0 {
					in.Collect(emittest.Discard{})
					in.Commit()
				}
			}
			in.Collect(emittest.Discard{})
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "envelopes/s")
		})
	}
}

// BenchmarkPdata is the alternative: each request unmarshalled by itself.
func BenchmarkPdata(b *testing.B) {
	requests := otlptest.Envelopes(1000)
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
			requests := otlptest.Envelopes(10_000)
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
