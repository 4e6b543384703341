package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hotpath-metrics/hotpath/bench/peer"
	"github.com/hotpath-metrics/hotpath/client/go"
	"github.com/hotpath-metrics/hotpath/internal/measure"
)

// adds and records are what the collector has to find of "bench.adds" and "bench.values".
var adds, records atomic.Uint64

// benchGo times the Go client beside today's alternatives.
func benchGo(p measure.Plan) ([]row, error) {
	counter, gauge, histogram := hotpath.NewCounter("bench.adds"), hotpath.NewGauge("bench.level"), hotpath.NewHistogram("bench.values", hotpath.WithUnit("s"))
	otelPlain, failed := peer.OpenTelemetry()
	otelThree, failedThree := peer.OpenTelemetry(peer.Three())
	explicit, failedHistogram := peer.NewMeter().Float64Histogram("values")
	if err := errors.Join(failed, failedThree, failedHistogram); err != nil {
		return nil, err
	}
	classic := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "classic", Help: "Values"})
	native := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "native", Help: "Values", NativeHistogramBucketFactor: 1.1})

	values := make([]float64, 1024)
	for i := range values {
		values[i] = 1 - rand.Float64() // uniform in (0, 1]
	}
	words := peer.NewWords()
	store := new(float64)
	ctx := context.Background()

	add := measure.Subject{Name: "Counter.Add", Do: func(n int) {
		adds.Add(uint64(n))
		for range n {
			counter.Add(1)
		}
	}}
	increment := measure.Subject{Name: "*p++ of its own", Do: peer.Increment()}
	pinned := measure.Subject{Name: "procPin, *p++, procUnpin", Do: func(n int) {
		word := words.Own()
		for range n {
			procPin()
			*word++
			procUnpin()
		}
	}}
	atomicAdd := measure.Subject{Name: "atomic.AddUint64", Do: peer.AtomicAdd()}
	promAdd := measure.Subject{Name: "client_golang Counter.Inc", Do: peer.ClientGolang()}
	otelAdd := measure.Subject{Name: "OpenTelemetry Go, no attributes", Do: otelPlain}
	otelAddThree := measure.Subject{Name: "OpenTelemetry Go, three attributes", Do: otelThree}
	record := measure.Subject{Name: "Histogram.Record", Do: func(n int) {
		records.Add(uint64(n))
		for i := range n {
			histogram.Record(values[i%len(values)])
		}
	}}
	set := measure.Subject{Name: "Gauge.Set", Do: func(n int) {
		for i := range n {
			gauge.Set(values[i%len(values)])
		}
	}}

	var rows []row
	compare := func(what string, unit string, bounds []budget, subjects ...measure.Subject) {
		results := measure.TimeInTurn(p, subjects)
		for i, alternative := range subjects[1:] {
			r := newRow("Go client", what, unit, results[0]).beside(alternative.Name, results[0], results[i+1])
			if i < len(bounds) {
				r = r.within(bounds[i])
			}
			rows = append(rows, r)
		}
	}
	three := []budget{{most: 3}}
	compare("Counter.Add on 1 P", "ns", three, add, pinned, increment, atomicAdd, promAdd, otelAdd, otelAddThree)
	all := []measure.Subject{add, pinned, increment, atomicAdd, promAdd, otelAdd, otelAddThree}
	for i := range all {
		all[i].Do = measure.OnAllPs(all[i].Do)
	}
	compare("Counter.Add on all Ps", "ns", three, all...)
	compare("Gauge.Set", "ns", nil, set, measure.Subject{Name: "*p = v", Do: func(n int) {
		for i := range n {
			*store = values[i%len(values)]
		}
	}})
	compare("Histogram.Record", "ns", nil, record,
		measure.Subject{Name: "client_golang, classic buckets", Do: func(n int) {
			for i := range n {
				classic.Observe(values[i%len(values)])
			}
		}},
		measure.Subject{Name: "client_golang, native buckets", Do: func(n int) {
			for i := range n {
				native.Observe(values[i%len(values)])
			}
		}},
		measure.Subject{Name: "OpenTelemetry Go, explicit buckets", Do: func(n int) {
			for i := range n {
				explicit.Record(ctx, values[i%len(values)])
			}
		}},
	)
	return rows, nil
}
