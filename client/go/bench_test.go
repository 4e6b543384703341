//go:build linux && (amd64 || arm64)

package hotpath

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"
)

var word uint64

func BenchmarkBareIncrement(b *testing.B) {
	for b.Loop() {
		word++
	}
}

func BenchmarkAtomicAdd(b *testing.B) {
	for b.Loop() {
		atomic.AddUint64(&word, 1)
	}
}

func BenchmarkAtomicAddParallel(b *testing.B) {
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			atomic.AddUint64(&word, 1)
		}
	})
}

// BenchmarkPin is what no measurement can be faster than.
func BenchmarkPin(b *testing.B) {
	for b.Loop() {
		procPin()
		procUnpin()
	}
}

func BenchmarkCounterAdd(b *testing.B) {
	c := NewCounter("bench.counter")
	for b.Loop() {
		c.Add(1)
	}
}

func BenchmarkCounterAddParallel(b *testing.B) {
	c := NewCounter("bench.counter")
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.Add(1)
		}
	})
}

func BenchmarkUpDownCounterAdd(b *testing.B) {
	c := NewUpDownCounter("bench.updowncounter")
	for b.Loop() {
		c.Add(-1)
	}
}

func BenchmarkGaugeSet(b *testing.B) {
	g := NewGauge("bench.gauge")
	for b.Loop() {
		g.Set(1.5)
	}
}

func BenchmarkHistogramRecord(b *testing.B) {
	h := NewHistogram("bench.histogram")
	values := make([]float64, 1024)
	for i := range values {
		values[i] = rand.ExpFloat64()
	}
	i := 0
	for b.Loop() {
		h.Record(values[i&1023])
		i++
	}
}

func BenchmarkHistogramRecordParallel(b *testing.B) {
	h := NewHistogram("bench.histogram")
	b.RunParallel(func(pb *testing.PB) {
		value := 0.001
		for pb.Next() {
			h.Record(value)
			value += 0.001
		}
	})
}

func BenchmarkNewCounterAgain(b *testing.B) {
	for b.Loop() {
		NewCounter("bench.counter", WithAttributes(String("route", "/"), Int("code", 200)))
	}
}
