// Package userevents reads the tracepoints that processes declare and write by Linux
// user_events. It has a trace instance of its own (package tracefs; trace.go), finds events in it and binds
// them to those who make metrics of them (discover.go, register.go), and reads the buffers of all CPUs (reader.go).
package userevents

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/process"
	receiver "github.com/hotpath-metrics/hotpath/internal/source"
)

var errStopped = errors.New("user_events source is not started")

// source implements the interface of package internal/source.
type source struct {
	cfg    Config
	limits Limits
	logger *zap.Logger
	tel    receiver.EventTelemetry

	reading sync.WaitGroup
	mu      sync.Mutex // guards all below: events are taken as they come
	started bool
	trace   *trace         // nil while user_events cannot be used
	table   *process.Table // as long as the trace
	ingests []ingest
}

// New returns a source that takes nothing until Start.
func New(cfg Config, limits Limits, logger *zap.Logger, telemetry receiver.EventTelemetry) receiver.Source {
	return &source{cfg: cfg, limits: limits, logger: logger, tel: telemetry}
}

// Start makes the trace instance, registers what is known beforehand, and enables what others registered. What is
// written before that is unheard.
func (s *source) Start(context.Context, component.Host) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.enter(); err != nil && !s.cfg.Optional {
		return err
	}
	s.started = true
	return nil
}

// enter opens the trace and begins to read it.
func (s *source) enter() error {
	table, err := process.NewTable(s.limits.Processes)
	if err != nil {
		return fmt.Errorf("tell processes apart: %w", err)
	}
	s.table, s.ingests = table, s.makeIngests(table)
	t, err := openTrace(s.cfg, s.ingests, s.logger, s.tel)
	if err != nil {
		table.Close()
		return err
	}
	s.trace = t
	s.reading.Go(func() { t.run(&s.mu) })
	return nil
}

// Collect takes everything that was written until now, and hands over what has become of it.
func (s *source) Collect(_ context.Context, sink emit.Sink) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.started {
		return errStopped
	}
	if s.trace == nil {
		if err := s.enter(); err != nil {
			return err
		}
	}
	s.table.Sweep() // first, so that the last words of those who have ended are in what is read
	err := s.trace.drainAll()
	s.table.Release()
	err = errors.Join(err, s.trace.countLost())
	for _, in := range s.ingests {
		in.Collect(sink)
	}
	return err
}

// Commit says that what the last Collect handed over was accepted.
func (s *source) Commit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, in := range s.ingests {
		in.Commit()
	}
}

// Shutdown leaves nothing enabled, and nothing registered that nobody else has.
func (s *source) Shutdown(context.Context) error {
	s.mu.Lock()
	s.started = false
	t := s.trace
	s.trace = nil
	s.mu.Unlock()
	if t == nil {
		return nil
	}
	t.poll.Stop()
	s.reading.Wait()
	s.table.Close()
	return t.close()
}
