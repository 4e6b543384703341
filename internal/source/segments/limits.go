package segments

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/quota"
)

// Limits bound what clients can make the collector hold. Each is positive, but for the last.
type Limits struct {
	// In all, only segments that are open count; of an owner, also those that are closed and not yet forgotten. A fourth of the
	// process's descriptors, 64 at most, is left to the rest of the Collector in any case.
	quota.Limits
	// SegmentSize is how many bytes of one segment are read in one collection at most, a stripe's
	// rounded up to whole pages of 4 KiB; twenty times as much may be in measurement rings. [Set.Finish] adds to the values that are kept of segments that ended up to as much in all.
	SegmentSize int64
	// UnboundExpiry is how long a series whose attributes were given with its measurements may go without one before it ends, though its process lives.
	// Zero is forever.
	UnboundExpiry time.Duration
}

// Len is how many segments are open.
func (s *Set) Len() int { return len(s.segments) }

// Full says whether there is no room for another segment of an owner.
func (s *Set) Full(uid uint32) bool { return s.quota.Full(uid, len(s.segments)) }

// maxReserve is how many descriptors are left to the rest of the Collector where there are plenty: were all of
// them spent on segments, no exporter could connect, and nothing would ever be delivered and released.
const maxReserve = 64

// Reserved says whether a descriptor that was just opened is one of those. The kernel hands out the
// lowest free number, so that a high one says how many are taken, by whomever.
func Reserved(fd int) bool {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return false
	}
	return uint64(fd) >= limit.Cur-min(maxReserve, limit.Cur/4)
}
