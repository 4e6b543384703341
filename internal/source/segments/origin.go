package segments

import (
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/segment"
)

// Origin is what a source knows of one segment: where it is from, and what becomes of it there. Its methods are called
// from within calls of the [Set], and call none of it but [Set.Len] and [Set.Full].
type Origin interface {
	// Name is what logs call the segment.
	Name() string
	// Refused says why the segment is not read any more, for the origin to count and log. Its descriptor is still open, and is closed next.
	Refused(s *Segment, reason segment.Reason, cause error)
	// Delivered says that the segment is dead and its last values, if there were any, were accepted. Its descriptor is
	// still open and is closed next, unless [Set.Finish] closed it before.
	Delivered(s *Segment)
	// Closed says that the segment's descriptor was closed, for whatever reason. It is called once.
	Closed()
}

// Key tells files of the machine apart, among those that are open.
type Key struct{ Dev, Ino uint64 }

// KeyOf returns the key of a file.
func KeyOf(st *unix.Stat_t) Key { return Key{st.Dev, st.Ino} }

// Reasons for which a segment is not read, beside those of package segment.
const (
	ErrUnreadable  segment.Reason = "unreadable" // the kernel refuses to open or read it
	ErrDuplicate   segment.Reason = "duplicate"  // a copy of one that is held or was delivered
	ErrLimit       segment.Reason = "limit"      // beyond a limit on the number of segments
	ErrDescriptors segment.Reason = "fd_limit"   // no descriptor is left for it
)
