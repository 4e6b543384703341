package bpf

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cilium/ebpf/ringbuf"
	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	processes "github.com/hotpath-metrics/hotpath/internal/process"
	receiver "github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
)

var errStopped = errors.New("bpf source is not started")

// source reads the segments that hotpath's clients keep in memfds. It implements the interface of package internal/source.
type source struct {
	optional bool
	limits   segments.Limits
	logger   *zap.Logger
	tel      receiver.SegmentEventTelemetry // notices that the kernel had no room for are events

	reading sync.WaitGroup
	mu      sync.Mutex // guards all below: segments are admitted as they are announced
	running bool
	loaded  *programs // nil while BPF cannot be used
	device  uint64    // of memfds
	started int64     // UNIX nanoseconds
	set     *segments.Set

	processes map[uint32][]*segments.Segment // by pid
	refused   map[segments.Key]refusal
	copies    map[uint32][]*copied // by pid
	copying   int                  // pages of all copies
	// Announcements that were followed up since the last collection, in all and by pid, and bytes of /proc/PID/maps read for them.
	lookups   int
	asked     map[uint32]int
	maps      int64
	forbidden bool
	lost      []uint64

	draining bool          // somebody reads rings between collections
	quit     chan struct{} // closed at the end

	listed, mapped time.Time // when descriptors and mappings were last looked through
}

func newMemfds(optional bool, limits segments.Limits, logger *zap.Logger, telemetry receiver.SegmentEventTelemetry) *source {
	return &source{optional: optional, limits: limits, logger: receiver.Bounded(logger), tel: telemetry}
}

// Start loads the programs and finds the segments that are there already.
func (s *source) Start(context.Context, component.Host) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = time.Now().UnixNano()
	s.set = segments.New(s.limits, s.logger, s.tel)
	s.processes, s.refused, s.copies = map[uint32][]*segments.Segment{}, map[segments.Key]refusal{}, map[uint32][]*copied{}
	s.asked, s.draining, s.quit = map[uint32]int{}, false, make(chan struct{})
	if err := s.enter(); err != nil && !s.optional {
		return err
	}
	s.running = true
	return nil
}

func (s *source) enter() error {
	device, p, err := begin()
	if err != nil {
		return err
	}
	if !p.exact {
		s.logger.Info(inexact)
	}
	s.loaded, s.device, s.lost = p, device, nil
	s.reading.Go(func() { s.listen(p) })
	s.listed, s.mapped = time.Time{}, time.Time{}
	s.look() // after the programs run, so that nothing appears unseen
	return nil
}

// inexact is worth a word where [programs.exact] is false.
const inexact = "Processes that end within a millisecond or so of their first count are lost: this kernel gives their memory up too early (before Linux 6.16)"

// begin has the kernel run the programs. It also returns the device that memfds are on.
func begin() (device uint64, p *programs, err error) {
	if err := processes.CheckNamespace(); err != nil {
		return 0, nil, fmt.Errorf("find processes: %w", err)
	}
	if device, err = memfdDevice(); err != nil {
		return 0, nil, err
	}
	p, err = load(device)
	return device, p, err
}

// listen takes notices until the programs are closed.
func (s *source) listen(p *programs) {
	var record ringbuf.Record
	for {
		if err := p.notices.ReadInto(&record); errors.Is(err, ringbuf.ErrClosed) {
			return
		} else if err != nil {
			s.logger.Warn("Cannot read a notice", zap.Error(err))
			continue
		}
		n, err := parseNotice(record.RawSample)
		if err != nil {
			s.logger.Warn("Cannot read a notice", zap.Error(err))
			continue
		}
		s.mu.Lock()
		if s.loaded == p {
			s.heed(n)
		}
		s.mu.Unlock()
	}
}

func (s *source) heed(n notice) {
	switch n.kind {
	case noticeAnnounced:
		s.announced(n)
	case noticePage:
		s.keepPage(n)
	case noticeEnded:
		s.ended(n)
	}
}

// Collect hands over every process.
func (s *source) Collect(ctx context.Context, sink emit.Sink) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running {
		return errStopped
	}
	began := time.Now()
	var err error
	if s.loaded == nil {
		err = s.enter()
	}
	if s.loaded != nil {
		s.lookups, s.maps = 0, 0
		clear(s.asked)
		s.countLost()
		s.endLost()
		s.look()
	}
	s.set.Refresh()
	err = errors.Join(err, s.set.Deliver(ctx, sink, began))
	s.keepDraining()
	s.tel.Segments("skipped", int64(len(s.refused)+s.set.Waiting()))
	return err
}

// Commit says that what the last Collect handed over was accepted.
func (s *source) Commit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set.Commit()
}

// Shutdown lets go of everything. What lives is found again by the next collector.
func (s *source) Shutdown(context.Context) error {
	s.mu.Lock()
	p := s.loaded
	if s.running {
		close(s.quit)
	}
	s.running, s.loaded = false, nil
	if s.set != nil {
		s.set.Close()
	}
	for _, copies := range s.copies {
		for _, c := range copies {
			c.close()
			s.copying -= c.pages
		}
	}
	clear(s.copies)
	s.mu.Unlock()
	if p == nil {
		return nil
	}
	err := p.close()
	s.reading.Wait()
	return err
}

// countLost reports notices that the kernel had no room for. What they would have told is looked for.
func (s *source) countLost() {
	lost, err := s.loaded.lost()
	if err != nil {
		s.logger.Warn("Cannot tell how much was lost", zap.Error(err))
		return
	}
	for cpu, n := range lost {
		before := uint64(0)
		if cpu < len(s.lost) {
			before = s.lost[cpu]
		}
		if n > before {
			s.tel.EventsDropped(cpu, int64(n-before))
			s.listed, s.mapped = time.Time{}, time.Time{}
		}
	}
	s.lost = lost
}
