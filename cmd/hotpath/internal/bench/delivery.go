package bench

import (
	"context"
	"math"
	"runtime"
	"strconv"
	"time"
)

// atShortInterval measures what needs many collections.
func (r *run) atShortInterval(ctx context.Context, languages []string) {
	r.progress.phase("starting collectors that collect each " + shortInterval.String())
	beds := r.open(ctx, func(m *mechanism) bool { return m.collector != "" || m.series != "" }, shortInterval, languages)
	defer func() { r.close(beds) }()
	r.each(ctx, collected(beds), "latency at a short interval", r.parallel, func(b *bed, row *Row) error {
		return r.latency(ctx, b, row, shortInterval, time.Duration(r.samples)*shortInterval*3/2)
	})
	r.each(ctx, collected(beds), "delivery at full speed", false, func(b *bed, row *Row) error { return r.deliver(ctx, b, row) })
	r.each(ctx, beds, "memory of series", false, r.memory)
}

// deliver finds the largest rate at which nothing is lost.
func (r *run) deliver(ctx context.Context, b *bed, row *Row) error {
	client := b.some()[0]
	sent, err := b.burst(client, r.burst)
	if err != nil {
		return err
	}
	d := &Delivery{Sent: sent.n, Arrived: sent.arrived, Dropped: sent.dropped, Speed: sent.rate, Heals: b.dropped != ""}
	d.AnyRate = d.exact() && d.Dropped == 0
	d.LossFree = d.Speed
	if !d.AnyRate {
		d.LossFree, err = r.search(ctx, b, client, d.Speed)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	row.Delivery = d
	return err
}

// search halves the interval in which the rate is, on a scale of ratios.
func (r *run) search(ctx context.Context, b *bed, client string, high float64) (float64, error) {
	low := high / 1024
	found := 0.0
	for range r.steps {
		if err := ctx.Err(); err != nil {
			return found, err
		}
		rate := math.Sqrt(low * high)
		sent, err := b.pace(client, rate, r.burst)
		if err != nil {
			return found, err
		}
		if sent.dropped == 0 && sent.arrived == sent.n {
			found, low = sent.rate, rate
		} else {
			high = rate
		}
	}
	return found, nil
}

// sending is what became of some updates.
type sending struct {
	n, arrived uint64
	dropped    int64
	rate       float64 // a second
}

// burst sends for about as long, at full speed, from all CPUs.
func (b *bed) burst(client string, during time.Duration) (sending, error) {
	const first = 1000
	threads := runtime.NumCPU()
	n := first
	for ; ; n *= 4 {
		took, err := b.workers[client].Do(b.subject, threads, n)
		if err != nil {
			return sending{}, err
		}
		if took.CPU >= during/8 { // another process may have made it last
			n = max(first, int(float64(n)*float64(threads)*float64(during)/float64(took.CPU)))
			break
		}
	}
	return b.send(client, n, func() (time.Duration, error) {
		took, err := b.workers[client].Do(b.subject, threads, n)
		return took.Elapsed, err
	})
}

func (b *bed) pace(client string, rate float64, during time.Duration) (sending, error) {
	n := int(rate * during.Seconds())
	return b.send(client, n, func() (time.Duration, error) {
		took, err := b.workers[client].Pace(b.subject, n, rate)
		return took.Elapsed, err
	})
}

// send has n updates sent, and looks what became of them. Where the next one makes up for those that were lost, there is a next one.
func (b *bed) send(client string, n int, do func() (time.Duration, error)) (sending, error) {
	const quiet = 100 * time.Millisecond // longer than anything is on its way
	before, err := b.settled(client, quiet)
	if err != nil {
		return sending{}, err
	}
	dropped, err := b.droppedSoFar()
	if err != nil {
		return sending{}, err
	}
	took, err := do()
	if err != nil {
		return sending{}, err
	}
	if b.dropped != "" {
		time.Sleep(quiet)
		if _, err := b.workers[client].Do(b.subject, 1, 1); err != nil {
			return sending{}, err
		}
		n++
	}
	after, err := b.settled(client, quiet)
	if err != nil {
		return sending{}, err
	}
	droppedNow, err := b.droppedSoFar()
	return sending{uint64(n), after - before, droppedNow - dropped, float64(n) / took.Seconds()}, err
}

// droppedSoFar is what the kernel says.
func (b *bed) droppedSoFar() (int64, error) {
	if b.dropped == "" {
		return 0, nil
	}
	text, err := b.collector.Ask("own", "own %s", b.dropped)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}
