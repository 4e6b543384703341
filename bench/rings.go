package main

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
	"github.com/hotpath-metrics/hotpath/internal/measure"
	"github.com/hotpath-metrics/hotpath/internal/quota"
	"github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
	"github.com/hotpath-metrics/hotpath/internal/source/shm"
)

// ringCounts is what a source says of measurement rings.
type ringCounts struct {
	source.Ignored
	read, lost atomic.Int64
}

func (c *ringCounts) MeasurementsRead(n int64) { c.read.Add(n) }
func (c *ringCounts) MeasurementsLost(n int64) { c.lost.Add(n) }

// benchRings times measurements with two short string attributes, from the C client to a total in the source.
func benchRings(ctx context.Context, p measure.Plan, temporary string) (rows []row, err error) {
	const (
		group   = "measurement rings"
		subject = "histogram_record_with"
		batch   = 5000 // which fits a ring
	)
	dir := filepath.Join(temporary, "rings.segments")
	c, err := startC(ctx, temporary, "rings", "shm")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := c.time(p, 1, subject, "counter_add", "histogram_record"); err != nil {
		return nil, err
	}
	with := c.times(subject, 1)
	rows = append(rows,
		newRow(group, "histogram record with two attributes of the call", "ns", with).
			beside("histogram record", with, c.times("histogram_record", 1)).within(budget{most: 25}),
		newRow(group, "the same", "ns", with).beside("counter add", with, c.times("counter_add", 1)))

	counts := &ringCounts{}
	cfg := shm.DefaultConfig()
	cfg.Directory = dir
	src := shm.New(cfg, segments.Limits{
		Limits:      quota.Limits{Segments: 10, SegmentsPerUID: 10, Series: 10_000, SeriesPerUID: 10_000, SeriesPerSegment: 10_000},
		SegmentSize: 64 << 20,
	}, zap.NewNop(), counts)
	if err := src.Start(ctx, nil); err != nil {
		return nil, errors.Join(err, src.Shutdown(ctx))
	}
	defer func() { err = errors.Join(err, src.Shutdown(context.Background())) }()
	done := c.done(subject)
	record := func(n int) error {
		_, err := c.Do(subject, 1, n)
		done += uint64(n)
		return err
	}
	collect := func() (time.Duration, error) {
		began := time.Now()
		err := src.Collect(ctx, emittest.Discard{})
		return time.Since(began), err
	}
	if _, err := collect(); err != nil {
		return nil, err
	}

	atAMillion := func(d time.Duration) error {
		next := time.Now()
		for end := next.Add(d); next.Before(end); {
			if err := record(1000); err != nil {
				return err
			}
			if next = next.Add(time.Millisecond); next.Before(time.Now()) {
				next = time.Now() // to catch up would be another rate
			}
			time.Sleep(time.Until(next))
		}
		return nil
	}
	// Within a second the client finds the doorbell, which was not there before.
	if err := atAMillion(2 * time.Second); err != nil {
		return nil, err
	}
	lost := counts.lost.Load()
	if err := atAMillion(3 * time.Second); err != nil {
		return nil, err
	}
	if _, err := collect(); err != nil {
		return nil, err
	}
	rows = append(rows, newRow(group, "lost of 1 million a second, for 3 s", "measurements", measure.Series{float64(counts.lost.Load() - lost)}).within(budget{}))

	var each measure.Series
	for range p.Rounds {
		if err := record(batch); err != nil {
			return nil, err
		}
		full, err := collect()
		if err != nil {
			return nil, err
		}
		empty, err := collect()
		if err != nil {
			return nil, err
		}
		each = append(each, float64(full-empty)/batch)
	}
	rows = append(rows, newRow(group, "draining and aggregating one", "ns", each).within(budget{most: 200}))

	lost = counts.lost.Load()
	const flood = 20_000_000
	if err := record(flood); err != nil {
		return nil, err
	}
	if _, err := collect(); err != nil {
		return nil, err
	}
	unaccounted := int64(done) - counts.read.Load() - counts.lost.Load()
	return append(rows,
		newRow(group, "lost of 20 million at full speed", "%", measure.Series{100 * float64(counts.lost.Load()-lost) / flood}),
		newRow(group, "neither read nor counted as lost", "measurements", measure.Series{float64(max(unaccounted, -unaccounted))}).within(budget{}),
	), nil
}
