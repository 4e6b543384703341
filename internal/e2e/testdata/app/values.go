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
	orders(false).Add(7)
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
	lines(func(string) {})
}
