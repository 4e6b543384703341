package shm

import (
	"fmt"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/segment"
	receiver "github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
)

// Observer is a source that changes nothing: it makes, adopts, locks and removes neither directory nor files, so that it may run beside
// a Collector, as any user. What has ended is handed over, as final, as long as its file is there, whatever is committed.
type Observer struct{ *source }

// NewObserver returns an observer of a directory, which need not be there.
func NewObserver(directory string, limits segments.Limits, logger *zap.Logger, telemetry receiver.Telemetry) Observer {
	s := &source{
		cfg: Config{Directory: directory, Optional: true}, limits: limits, logger: logger, tel: telemetry,
		set: segments.New(limits, logger, telemetry), observing: true, observed: map[*segments.Segment]struct{}{},
	}
	return Observer{s}
}

// Skipped is how many files in the directory are not read, by reason. Those of processes that counted nothing, and have ended, are none of them.
func (o Observer) Skipped() map[segment.Reason]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	counts := map[segment.Reason]int{}
	for _, skipped := range o.skipped {
		if skipped.reason != skipNotRemovable {
			counts[skipped.reason]++
		}
	}
	for _, reason := range o.waiting {
		counts[reason]++
	}
	return counts
}

// observe notes a segment that was admitted, if somebody else is going to remove it.
func (s *source) observe(seg *segments.Segment) {
	if s.observing {
		s.observed[seg] = struct{}{}
	}
}

// releaseRemoved lets go of segments that have ended and whose files were removed: with the descriptor goes the memory.
func (s *source) releaseRemoved() {
	if !s.observing {
		return
	}
	for seg := range s.observed {
		var st unix.Stat_t
		switch {
		case seg.FD() < 0: // it turned out bad
			delete(s.observed, seg)
		case seg.Dead() && unix.Fstat(seg.FD(), &st) == nil && st.Nlink == 0:
			delete(s.observed, seg)
			s.set.Release(seg)
		}
	}
	s.set.Forget()
}

// observeDirectory opens a directory that is there, and leaves it as it is.
func observeDirectory(path string) (*directory, error) {
	fd, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("open directory %q: %w", path, err)
	}
	d := &directory{path: path, fd: fd, lock: -1}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		d.close()
		return nil, fmt.Errorf("stat directory %q: %w", path, err)
	}
	d.key = segments.KeyOf(&st)
	return d, nil
}
