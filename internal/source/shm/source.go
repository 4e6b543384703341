// Package shm reads the segments that clients publish as files in a directory on
// tmpfs. It finds them (discover.go, watch.go), says whose they are (identity.go), waits for their rings to fill (doorbell.go),
// and removes the dead (file.go); package segments reads them. Nothing it holds is needed after a restart: what counts is in the files, and what rings do not hold
// any more in one of its own (journal.go).
package shm

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/segment"
	receiver "github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
)

var errStopped = errors.New("shm source is not started")

// source implements the interface of package internal/source.
type source struct {
	cfg    Config
	limits segments.Limits
	logger *zap.Logger
	tel    receiver.Telemetry
	// observing says that nothing is to be changed: see Observer.
	observing bool

	watching sync.WaitGroup
	ringing  sync.WaitGroup
	mu       sync.Mutex // guards all below: segments are admitted as they appear
	started  bool
	dir      *directory // nil while there is none
	bell     *doorbell  // nil while there is none
	drain    func() (more bool)
	deaf     bool // it was logged that there is no bell

	set     *segments.Set
	skipped map[string]skipped
	waiting map[string]segment.Reason // for room
	crowded bool                      // some wait that are not remembered
	rescan  bool
	// observed are the segments that are held, if observing.
	observed map[*segments.Segment]struct{}
	// unlisted says that the last try to list the directory failed.
	unlisted bool
}

// New returns a source that reads nothing until Start.
func New(cfg Config, limits segments.Limits, logger *zap.Logger, telemetry receiver.Telemetry) receiver.Source {
	s := &source{cfg: cfg, limits: limits, logger: logger, tel: telemetry, set: segments.New(limits, logger, telemetry)}
	s.drain = s.set.DrainRings
	return s
}

// Start opens, locks and watches the directory, and holds every segment in it.
func (s *source) Start(context.Context, component.Host) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skipped, s.waiting = map[string]skipped{}, map[string]segment.Reason{}
	if err := s.enter(); err != nil && !s.cfg.Optional {
		return err
	}
	s.started = true
	return nil
}

// enter opens the directory and admits what is in it.
func (s *source) enter() error {
	d, err := s.open()
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
	if !s.observing {
		s.keepJournal()
	}
	s.scan() // after the watch began, so that nothing appears unseen
	if !s.observing {
		s.hearken()
	}
	return nil
}

func (s *source) open() (*directory, error) {
	if s.observing {
		return observeDirectory(s.cfg.Directory)
	}
	return openDirectory(s.cfg, s.logger)
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
		s.leave()
	}
	if s.dir == nil {
		return s.enter()
	}
	if s.observing {
		return nil
	}
	if !s.dir.locked() {
		if err := s.dir.relock(); err != nil {
			s.hangUp()
			return err
		}
	}
	s.hearken()
	return nil
}

func (s *source) leave() {
	s.hangUp()
	s.dir.leave()
	s.dir = nil
}

// Collect hands over every process.
func (s *source) Collect(ctx context.Context, sink emit.Sink) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.started {
		return errStopped
	}
	began := time.Now()
	s.releaseRemoved()
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
	s.introduce(s.set.Refresh())
	err = errors.Join(err, s.set.Deliver(ctx, sink, began))
	s.tel.Segments("skipped", int64(len(s.skipped)+len(s.waiting)+s.set.Waiting()))
	return err
}

// introduce tells what the segments themselves do not.
func (s *source) introduce(fresh []*segments.Segment) {
	identify(fresh)
	for _, seg := range fresh {
		s.forgetName(seg.Origin.(*file).name)
	}
}

// Commit removes what will never be needed again.
func (s *source) Commit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.observing {
		return // what has ended is there until the Collector removes it
	}
	s.set.FoundAll(len(s.waiting) == 0 && !s.crowded && !s.rescan && !s.unlisted)
	if at := s.set.Commit(); !at.IsZero() && s.dir != nil {
		s.dir.delivered(at)
	}
}

// Shutdown lets go of everything. Segments stay where they are, for the next collector.
func (s *source) Shutdown(context.Context) error {
	s.mu.Lock()
	s.started = false
	s.set.Close()
	if s.dir != nil {
		s.leave()
	}
	s.mu.Unlock()
	s.watching.Wait()
	s.ringing.Wait()
	return nil
}
