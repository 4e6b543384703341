//go:build linux && (amd64 || arm64)

package hotpath

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

var kindNames = map[uint8]string{
	segment.KindCounter:       "a counter",
	segment.KindUpDownCounter: "an updowncounter",
	segment.KindGauge:         "a gauge",
	segment.KindHistogram:     "a histogram",
}

func (c *client) status() string {
	h := c.header.Load()
	if h == nil {
		return "hotpath has made no instrument yet."
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	published := len(c.made) - int(h.load(segment.OffUnplaced))
	var s strings.Builder
	switch {
	case c.mapping == nil:
		fmt.Fprintf(&s, "hotpath counts nothing, for want of memory (%s)", c.unpublished)
	case c.teller != nil:
		c.teller.status(&s)
	case c.memfd && c.unpublished != "":
		fmt.Fprintf(&s, "hotpath has %d series but no file for them (%s); published as a memfd for a Collector with the source bpf", published, c.unpublished)
	case c.memfd:
		fmt.Fprintf(&s, "hotpath publishes %d series as a memfd for a Collector with the source bpf", published)
	case c.path == "":
		fmt.Fprintf(&s, "hotpath counts %d series in private memory, where no Collector sees them (%s)", len(c.made), c.unpublished)
	default:
		fmt.Fprintf(&s, "hotpath publishes %d series in %s", published, c.path)
	}
	if c.noRings != nil {
		fmt.Fprintf(&s, "; io_uring is not to be had (%s)", c.noRings)
	}
	for _, part := range []struct {
		count uint64
		what  string
	}{
		{h.load(segment.OffUnplaced), "series have no room there and are counted in private memory"},
		{h.load(segment.OffFolded), "calls for a series got an overflow series"},
		{h.load(segment.OffRefused), "measurements were refused"},
		{h.load(segment.OffUnrecorded), "measurements with attributes were not recorded, for want of a ring"},
	} {
		if part.count > 0 {
			fmt.Fprintf(&s, "; %d %s", part.count, part.what)
		}
	}
	if c.lastRejected != nil {
		fmt.Fprintf(&s, "; %d calls for a series were rejected, the last because %s", h.load(segment.OffRejected), c.lastRejected)
	}
	for _, ignored := range c.environment {
		fmt.Fprintf(&s, "; %s", ignored)
	}
	return s.String() + "."
}

// status says who hears of the series.
func (u *updates) status(s *strings.Builder) {
	fmt.Fprintf(s, "hotpath counts %d series in private memory and writes user_events of them while a Collector listens", len(u.client.made)-u.tooLong)
	switch {
	case u.closed != nil:
		fmt.Fprintf(s, ", but the program closed the descriptor and no other can be had (%s)", u.closed)
	case u.client.stripes.heard():
		s.WriteString(", as one does now")
	default:
		s.WriteString(", as none does now")
	}
	if u.tooLong > 0 {
		fmt.Fprintf(s, "; %d series are too long for an event and stay in private memory", u.tooLong)
	}
	if n := u.failed.Load(); n > 0 {
		fmt.Fprintf(s, "; %d updates could not be written, the last because of %s", n, unix.Errno(u.lastError.Load()))
	}
}

// status says who hears of the series.
func (m *messages) status(s *strings.Builder) {
	n := len(m.client.made)
	if m.linked.Load() {
		fmt.Fprintf(s, "hotpath tells a Collector of %d series by io_uring, at %s", n, m.path)
		if m.unfinished.Load() {
			s.WriteString(", which has no room at the moment")
		}
		return
	}
	fmt.Fprintf(s, "hotpath counts %d series in private memory until it can tell a Collector by io_uring", n)
	if err := m.failure.Load(); err != nil {
		fmt.Fprintf(s, " (%s)", *err)
	}
}
