// Package bpf is the source that uses BPF, for two things: the segments that hotpath's clients keep in memfds, and probes (package probe).
//
// BPF programs (segments.bpf.c) tell where there is a segment and when its process ends (load.go, notice.go); the memfd is opened
// through /proc (find.go, list.go, open.go), and what a process counted in its last moments is taken from its memory where that is
// possible (end.go). What becomes of a segment then is package segments'.
package bpf

import (
	"context"
	"errors"

	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	receiver "github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/internal/source/bpf/probe"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
)

// New returns a source that reads nothing until Start.
func New(cfg Config, limits segments.Limits, logger *zap.Logger, telemetry receiver.SegmentEventTelemetry) receiver.Source {
	var all parts
	if cfg.Segments {
		all = append(all, newMemfds(cfg.Optional, limits, logger, telemetry))
	}
	if len(cfg.Probes) > 0 {
		all = append(all, probe.New(cfg.Probes, cfg.Optional, probe.Limits{
			Processes: limits.Segments, Series: limits.Series, SeriesPerUID: limits.SeriesPerUID,
		}, logger, telemetry))
	}
	return all
}

// parts are what the configuration asks for. They implement the interface of package internal/source.
type parts []receiver.Source

// Start starts all, or none.
func (ps parts) Start(ctx context.Context, host component.Host) error {
	for i, p := range ps {
		if err := p.Start(ctx, host); err != nil {
			return errors.Join(err, ps[:i].Shutdown(ctx))
		}
	}
	return nil
}

// Collect hands over every process.
func (ps parts) Collect(ctx context.Context, sink emit.Sink) error {
	var errs []error
	for _, p := range ps {
		errs = append(errs, p.Collect(ctx, sink))
	}
	return errors.Join(errs...)
}

// Commit says that what the last Collect handed over was accepted.
func (ps parts) Commit() {
	for _, p := range ps {
		p.Commit()
	}
}

// Shutdown lets go of everything.
func (ps parts) Shutdown(ctx context.Context) error {
	var errs []error
	for _, p := range ps {
		errs = append(errs, p.Shutdown(ctx))
	}
	return errors.Join(errs...)
}
