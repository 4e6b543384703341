package main

import hotpath "github.com/hotpath-metrics/hotpath/client/go"

// values sets the same values as values.c.
func values() {
	orders := func(paid bool) hotpath.Counter {
		return hotpath.NewCounter("shop.orders", hotpath.WithUnit("{order}"), hotpath.WithDescription("Orders taken"),
			hotpath.WithAttributes(hotpath.String("region", "eu \"west\"é"), hotpath.Int("shard", -5),
				hotpath.Float64("ratio", 0.25), hotpath.Bool("paid", paid)))
	}
	for range 42 {
		orders(true).Add(1_000_000_007)
	}
	orders(false).Add(4)
	orders(true).AddWith(3, hotpath.Bool("paid", false)) // of the same series
	carts := hotpath.NewUpDownCounter("shop.carts", hotpath.WithUnit("{cart}"), hotpath.WithDescription("Carts in use"))
	carts.Add(10)
	carts.Add(-13)
	hotpath.NewGauge("shop.temperature", hotpath.WithUnit("Cel"), hotpath.WithDescription("In the cold store")).Set(-3.25)
	latency := hotpath.NewHistogram("shop.latency", hotpath.WithUnit("s"), hotpath.WithDescription("Time to answer"))
	for range 5 {
		latency.Record(0)
	}
	for i := 1; i <= 1000; i++ {
		latency.Record(float64(i) / 1000)
	}
	record()
	lines(func(string) {})
}

// record counts what only the calls say.
func record() {
	answers := hotpath.NewCounter("shop.answers", hotpath.WithUnit("{answer}"))
	waiting := hotpath.NewUpDownCounter("shop.waiting", hotpath.WithUnit("{request}"))
	load := hotpath.NewGauge("shop.load", hotpath.WithUnit("1"))
	size := hotpath.NewHistogram("shop.size", hotpath.WithUnit("By"))
	for i := range 100 {
		at, more, bytes := hotpath.String("route", "/pay"), int64(3), 4.0
		if i%2 == 1 {
			at, more, bytes = hotpath.String("route", "/cart"), -1, 0
		}
		answers.AddWith(1, at, hotpath.Int("code", 200), hotpath.Float64("ratio", 0.5), hotpath.Bool("cached", true))
		waiting.AddWith(more, at)
		load.SetWith(float64(i), at)
		size.RecordWith(bytes, at)
	}
}
