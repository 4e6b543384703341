package probe

import (
	"fmt"
)

// Reasons for which hits are not recorded, beside those of package aggregate. probe.bpf.c counts the first ones, in this order.
var reasons = [...]string{"fault", "value_negative", "value_too_large", "series_limit", processLimit, "unmatched", callLimit}

const (
	processLimit = "process_limit"
	callLimit    = "call_limit"
	missed       = "missed" // the kernel did not run the program
)

// readSkipped counts hits of a probe that were not recorded.
func (s *Source) readSkipped(p *probe) error {
	before := s.skips[callLimit]
	for i, reason := range reasons {
		var perCPU []uint64
		if err := p.loaded.maps[probeMapSkipped].Lookup(uint32(i), &perCPU); err != nil {
			return fmt.Errorf("read probe %d: %w", p.number, err)
		}
		var n uint64
		for _, on := range perCPU {
			n += on
		}
		s.skip(reason, &p.skipped[i], n)
	}
	n := p.loaded.missed
	for _, programs := range p.loaded.programs {
		missed, err := programs.missed()
		if err != nil {
			return fmt.Errorf("read probe %d: %w", p.number, err)
		}
		n += missed
	}
	s.skip(missed, &p.missed, n)
	return s.sweep(p, s.skips[callLimit] > before)
}

// skip counts what came to a running total.
func (s *Source) skip(reason string, last *uint64, now uint64) {
	if now > *last {
		s.skips[reason] += int64(now - *last)
		*last = now
	}
}
