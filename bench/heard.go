package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
	metric "github.com/hotpath-metrics/hotpath/internal/instrument"
	"github.com/hotpath-metrics/hotpath/internal/measure"
	"github.com/hotpath-metrics/hotpath/internal/quota"
	"github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/mapping"
)

// eventCounts is what a source of events says of itself.
type eventCounts struct {
	source.Ignored
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

// benchHeard times the C client while the Collector listens to its user_events, beside bare system calls. It needs
// a kernel with user_events, and a program that was built for it.
func benchHeard(p measure.Plan, program string) (rows []row, err error) {
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

	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	c, err := startBuilt(ctx, program, filepath.Dir(program), "user_events")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := c.time(p, 1, "counter_add", "gauge_set", "histogram_record", "write_event", "write_nowhere", "getppid"); err != nil {
		return nil, err
	}
	for _, s := range []struct{ subject, what string }{
		{"counter_add", "counter add"}, {"gauge_set", "gauge set"}, {"histogram_record", "histogram record"},
	} {
		for _, a := range []struct{ subject, what string }{
			{"write_event", "writev of such an event without the client"},
			{"write_nowhere", "writev of such an event to /dev/null"},
			{"getppid", "getppid"},
		} {
			rows = append(rows, newRow(group, s.what, "ns", c.times(s.subject, 1)).beside(a.what, c.times(s.subject, 1), c.times(a.subject, 1)))
		}
		// The last update makes up for those that were dropped, once there is room again.
		time.Sleep(300 * time.Millisecond)
		if _, err := c.Do(s.subject, 1, 1); err != nil {
			return nil, err
		}
		c.timings[timeKey(s.subject, 1)].Done++
	}
	found := &emittest.Recorder{}
	if err := src.Collect(ctx, found); err != nil {
		return nil, err
	}
	rows = append(rows, exact(group, "totals after what was dropped", found, c.done("counter_add"), c.done("histogram_record")))

	counts.mu.Lock()
	defer counts.mu.Unlock()
	all := c.done("counter_add") + c.done("histogram_record") + c.done("gauge_set") + c.done("write_event")
	unaccounted := float64(int64(all) - counts.read - counts.dropped)
	rows = append(rows,
		newRow(group, fmt.Sprintf("neither read nor counted as dropped, of %.1f million", float64(all)/1e6), "events", measure.Series{max(unaccounted, -unaccounted)}).
			within(budget{}),
		newRow(group, "read of what was written at full speed", "%", measure.Series{100 * float64(counts.read) / float64(all)}),
	)
	return rows, nil
}
