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

func ExampleCounter_AddWith() {
	requests := hotpath.NewCounter("http.server.requests", hotpath.WithUnit("{request}"))
	serve := func(route string, status int64) {
		requests.AddWith(1, hotpath.String("http.route", route), hotpath.Int("http.response.status_code", status))
	}
	serve("/v1/items", 200)

	// Of a set that turns out to be hot a handle is made once, and kept. It goes on with the same series.
	health := hotpath.NewCounter("http.server.requests", hotpath.WithUnit("{request}"),
		hotpath.WithAttributes(hotpath.String("http.route", "/healthz"), hotpath.Int("http.response.status_code", 200)))
	health.Add(1)
}

func ExampleHistogram_RecordWith() {
	duration := hotpath.NewHistogram("db.duration", hotpath.WithUnit("s"))
	start := time.Now()
	table := "accounts" // as the query says
	duration.RecordWith(time.Since(start).Seconds(), hotpath.String("db.collection.name", table))
}

func ExampleGauge_SetWith() {
	depth := hotpath.NewGauge("queue.depth", hotpath.WithUnit("{message}"))
	for queue, n := range map[string]int{"orders": 3, "mails": 0} {
		depth.SetWith(float64(n), hotpath.String("queue", queue))
	}
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
