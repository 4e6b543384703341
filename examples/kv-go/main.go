// Command kv-go is a toy key-value store under load, instrumented with the
// hotpath package. Clients put requests into a channel; workers serve them from
// a map. Counted are the requests by operation and result, the length of the
// queue, the entries stored and the time each request took.
package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	hotpath "github.com/hotpath-metrics/hotpath/client/go"
)

const (
	workers   = 3
	keys      = 50_000
	perSecond = 10_000
)

// Handles are made once and used from every goroutine.
var (
	putsOK      = requests("put", "ok")
	getsHit     = requests("get", "hit")
	getsMissed  = requests("get", "miss")
	dropped     = hotpath.NewCounter("kv.dropped", hotpath.WithUnit("{request}"), hotpath.WithDescription("Requests dropped because the queue was full"))
	entries     = hotpath.NewUpDownCounter("kv.entries", hotpath.WithUnit("{entry}"), hotpath.WithDescription("Entries stored"))
	queueLength = hotpath.NewGauge("kv.queue.length", hotpath.WithUnit("{request}"), hotpath.WithDescription("Requests waiting"))
	duration    = hotpath.NewHistogram("kv.request.duration", hotpath.WithUnit("s"), hotpath.WithDescription("From arrival to answer"))
)

func requests(operation, result string) hotpath.Counter {
	return hotpath.NewCounter("kv.requests",
		hotpath.WithUnit("{request}"), hotpath.WithDescription("Requests served"),
		hotpath.WithAttributes(hotpath.String("operation", operation), hotpath.String("result", result)))
}

type request struct {
	put     bool
	key     int
	arrived time.Time
}

type store struct {
	mu   sync.Mutex
	keys map[int]struct{}
}

func (s *store) serve(r request) {
	s.mu.Lock()
	_, present := s.keys[r.key]
	switch {
	case r.put && present: // a second put takes the key out again
		delete(s.keys, r.key)
		entries.Add(-1)
		putsOK.Add(1)
	case r.put:
		s.keys[r.key] = struct{}{}
		entries.Add(1)
		putsOK.Add(1)
	case present:
		getsHit.Add(1)
	default:
		getsMissed.Add(1)
	}
	s.mu.Unlock()
	duration.Record(time.Since(r.arrived).Seconds())
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fmt.Printf("kv-go: pid %d: %s\n", os.Getpid(), hotpath.Status())

	queue := make(chan request, 1024)
	s := store{keys: map[int]struct{}{}}
	var serving sync.WaitGroup
	for range workers {
		serving.Go(func() {
			for r := range queue {
				queueLength.Set(float64(len(queue)))
				s.serve(r)
			}
		})
	}
	arrive(ctx, queue)
	close(queue)
	serving.Wait()
}

// arrive sends requests until the context ends.
func arrive(ctx context.Context, queue chan<- request) {
	const ticks = 200
	every := time.NewTicker(time.Second / ticks)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		for range perSecond / ticks {
			select {
			case queue <- request{rand.IntN(10) == 0, rand.IntN(keys), time.Now()}:
			default:
				dropped.Add(1)
			}
		}
	}
}
