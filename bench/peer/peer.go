// Package peer is what counters of Go programs are measured beside.
package peer

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
)

// Words are memory of which each caller takes a word that is 512 bytes from any other's.
type Words struct {
	words  []uint64
	owners atomic.Uint32
}

const callers, apart = 1024, 64

// NewWords makes memory for 1024 callers.
func NewWords() *Words { return &Words{words: make([]uint64, callers*apart)} }

// Own is the next caller's word.
func (w *Words) Own() *uint64 { return &w.words[w.owners.Add(1)%callers*apart] }

// Increment adds to memory of the caller's own, as nothing can be faster.
func Increment() func(n int) {
	words := NewWords()
	return func(n int) {
		word := words.Own()
		for range n {
			*word++
		}
	}
}

// AtomicAdd adds to one word that all share.
func AtomicAdd() func(n int) {
	shared := new(uint64)
	return func(n int) {
		for range n {
			atomic.AddUint64(shared, 1)
		}
	}
}

// ClientGolang is a counter of Prometheus's client.
func ClientGolang() func(n int) {
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "adds", Help: "Adds"})
	return func(n int) {
		for range n {
			counter.Inc()
		}
	}
}

// ClientGolangSeries makes series of a counter, and counts with each. What is returned holds them.
func ClientGolangSeries(n int) any {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "shards", Help: "Shards"}, []string{"shard"})
	for i := range n {
		vec.WithLabelValues(strconv.Itoa(i)).Inc()
	}
	return vec
}

// NewMeter is OpenTelemetry's, with nobody to read it.
func NewMeter() metric.Meter {
	return sdk.NewMeterProvider(sdk.WithReader(sdk.NewManualReader()), sdk.WithCardinalityLimit(0)).Meter("bench")
}

// Three is a set of attributes, made beforehand, which is the SDK's fast way.
func Three() metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attribute.String("method", "GET"), attribute.Int("status", 200), attribute.Bool("cached", true)))
}

// OpenTelemetry is a counter of OpenTelemetry's SDK, used with these options.
func OpenTelemetry(options ...metric.AddOption) (func(n int), error) {
	counter, err := NewMeter().Int64Counter("adds")
	if err != nil {
		return nil, fmt.Errorf("make OpenTelemetry counter: %w", err)
	}
	ctx := context.Background()
	return func(n int) {
		for range n {
			counter.Add(ctx, 1, options...)
		}
	}, nil
}

// OpenTelemetrySeries makes series of a counter, and counts with each. What is returned holds them.
func OpenTelemetrySeries(n int) (any, error) {
	counter, err := NewMeter().Int64Counter("shards")
	if err != nil {
		return nil, fmt.Errorf("make OpenTelemetry counter: %w", err)
	}
	for i := range n {
		counter.Add(context.Background(), 1, metric.WithAttributes(attribute.Int("shard", i)))
	}
	return counter, nil
}
