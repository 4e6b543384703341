package main

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
	"github.com/hotpath-metrics/hotpath/internal/measure"
	"github.com/hotpath-metrics/hotpath/internal/quota"
	"github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
	"github.com/hotpath-metrics/hotpath/internal/source/shm"
)

// openSource starts the receiver's source on a directory, with the receiver's limits.
func openSource(dir string) (source.Source, error) {
	cfg := shm.DefaultConfig()
	cfg.Directory = dir
	src := shm.New(cfg, segments.Limits{
		Limits:      quota.Limits{Segments: 16384, SegmentsPerUID: 8192, Series: 1_000_000, SeriesPerUID: 500_000, SeriesPerSegment: 20_000},
		SegmentSize: 64 << 20,
	}, zap.NewNop(), source.Ignored{})
	if err := src.Start(context.Background(), nil); err != nil {
		return nil, errors.Join(fmt.Errorf("start source: %w", err), src.Shutdown(context.Background()))
	}
	return src, nil
}

// collect reads a directory once.
func collect(dir string) (*emittest.Recorder, error) {
	src, err := openSource(dir)
	if err != nil {
		return nil, err
	}
	var all emittest.Recorder
	err = src.Collect(context.Background(), &all)
	return &all, errors.Join(err, src.Shutdown(context.Background()))
}

// exact is the row that says whether a collector finds every add and record.
func exact(group, what string, found *emittest.Recorder, adds, records uint64) row {
	got := found.Total("bench.adds")
	missing := int64(adds) - int64(got)
	for _, p := range found.Processes {
		records -= p.Histograms["bench.values"].Count
	}
	missing += int64(records)
	r := newRow(group, fmt.Sprintf("%s: lost or invented, of %.0f million", what, float64(adds)/1e6), "adds", measure.Series{float64(max(missing, -missing))})
	return r.within(budget{most: 0})
}
