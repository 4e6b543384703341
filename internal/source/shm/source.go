// Package shm reads the segments that clients publish as files in a directory on
// tmpfs. It finds them (discover.go, watch.go), reads each (reader.go), and merges those of
// one process (process.go, life.go). Nothing it holds is needed after a restart:
// what counts is in the files.
package shm

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/merge"
	"github.com/hotpath-metrics/hotpath/internal/segment"
	receiver "github.com/hotpath-metrics/hotpath/internal/source"
)

var errStopped = errors.New("shm source is not started")

type owner struct{ segments, series int }

// source implements the interface of package internal/source.
type source struct {
	cfg    Config
	limits Limits
	logger *zap.Logger
	tel    receiver.Telemetry

	watching sync.WaitGroup
	mu       sync.Mutex // guards all below: segments are admitted as they appear
	started  bool
	dir      *directory // nil while there is none

	readers map[fileKey]*reader // those that are open
	ids     map[segmentKey]*reader
	owners  map[uint32]owner
	series  int
	fresh   []*reader // in no process yet

	processes []*process // in the order of appearance
	byKey     map[processKey]*process
	lates     map[processKey]*process

	skipped map[string]skipped
	waiting map[string]segment.Reason // for room
	crowded bool                      // some wait that are not remembered
	rescan  bool
	// unlisted says that the last try to list the directory failed.
	unlisted bool

	retired      map[segmentKey]struct{}
	retiredOrder []segmentKey
	retiredNext  int

	collected time.Time // when the last collection began; zero after Commit
	buffers   *buffers
	scratch   merge.Scratch
}

// New returns a source that reads nothing until Start.
func New(cfg Config, limits Limits, logger *zap.Logger, telemetry receiver.Telemetry) receiver.Source {
	return &source{cfg: cfg, limits: limits, logger: logger, tel: telemetry}
}

// Start opens, locks and watches the directory, and holds every segment in it.
func (s *source) Start(context.Context, component.Host) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readers, s.ids, s.owners = map[fileKey]*reader{}, map[segmentKey]*reader{}, map[uint32]owner{}
	s.byKey, s.lates = map[processKey]*process{}, map[processKey]*process{}
	s.skipped, s.waiting = map[string]skipped{}, map[string]segment.Reason{}
	s.retired = map[segmentKey]struct{}{}
	s.buffers = newBuffers()
	if err := s.enter(); err != nil {
		if !s.cfg.Optional {
			return err
		}
		s.logger.Warn("Going on without the segment directory; it is tried again at each collection", zap.Error(err))
	}
	s.started = true
	return nil
}

// enter opens the directory and admits what is in it.
func (s *source) enter() error {
	d, err := openDirectory(s.cfg, s.logger)
	if err != nil {
		return err
	}
	s.dir = d
	clear(s.skipped)
	clear(s.waiting)
	w, err := newWatch(d)
	if err != nil {
		s.logger.Warn("Cannot watch the segment directory; it is listed at each collection instead", zap.Error(err))
	} else {
		d.watch = w
		s.watching.Go(func() { w.run(func(events []event) { s.notice(d, events) }) })
	}
	s.scan() // after the watch began, so that nothing appears unseen
	return nil
}

// notice admits what appeared in d.
func (s *source) notice(d *directory, events []event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir != d {
		return
	}
	for _, e := range events {
		if e.lost {
			s.rescan = true // at the next collection, so that a flood of names costs no more than that
			continue
		}
		s.admit(e.name)
	}
}

// settle makes sure that the directory is still the one at the path, and this collector's.
func (s *source) settle() error {
	if s.dir != nil && !s.dir.current() {
		s.logger.Warn("The segment directory was removed or replaced", zap.String("directory", s.cfg.Directory))
		s.dir.leave()
		s.dir = nil
	}
	if s.dir == nil {
		return s.enter()
	}
	if s.dir.locked() {
		return nil
	}
	return s.dir.relock()
}

// Collect hands over every process.
func (s *source) Collect(ctx context.Context, sink emit.Sink) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.started {
		return errStopped
	}
	began := time.Now()
	err := s.settle()
	if s.dir != nil {
		if err != nil {
			return err // another collector has taken over
		}
		if s.rescan || s.dir.watch == nil {
			s.scan()
		}
		s.recheck()
		s.retry()
	}
	s.collected = began
	s.refresh()
	s.attach()
	return errors.Join(err, s.deliver(ctx, sink))
}

// Commit removes what will never be needed again.
func (s *source) Commit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.collected.IsZero() {
		return
	}
	kept := s.processes[:0]
	for _, p := range s.processes {
		if s.commit(p) {
			s.forget(p)
		} else {
			kept = append(kept, p)
		}
	}
	clear(s.processes[len(kept):])
	s.processes = kept
	if s.dir != nil {
		s.dir.delivered(s.collected)
	}
	s.collected = time.Time{}
}

// Shutdown lets go of everything. Segments stay where they are, for the next collector.
func (s *source) Shutdown(context.Context) error {
	s.mu.Lock()
	s.started = false
	for _, r := range s.readers {
		r.close()
	}
	clear(s.readers)
	s.processes, s.fresh = nil, nil
	if s.dir != nil {
		s.dir.leave()
		s.dir = nil
	}
	s.mu.Unlock()
	s.watching.Wait()
	return nil
}
