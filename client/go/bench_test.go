//go:build linux && (amd64 || arm64)

package hotpath

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/userevent"
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

// BenchmarkPlaces is to cost the same in each: shm, and a memfd.
func BenchmarkPlaces(b *testing.B) {
	for name, environment := range map[string]map[string]string{"shm": in(directoryOnTmpfs(b)), "bpf": asMemfd} {
		b.Run(name, func(b *testing.B) { benchmarkUpdates(b, fresh(environment)) })
	}
}

// BenchmarkAddWith is what a measurement costs whose attributes are known only at the call.
func BenchmarkAddWith(b *testing.B) {
	c := NewCounter("bench.with")
	method, route, code := "GET", "/v1/items", int64(200)
	b.Run("two strings", func(b *testing.B) {
		for b.Loop() {
			c.AddWith(1, String("http.method", method), String("http.route", route))
		}
	})
	b.Run("one integer", func(b *testing.B) {
		for b.Loop() {
			c.AddWith(1, Int("code", code))
		}
	})
	b.Run("six", func(b *testing.B) {
		for b.Loop() {
			c.AddWith(1, String("http.method", method), String("http.route", route), String("net.host", "a.example.org"), Int("code", code), Bool("tls", true), Float64("load", 0.5))
		}
	})
}

func BenchmarkSetWith(b *testing.B) {
	g := NewGauge("bench.gauge.with")
	for b.Loop() {
		g.SetWith(1.5, String("room", "kitchen"), Int("floor", 2))
	}
}

func BenchmarkRecordWith(b *testing.B) {
	h := NewHistogram("bench.histogram.with")
	for b.Loop() {
		h.RecordWith(1.5, String("room", "kitchen"), Int("floor", 2))
	}
}

func BenchmarkAddWithParallel(b *testing.B) {
	c := NewCounter("bench.with")
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.AddWith(1, String("http.method", "GET"), String("http.route", "/v1/items"))
		}
	})
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

func benchmarkUpdates(b *testing.B, c *client) {
	counter, gauge, histogram := c.counter("bench.counter"), c.gauge("bench.gauge"), c.histogram("bench.histogram")
	for i := range 64 {
		histogram.Record(float64(i) / 8)
	}
	b.Run("counter", func(b *testing.B) {
		for b.Loop() {
			counter.Add(1)
		}
	})
	b.Run("gauge", func(b *testing.B) {
		for b.Loop() {
			gauge.Set(1.5)
		}
	})
	b.Run("histogram", func(b *testing.B) {
		for b.Loop() {
			histogram.Record(1.5)
		}
	})
}

// BenchmarkNobodyListens is to cost what counting in shared memory does.
func BenchmarkNobodyListens(b *testing.B) {
	benchmarkUpdates(b, writing(b, devNull(b), nil))
}

// BenchmarkSomebodyListens shows what a client does for an update beside the kernel.
func BenchmarkSomebodyListens(b *testing.B) {
	c := writing(b, devNull(b), nil)
	c.listen(true)
	benchmarkUpdates(b, c)
}

// BenchmarkWritev is what no update can be faster than.
func BenchmarkWritev(b *testing.B) {
	d, err := newDescriptor(devNull(b))
	if err != nil {
		b.Fatal(err)
	}
	var head [userevent.IndexSize + userevent.HeaderSize]byte
	record, resource := make([]byte, 64), make([]byte, 128)
	for b.Loop() {
		if errno := d.write(&head, record, resource, nil); errno != 0 {
			b.Fatal(errno)
		}
	}
}

func devNull(b *testing.B) int {
	fd, err := unix.Open("/dev/null", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { unix.Close(fd) })
	return fd
}
