// Command counting counts the same whenever it runs, and says so. It then waits for the end of its input, unless it is told not to.
package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"sync"

	hotpath "github.com/hotpath-metrics/hotpath/client/go"
)

func main() {
	all := hotpath.NewCounter("requests", hotpath.WithUnit("{request}"))
	put := hotpath.NewCounter("requests", hotpath.WithUnit("{request}"), hotpath.WithAttributes(hotpath.String("op", "put\x1b[31m"), hotpath.Float64("x", math.Inf(1))))
	open := hotpath.NewUpDownCounter("open")
	load := hotpath.NewGauge("load")
	latency := hotpath.NewHistogram("latency", hotpath.WithUnit("s"))
	put.Add(math.MaxUint64 / 3)
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for i := range 5000 {
				all.Add(1)
				open.Add(-1)
				latency.Record(float64(i) / 1024) // sums of these are exact, in whatever order
			}
		})
	}
	workers.Wait()
	load.Set(0.1)
	fmt.Println("ready")
	if len(os.Args) < 2 {
		_, _ = io.Copy(io.Discard, os.Stdin)
	}
}
