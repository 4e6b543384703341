package segments

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	processes "github.com/hotpath-metrics/hotpath/internal/process"
	"github.com/hotpath-metrics/hotpath/internal/segment"
)

// Segment is one segment, held open by a [Set]. The exported fields below Origin are for the source to set, until the first
// [Set.Deliver] after that [Set.Refresh] which returned the segment.
type Segment struct {
	Key    Key
	UID    uint32 // whose it is: segments merge, and count against limits, by owner
	Origin Origin

	// Who becomes the resource's process.*. [Set.Admit] sets the pid that the segment claims and the owner; a
	// source that knows better changes it.
	Who processes.Identity
	// Attributes outweigh what the segment itself says of its resource.
	Attributes []emit.Attribute
	// Scope tells processes apart where the kernel does so with certainty, as by pid: segments merge only if it is
	// equal. It is zero where nothing is certain.
	Scope uint64
	// Seen says that an earlier run of the collector may have delivered the segment's values. It is to be set at once where
	// [Set.DrainRings] is called before that.
	Seen bool

	fd        int // -1 once the values are final and the descriptor is of no use any more
	header    segment.Header
	fixed     [segment.FixedSize]byte
	catalogue *segment.Catalogue

	dead     bool // nobody holds the lock: the next snapshot is the last
	late     bool // was dead when it was found
	final    bool // stripes and shared are the last values
	handed   bool // to the sink, by the last collection
	accepted bool // final, and was handed over
	limited  bool // was logged as waiting for room for series
	trimmed  bool // was logged as having series beyond a limit
	process  *process
	added    int // how many of catalogue.Series the process knows

	// Values of the last snapshot. Until final, they are part of the arena.
	stripes, shared []uint64
	recorded        recordings

	reported segment.ClientCounters
}

// FD is the segment's descriptor, or -1 if it was closed.
func (s *Segment) FD() int { return s.fd }

// Dead says that nobody held the segment's lock when that was last asked: by [Set.Admit], [Set.Refresh] or [Set.Finish].
func (s *Segment) Dead() bool { return s.dead }

// Start is when the segment's values were zero, as it says itself, in UNIX nanoseconds.
func (s *Segment) Start() int64 { return s.header.StartTime }

// Attached says that the segment's catalogue was found good, so that it is part of a process.
func (s *Segment) Attached() bool { return s.process != nil }

// Alive says whether the writer's mapping of the open file, and with it its lock, exists.
func Alive(fd int) (bool, error) {
	err := unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("probe lock: %w", err)
	}
	return false, unix.Flock(fd, unix.LOCK_UN)
}

// charged is what the segment takes of the limits on series.
func (s *Segment) charged() int { return s.catalogue.Charged + s.recorded.charged }

// size is what the last values take, in bytes.
func (s *Segment) size() int64 { return int64(len(s.stripes)+len(s.shared)) * 8 }

// close gives the file back. Final values stay.
func (s *Segment) close() {
	unix.Close(s.fd)
	s.fd = -1
	s.Origin.Closed()
}
