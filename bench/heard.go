package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
	metric "github.com/hotpath-metrics/hotpath/internal/instrument"
	"github.com/hotpath-metrics/hotpath/internal/quota"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/mapping"
)

// eventCounts is what a source of events says of itself.
type eventCounts struct {
	mu            sync.Mutex
	read, dropped int64
	skipped       int64
}

func (c *eventCounts) add(to *int64, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*to += n
}

func (c *eventCounts) EventsRead(n int64)              { c.add(&c.read, n) }
func (c *eventCounts) EventsDropped(_ int, n int64)    { c.add(&c.dropped, n) }
func (c *eventCounts) EventsSkipped(_ string, n int64) { c.add(&c.skipped, n) }
func (c *eventCounts) EventsNearLimit(int64)           {}

// benchHeard times the C client while the Collector listens to its user_events, beside bare system calls. It needs
// a kernel with user_events, and a program that was built for it.
func benchHeard(p plan, program string) (rows []row, err error) {
	const group = "C client, user_events heard"
	cfg := userevents.DefaultConfig()
	cfg.Instance = "hotpath-bench"
	cfg.Events = mapping.Events{{
		Event: "hotpath_bench", Fields: "char[200] payload", Metric: metric.Config{Name: "bench.events", Type: "counter"},
	}}
	counts := &eventCounts{}
	src := userevents.New(cfg, userevents.Limits{
		Processes:    1000,
		Limits:       quota.Limits{Segments: 1000, SegmentsPerUID: 1000, Series: 10_000, SeriesPerUID: 10_000, SeriesPerSegment: 1000},
		PendingBytes: 1 << 20,
	}, zap.NewNop(), counts)
	if err := src.Start(context.Background(), nil); err != nil {
		return nil, fmt.Errorf("start source: %w", err)
	}
	defer func() { err = errors.Join(err, src.Shutdown(context.Background())) }()

	c := &cProgram{path: program, dir: filepath.Dir(program), transport: "user_events"}
	err = c.run(p, 2, func(r *cRun) error {
		times := func(subject string) series { return r.times[timeKey(subject, 1)] }
		for _, s := range []struct{ subject, what string }{
			{"counter_add", "counter add"}, {"gauge_set", "gauge set"}, {"histogram_record", "histogram record"},
		} {
			for _, a := range []struct{ subject, what string }{
				{"write_event", "writev of such an event without the client"},
				{"write_nowhere", "writev of such an event to /dev/null"},
				{"getppid", "getppid"},
			} {
				rows = append(rows, newRow(group, s.what, "ns", times(s.subject)).beside(a.what, times(s.subject), times(a.subject)))
			}
		}
		found := &emittest.Recorder{}
		if err := src.Collect(context.Background(), found); err != nil {
			return err
		}
		rows = append(rows, exact(group, "totals after what was dropped", found, r.totals["bench.adds"], r.totals["bench.values"]))

		counts.mu.Lock()
		defer counts.mu.Unlock()
		all := r.totals["bench.adds"] + r.totals["bench.values"] + r.totals["bench.sets"] + r.totals["bench.events"]
		unaccounted := float64(int64(all) - counts.read - counts.dropped)
		rows = append(rows,
			newRow(group, fmt.Sprintf("neither read nor counted as dropped, of %.1f million", float64(all)/1e6), "events", series{max(unaccounted, -unaccounted)}).
				within(budget{}),
			newRow(group, "read of what was written at full speed", "%", series{100 * float64(counts.read) / float64(all)}),
		)
		return nil
	})
	return rows, err
}
