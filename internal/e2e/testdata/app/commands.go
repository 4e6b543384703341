package main

import (
	"fmt"

	hotpath "github.com/hotpath-metrics/hotpath/client/go"
)

// commands does what its input says, as commands.c does.
func commands() {
	done := hotpath.NewCounter("job.done", hotpath.WithUnit("{job}"), hotpath.WithAttributes(hotpath.String("who", "go")))
	open := hotpath.NewUpDownCounter("job.open", hotpath.WithUnit("{job}"))
	level := hotpath.NewGauge("job.level", hotpath.WithUnit("1"))
	size := hotpath.NewHistogram("job.size", hotpath.WithUnit("By"))
	lines(func(line string) {
		var verb string
		var value float64
		answer := 0
		_, _ = fmt.Sscan(line, &verb, &value)
		switch verb {
		case "add":
			done.Add(uint64(value))
		case "with": // to the same series
			done.AddWith(uint64(value), hotpath.String("who", "go"))
		case "code":
			done.AddWith(1, hotpath.Int("code", int64(value)))
		case "open":
			open.Add(int64(value))
		case "set":
			level.Set(value)
		case "record":
			size.Record(value)
		case "repeat":
			for range uint64(value) {
				done.Add(1)
			}
		default:
			answer = -1
		}
		fmt.Println(answer)
	})
}
