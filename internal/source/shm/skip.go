package shm

import (
	"errors"
	"fmt"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/segment"
)

// Reasons for which a name in the directory is not read as a segment, beside those of package segment.
const (
	skipFIFO       segment.Reason = "fifo"
	skipSymlink    segment.Reason = "symlink"
	skipSocket     segment.Reason = "socket"
	skipDirectory  segment.Reason = "directory"
	skipDevice     segment.Reason = "device"
	skipHardLink   segment.Reason = "hard_link"
	skipUnreadable segment.Reason = "unreadable"
	skipDuplicate  segment.Reason = "duplicate"
	skipLimit      segment.Reason = "limit"
	skipFDLimit    segment.Reason = "fd_limit"
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
	key    fileKey
	ctime  unix.Timespec
	size   int64
	blocks int64
}

func stampOf(st *unix.Stat_t) stamp { return stamp{keyOf(st), st.Ctim, st.Size, st.Blocks} }

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
	if reason == skipLimit || reason == skipFDLimit {
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

// litter says whether a file that began like a segment is of no use to anybody, so that it is
// removed when its writer ended. Another version or another configuration of the collector may read the rest.
func litter(reason segment.Reason) bool {
	switch reason {
	case segment.ErrVersion, segment.ErrTooLarge, skipUnreadable:
		return false
	}
	return true
}

// disregard reports a segment whose file is not to be read any more, and remembers it if its directory is still in use.
func (s *source) disregard(r *reader, reason segment.Reason, removable bool, cause error) {
	var st unix.Stat_t
	if r.dir == s.dir && unix.Fstat(r.fd, &st) == nil {
		s.skip(r.name, stampOf(&st), reason, removable, cause)
	} else {
		s.report(r.name, reason, cause)
	}
}

// remove unlinks a dead segment that was delivered as a whole. One that cannot be removed is remembered: it must
// not be delivered again, which only a later collector may do.
func (s *source) remove(r *reader) {
	if err := unlink(r.dir, r.name, r.key); err != nil {
		s.disregard(r, skipNotRemovable, true, err)
	}
}

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
		if n++; n > recheckBatch || len(s.readers) >= s.limits.Segments {
			return
		}
		s.admit(name)
		if s.waiting[name] == skipFDLimit {
			return
		}
	}
	if s.crowded {
		s.crowded, s.rescan = false, true
	}
}

// typeReason says why a file of that mode is no segment, or "".
func typeReason(st *unix.Stat_t) segment.Reason {
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
		return skipFDLimit
	case errors.Is(err, unix.ELOOP):
		return skipSymlink
	default:
		return skipUnreadable
	}
}

// unlink removes a name if it is still the given file's, a regular file with one link. The caller
// knows that it began like a segment; whether this user may remove it the kernel decides.
func unlink(d *directory, name string, key fileKey) error {
	var st unix.Stat_t
	if unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || keyOf(&st) != key || typeReason(&st) != "" {
		return nil
	}
	if err := unix.Unlinkat(d.fd, name, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove segment: %w", err)
	}
	return nil
}
