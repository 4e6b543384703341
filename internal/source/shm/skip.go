package shm

import (
	"errors"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
)

// Reasons for which a name in the directory is not read as a segment, beside those of packages segment and segments.
const (
	skipFIFO      segment.Reason = "fifo"
	skipSymlink   segment.Reason = "symlink"
	skipSocket    segment.Reason = "socket"
	skipDirectory segment.Reason = "directory"
	skipDevice    segment.Reason = "device"
	skipHardLink  segment.Reason = "hard_link"
	// skipNotRemovable is against a dead segment that was delivered as a whole and could not be removed.
	skipNotRemovable segment.Reason = "not_removable"
)

const (
	// maxSkipped bounds how many names are remembered: about 10 MiB of them.
	maxSkipped = 1 << 16
	// recheckBatch is how many of them one collection looks at again.
	recheckBatch = 1024
)

// stamp changes when a file does.
type stamp struct {
	key    segments.Key
	ctime  unix.Timespec
	size   int64
	blocks int64
}

func stampOf(st *unix.Stat_t) stamp { return stamp{segments.KeyOf(st), st.Ctim, st.Size, st.Blocks} }

// skipped is a name that is not worth another look until its file changes.
type skipped struct {
	stamp     stamp
	reason    segment.Reason
	removable bool // it began like a segment: to be removed when its writer ends
}

// skip counts and logs a name once, and remembers it.
func (s *source) skip(name string, st stamp, reason segment.Reason, removable bool, cause error) {
	old, known := s.skipped[name]
	if !known && s.waiting[name] != reason {
		s.report(name, reason, cause)
	} else if known && (old.reason != reason || old.stamp.key != st.key) {
		s.tel.SegmentSkipped(string(reason))
	}
	if reason == segments.ErrLimit || reason == segments.ErrDescriptors {
		delete(s.skipped, name)
		if _, waits := s.waiting[name]; waits || len(s.waiting) < maxSkipped {
			s.waiting[name] = reason
		} else {
			s.crowded = true
		}
		return
	}
	delete(s.waiting, name)
	if known || len(s.skipped) < maxSkipped {
		s.skipped[name] = skipped{st, reason, removable}
	}
}

func (s *source) report(name string, reason segment.Reason, cause error) {
	s.tel.SegmentSkipped(string(reason))
	s.logger.Warn("Not reading a file in the segment directory",
		zap.String("name", name), zap.String("reason", string(reason)), zap.Error(cause))
}

// Litter says whether a file that is not read for this reason began like a segment and is of no use to anybody, so that it is
// removed when its writer ended. Another version or another configuration of the collector may read the rest.
func Litter(reason segment.Reason) bool {
	switch reason {
	case segment.ErrMagic, segment.ErrVersion, segment.ErrTooLarge,
		segments.ErrUnreadable, segments.ErrLimit, segments.ErrDescriptors:
		return false
	}
	return true
}

// removes says whether a file that is not read for this reason is to be removed when its writer ended.
func (s *source) removes(reason segment.Reason) bool { return !s.observing && Litter(reason) }

// forgetName drops what is remembered of a name.
func (s *source) forgetName(name string) {
	delete(s.skipped, name)
	delete(s.waiting, name)
}

// recheck looks again at some skipped names. A map is walked from a random
// place, so that each gets its turn.
func (s *source) recheck() {
	n := 0
	for name := range s.skipped {
		if n++; n > recheckBatch {
			return
		}
		s.admit(name)
	}
}

// retry admits names that wait for room, while there is some; not all of them at
// once, since their owner may have none though others have.
func (s *source) retry() {
	n := 0
	for name := range s.waiting {
		if n++; n > recheckBatch || s.set.Len() >= s.limits.Segments {
			return
		}
		s.admit(name)
		if s.waiting[name] == segments.ErrDescriptors {
			return
		}
	}
	if s.crowded {
		s.crowded, s.rescan = false, true
	}
}

// Unfit says why a file is no segment whatever is in it, or "".
func Unfit(st *unix.Stat_t) segment.Reason {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		if st.Nlink != 1 {
			return skipHardLink
		}
		return ""
	case unix.S_IFIFO:
		return skipFIFO
	case unix.S_IFLNK:
		return skipSymlink
	case unix.S_IFSOCK:
		return skipSocket
	case unix.S_IFDIR:
		return skipDirectory
	default:
		return skipDevice
	}
}

func openReason(err error) segment.Reason {
	switch {
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return segments.ErrDescriptors
	case errors.Is(err, unix.ELOOP):
		return skipSymlink
	default:
		return segments.ErrUnreadable
	}
}
