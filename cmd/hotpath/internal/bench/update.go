package bench

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/hotpath-metrics/hotpath/internal/measure"
	"github.com/hotpath-metrics/hotpath/internal/measure/worker"
)

// beside measures what updates cost processes and collectors that do their usual work, all mechanisms beside each other.
func (r *run) beside(ctx context.Context, languages []string) {
	r.progress.phase("starting collectors and clients")
	beds := r.open(ctx, func(*mechanism) bool { return true }, pacedInterval, languages)
	defer func() { r.close(beds) }()
	r.time(beds)
	r.each(ctx, beds, "system calls", false, r.countSyscalls)
	r.each(ctx, collected(beds), "the collector's CPU time", r.parallel, r.collectorCPU)
}

func collected(beds []*bed) []*bed {
	return slices.DeleteFunc(slices.Clone(beds), func(b *bed) bool { return b.collector == nil })
}

// time times updates in turn, by one thread and by one for each CPU.
func (r *run) time(beds []*bed) {
	type timed struct {
		*worker.Timing
		client  string
		threads int
		row     *Row
	}
	var all []timed
	for _, threads := range slices.Compact([]int{1, runtime.NumCPU()}) {
		for _, b := range beds {
			for _, client := range b.some() {
				t := &worker.Timing{Process: b.workers[client], Subject: b.subject, Threads: threads}
				all = append(all, timed{t, client, threads, r.result.row(b.name)})
			}
		}
	}
	timings := make([]*worker.Timing, len(all))
	for i, t := range all {
		timings[i] = t.Timing
	}
	r.progress.phase("timing updates in turn")
	worker.InTurn(r.timing, timings, func(part float64) { r.progress.part("timing updates in turn", part) })

	yard := func(client string) measure.Series {
		for _, t := range all {
			if t.row.Name == yardstick && t.client == client && t.threads == 1 && t.Err == nil {
				return t.Times
			}
		}
		return nil
	}
	for _, t := range all {
		if t.Err != nil {
			t.row.fail(fmt.Sprintf("time it in %s by %d threads", t.client, t.threads), t.Err)
			continue
		}
		c, cost := t.row.Clients[t.client], newCost(t.Times, yard(t.client))
		if t.threads == 1 {
			c.One = cost
		} else {
			c.All = cost
		}
	}
}

func (r *run) countSyscalls(b *bed, row *Row) error {
	for _, client := range b.some() {
		calls, err := b.workers[client].Syscalls(b.subject, r.traced)
		if err != nil {
			row.Clients[client].NotCounted = oneLine(err)
			continue
		}
		row.Clients[client].Syscalls = &calls
	}
	return nil
}

// collectorCPU is what the collector takes for an update, of those that come at a steady rate.
func (r *run) collectorCPU(b *bed, row *Row) error {
	client := b.some()[0]
	before, err := b.cpu()
	if err != nil {
		return err
	}
	n := int(pacedRate * r.paced.Seconds())
	took, err := b.workers[client].Pace(b.subject, n, pacedRate)
	if err != nil {
		return err
	}
	after, err := b.cpu()
	if err != nil {
		return err
	}
	each := float64(after-before) / float64(n)
	r.mu.Lock()
	defer r.mu.Unlock()
	row.CollectorCPU, row.UpdateRate = &each, float64(n)/took.Elapsed.Seconds()
	return nil
}

func (b *bed) cpu() (time.Duration, error) {
	text, err := b.collector.Ask("cpu", "cpu")
	if err != nil {
		return 0, err
	}
	ns, err := strconv.ParseInt(text, 10, 64)
	return time.Duration(ns), err
}
