package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"

	"github.com/hotpath-metrics/hotpath/client/go"
)

// adds and records are what the collector has to find of "bench.adds" and "bench.values".
var adds, records atomic.Uint64

// benchGo times the Go client beside today's alternatives.
func benchGo(p plan) ([]row, error) {
	counter, gauge, histogram := hotpath.NewCounter("bench.adds"), hotpath.NewGauge("bench.level"), hotpath.NewHistogram("bench.values", hotpath.WithUnit("s"))
	otel, err := newOpenTelemetry()
	if err != nil {
		return nil, err
	}
	prom := prometheus.NewCounter(prometheus.CounterOpts{Name: "adds", Help: "Adds"})
	classic := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "classic", Help: "Values"})
	native := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "native", Help: "Values", NativeHistogramBucketFactor: 1.1})

	values := make([]float64, 1024)
	for i := range values {
		values[i] = 1 - rand.Float64() // uniform in (0, 1]
	}
	words := make([]uint64, 1<<16) // a goroutine's own is 512 bytes from any other's
	var owners atomic.Uint32
	own := func() *uint64 { return &words[owners.Add(1)%1024*64] }
	shared := new(uint64)
	store := new(float64)
	ctx := context.Background()

	add := subject{"Counter.Add", func(n int) {
		adds.Add(uint64(n))
		for range n {
			counter.Add(1)
		}
	}}
	increment := subject{"*p++ of its own", func(n int) {
		word := own()
		for range n {
			*word++
		}
	}}
	pinned := subject{"procPin, *p++, procUnpin", func(n int) {
		word := own()
		for range n {
			procPin()
			*word++
			procUnpin()
		}
	}}
	atomicAdd := subject{"atomic.AddUint64", func(n int) {
		for range n {
			atomic.AddUint64(shared, 1)
		}
	}}
	promAdd := subject{"client_golang Counter.Inc", func(n int) {
		for range n {
			prom.Inc()
		}
	}}
	otelAdd := subject{"OpenTelemetry Go, no attributes", func(n int) {
		for range n {
			otel.counter.Add(ctx, 1)
		}
	}}
	otelAddThree := subject{"OpenTelemetry Go, three attributes", func(n int) {
		for range n {
			otel.counter.Add(ctx, 1, otel.three)
		}
	}}
	record := subject{"Histogram.Record", func(n int) {
		records.Add(uint64(n))
		for i := range n {
			histogram.Record(values[i%len(values)])
		}
	}}
	set := subject{"Gauge.Set", func(n int) {
		for i := range n {
			gauge.Set(values[i%len(values)])
		}
	}}

	var rows []row
	compare := func(what string, unit string, bounds []budget, subjects ...subject) {
		results := timeInTurn(p, subjects)
		for i, alternative := range subjects[1:] {
			r := newRow("Go client", what, unit, results[0]).beside(alternative.name, results[0], results[i+1])
			if i < len(bounds) {
				r = r.within(bounds[i])
			}
			rows = append(rows, r)
		}
	}
	three := []budget{{most: 3}}
	compare("Counter.Add on 1 P", "ns", three, add, pinned, increment, atomicAdd, promAdd, otelAdd, otelAddThree)
	all := []subject{add, pinned, increment, atomicAdd, promAdd, otelAdd, otelAddThree}
	for i := range all {
		all[i].do = onAllPs(all[i].do)
	}
	compare("Counter.Add on all Ps", "ns", three, all...)
	compare("Gauge.Set", "ns", nil, set, subject{"*p = v", func(n int) {
		for i := range n {
			*store = values[i%len(values)]
		}
	}})
	compare("Histogram.Record", "ns", nil, record,
		subject{"client_golang, classic buckets", func(n int) {
			for i := range n {
				classic.Observe(values[i%len(values)])
			}
		}},
		subject{"client_golang, native buckets", func(n int) {
			for i := range n {
				native.Observe(values[i%len(values)])
			}
		}},
		subject{"OpenTelemetry Go, explicit buckets", func(n int) {
			for i := range n {
				otel.histogram.Record(ctx, values[i%len(values)])
			}
		}},
	)
	return rows, nil
}

type openTelemetry struct {
	counter   metric.Int64Counter
	histogram metric.Float64Histogram
	three     metric.AddOption // made beforehand, which is the SDK's fast way
}

func newOpenTelemetry() (*openTelemetry, error) {
	meter := sdk.NewMeterProvider(sdk.WithReader(sdk.NewManualReader())).Meter("bench")
	counter, err := meter.Int64Counter("adds")
	if err != nil {
		return nil, fmt.Errorf("make OpenTelemetry counter: %w", err)
	}
	histogram, err := meter.Float64Histogram("values")
	if err != nil {
		return nil, fmt.Errorf("make OpenTelemetry histogram: %w", err)
	}
	set := attribute.NewSet(attribute.String("method", "GET"), attribute.Int("status", 200), attribute.Bool("cached", true))
	return &openTelemetry{counter, histogram, metric.WithAttributeSet(set)}, nil
}
