// Package uring is the source that takes messages between rings (IORING_OP_MSG_RING). A client counts in its own memory, connects to
// a socket (listen.go, connection.go), and says which series it has (message.go). The Collector takes the completion queue of a ring of the client's
// (package ring) and reads from it what words have come to (reaper.go). With those it keeps an image of the client's segment
// (image.go), which package segments reads like any other. docs/wire-formats.md has the messages.
package uring

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	receiver "github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
	"github.com/hotpath-metrics/hotpath/internal/source/uring/ring"
)

var errStopped = errors.New("io_uring source is not started")

// source implements the interface of package internal/source.
type source struct {
	cfg    Config
	limits segments.Limits
	logger *zap.Logger
	tel    receiver.SegmentEventTelemetry // images are segments, messages events

	reading sync.WaitGroup
	mu      sync.Mutex // guards all below
	running bool
	started int64 // UNIX nanoseconds
	set     *segments.Set
	hub     *hub // nil while io_uring cannot be used
}

// New returns a source that reads nothing until Start.
func New(cfg Config, limits segments.Limits, logger *zap.Logger, telemetry receiver.SegmentEventTelemetry) receiver.Source {
	return &source{cfg: cfg, limits: limits, logger: receiver.Bounded(logger), tel: telemetry}
}

// Start listens at the socket.
func (s *source) Start(context.Context, component.Host) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = time.Now().UnixNano()
	s.set = segments.New(s.limits, s.logger, s.tel)
	if err := s.enter(); err != nil && !s.cfg.Optional {
		return err
	}
	s.running = true
	return nil
}

func (s *source) enter() error {
	kernel, err := ring.Learn()
	if err != nil {
		return err
	}
	if err := checkRights(); err != nil {
		return err
	}
	mode, err := s.cfg.mode()
	if err != nil {
		return err
	}
	l, err := listen(s.cfg.Socket, mode)
	if err != nil {
		return err
	}
	h, err := newHub(s, kernel, l)
	if err != nil {
		l.close()
		return err
	}
	if ring.Restricted() {
		s.logger.Info("The kernel lets only privileged processes, or those of a group, use io_uring (sysctl kernel.io_uring_disabled); others count elsewhere")
	}
	s.hub = h
	s.reading.Go(h.run)
	return nil
}

// Collect hands over every process, with all that was posted until now.
func (s *source) Collect(ctx context.Context, sink emit.Sink) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running {
		return errStopped
	}
	began := time.Now()
	var err error
	if s.hub == nil {
		err = s.enter()
	}
	if s.hub != nil {
		err = s.hub.listenAnew()
		s.hub.heedAll(began, s.hub.looks())
		s.hub.drainAll(began)
		s.hub.rouse()
		s.hub.sweep()
		s.hub.expire(began)
	}
	s.set.Refresh()
	err = errors.Join(err, s.set.Deliver(ctx, sink, began))
	waiting := s.set.Waiting()
	if s.hub != nil {
		s.hub.sweep()
		s.hub.report()
		waiting += s.hub.unadmitted()
	}
	s.tel.Segments("skipped", int64(waiting))
	return err
}

// Commit says that what the last Collect handed over was accepted.
func (s *source) Commit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set.Commit()
}

// Shutdown lets go of everything. Clients that live connect to the next collector.
func (s *source) Shutdown(context.Context) error {
	s.mu.Lock()
	h := s.hub
	s.running, s.hub = false, nil
	if s.set != nil {
		s.set.Close()
	}
	if h != nil {
		h.stop()
	}
	s.mu.Unlock()
	s.reading.Wait()
	if h != nil {
		h.close()
	}
	return nil
}
