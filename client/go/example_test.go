package hotpath_test

import (
	"fmt"
	"time"

	"github.com/hotpath-metrics/hotpath/client/go"
)

func Example() {
	hits := hotpath.NewCounter("cache.requests",
		hotpath.WithUnit("{request}"),
		hotpath.WithDescription("Requests by result."),
		hotpath.WithAttributes(hotpath.String("result", "hit")))
	entries := hotpath.NewGauge("cache.entries", hotpath.WithUnit("{entry}"))
	latency := hotpath.NewHistogram("cache.duration", hotpath.WithUnit("s"))

	start := time.Now()
	hits.Add(1)
	entries.Set(128)
	latency.Record(time.Since(start).Seconds())
}

func ExampleNewCounter() {
	requests := hotpath.NewCounter("http.server.requests", hotpath.WithUnit("{request}"))
	again := hotpath.NewCounter("http.server.requests", hotpath.WithUnit("{request}"))
	requests.Add(1)
	again.Add(1)
	fmt.Println(requests == again)
	// Output: true
}

func ExampleNewUpDownCounter() {
	connections := hotpath.NewUpDownCounter("http.server.connections", hotpath.WithUnit("{connection}"))
	connections.Add(1)
	defer connections.Add(-1)
}

func ExampleNewGauge() {
	temperature := hotpath.NewGauge("room.temperature", hotpath.WithUnit("Cel"),
		hotpath.WithAttributes(hotpath.Int("floor", 2), hotpath.Bool("inside", true)))
	temperature.Set(21.5)
}

func ExampleNewHistogram() {
	size := hotpath.NewHistogram("rpc.message.size", hotpath.WithUnit("By"))
	size.Record(512)
}

func ExampleWithAttributes() {
	// Keep one handle for each attribute set: finding a series again costs a thousand adds.
	byCode := map[int64]hotpath.Counter{}
	for _, code := range []int64{200, 404, 500} {
		byCode[code] = hotpath.NewCounter("http.server.responses", hotpath.WithAttributes(hotpath.Int("code", code)))
	}
	byCode[404].Add(1)
}

func ExampleFlush() {
	defer hotpath.Flush() // in main, which nothing runs after
	hotpath.NewCounter("jobs.done").Add(1)
}

func ExampleStatus() {
	refused := hotpath.NewCounter("no blanks, please")
	refused.Add(1) // does nothing, and harms nothing
	_ = hotpath.Status()
}
