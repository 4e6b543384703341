package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/measure"
	"github.com/hotpath-metrics/hotpath/internal/measure/worker"
	"github.com/hotpath-metrics/hotpath/internal/quota"
	"github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
	"github.com/hotpath-metrics/hotpath/internal/source/uring"
)

// benchURing times the C client while it tells a Collector by io_uring, beside a request that does nothing.
func (r *report) benchURing(ctx context.Context, p measure.Plan, temporary string) (rows []row, err error) {
	const group = "C client, io_uring"
	cfg := uring.DefaultConfig()
	cfg.Socket = fmt.Sprintf("@hotpath-bench-%d", os.Getpid())
	cfg.CQEntries = 1 << 15 // a client that finds the queue full tells nothing, and that costs less
	src := uring.New(cfg, segments.Limits{
		Limits:      quota.Limits{Segments: 1000, SegmentsPerUID: 1000, Series: 10_000, SeriesPerUID: 10_000, SeriesPerSegment: 1000},
		SegmentSize: 1 << 30,
	}, zap.NewNop(), source.Ignored{})
	if err := src.Start(ctx, nil); err != nil {
		r.Notes = append(r.Notes, fmt.Sprintf("io_uring was not measured: %v.", err))
		return nil, src.Shutdown(ctx)
	}
	defer func() { err = errors.Join(err, src.Shutdown(context.Background())) }()
	path, err := worker.Build(temporary, "uring")
	if err != nil {
		return nil, err
	}

	clients := map[string]*cClient{}
	defer func() {
		for _, c := range clients {
			err = errors.Join(err, c.Close())
		}
	}()
	start := func(how string, env ...string) error {
		c, err := startBuilt(ctx, path, filepath.Join(temporary, "uring.segments"), "io_uring",
			append(env, "HOTPATH_SOCKET="+cfg.Socket, "HOTPATH_URING_DELAY=3600000000")...)
		clients[how] = c
		return err
	}
	const never = "HOTPATH_URING_BATCH=4000000000"
	err = errors.Join(start("single", "HOTPATH_URING_BATCH=1"), start("batch", "HOTPATH_URING_BATCH=64"), start("never", never),
		start("polled", "HOTPATH_URING_BATCH=64", "HOTPATH_URING_SQPOLL=1"))
	if err != nil {
		return nil, err
	}
	var timings []*worker.Timing
	timing := func(how, subject string) *worker.Timing {
		t := &worker.Timing{Process: clients[how].Process, Subject: subject, Threads: 1}
		timings = append(timings, t)
		return t
	}
	nop, single, batch := timing("single", "ring_nop"), timing("single", "many_add"), timing("batch", "many_add")
	polled, counted := timing("polled", "burst_add"), timing("never", "burst_add")
	worker.InTurn(p, timings, func(float64) {})
	for _, t := range timings {
		if t.Err != nil {
			return nil, t.Err
		}
	}
	return []row{
		newRow(group, "update that is told by itself", "ns", single.Times).
			beside("io_uring_enter of a request that does nothing", single.Times, nop.Times).within(budget{most: 1.3, ofRatio: true}),
		newRow(group, "update in a batch of 64, each of another series", "ns", batch.Times).
			beside("one that is told by itself", batch.Times, single.Times).within(budget{most: 0.6, ofRatio: true}),
		newRow(group, "posting by a kernel thread (SQPOLL), in bursts", "ns", polled.Times.Minus(counted.Times)).within(budget{most: 20}),
	}, nil
}
