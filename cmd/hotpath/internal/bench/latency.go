package bench

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/hotpath-metrics/hotpath/internal/measure"
)

// atInterval measures latency at the interval that is configured, of all mechanisms at once, since they mostly wait.
func (r *run) atInterval(ctx context.Context, languages []string) {
	what := "latency, collecting each " + r.interval.String()
	r.progress.phase(what)
	if ctx.Err() != nil {
		return
	}
	beds := r.open(ctx, func(m *mechanism) bool { return m.collector == receiverKind }, r.interval, languages[:1])
	defer func() { r.close(beds) }()
	r.each(ctx, beds, what, true, func(b *bed, row *Row) error { return r.latency(ctx, b, row, r.interval, r.watched) })
}

// latency makes single updates, at any time between collections, and looks when each came to the consumer.
func (r *run) latency(ctx context.Context, b *bed, row *Row, interval, during time.Duration) error {
	client := b.some()[0]
	updates := max(4, min(r.samples, int(during/interval)*20))
	before, err := b.settled(client, min(interval/4+shortInterval, patience))
	if err != nil {
		return err
	}
	var began []time.Duration
	for range updates {
		took, err := b.workers[client].Do(b.subject, 1, 1)
		if err != nil {
			return err
		}
		began = append(began, took.Began)
		wait := time.Duration((0.5 + rand.Float64()) * float64(during) / float64(updates))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
	if _, err := b.await(client, before+uint64(updates), interval+patience); err != nil {
		return err
	}
	text, err := b.collector.Ask("arrivals", "arrivals %s", b.place.seriesName(b.mechanism, client))
	if err != nil {
		return err
	}
	var came []arrival
	if err := json.Unmarshal([]byte(text), &came); err != nil {
		return err
	}
	times := latencies(before, began, came)
	if len(times) == 0 {
		return errors.New("no update arrived in time")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	row.Latencies = append(row.Latencies, Latency{Interval: interval.Seconds(), Updates: len(times), Median: times.Median(), P99: times.Quantile(0.99)})
	return nil
}

// latencies are ms from each update to the first total that has it.
func latencies(before uint64, began []time.Duration, came []arrival) measure.Series {
	var times measure.Series
	for i, at := range began {
		for _, a := range came {
			if a.Total >= before+uint64(i)+1 {
				times = append(times, float64(a.At-at)/1e6)
				break
			}
		}
	}
	return times
}
