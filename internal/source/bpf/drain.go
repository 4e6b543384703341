package bpf

import "time"

// How long measurement rings are left alone after much was found in one of them, and after less.
const (
	drainSoon  = 5 * time.Millisecond
	drainLater = 50 * time.Millisecond
)

// keepDraining has measurement rings read between collections, from the first that finds one in use on: a memfd has no doorbell.
func (s *source) keepDraining() {
	if s.draining || !s.set.Ringed() {
		return
	}
	s.draining = true
	quit := s.quit
	s.reading.Go(func() {
		for pause := drainSoon; ; {
			select {
			case <-quit:
				return
			case <-time.After(pause):
			}
			var ok bool
			if pause, ok = s.drain(); !ok {
				return
			}
		}
	})
}

// drain returns when to drain again, if at all.
func (s *source) drain() (pause time.Duration, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running || !s.set.Ringed() {
		s.draining = false
		return 0, false
	}
	began := time.Now()
	pause = drainLater
	if s.set.DrainRings() {
		pause = drainSoon
	}
	return max(pause, time.Since(began)), true
}
