package shm

import (
	"errors"
	"os"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
)

// scan admits every name in the directory.
func (s *source) scan() {
	s.rescan = false
	fd, err := unix.Openat(s.dir.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		s.rescan = true // out of descriptors: at the next collection
		if !s.unlisted {
			s.unlisted = true
			s.logger.Warn("Cannot list the segment directory; it is tried again at each collection", zap.Error(err))
		}
		return
	}
	s.unlisted = false
	f := os.NewFile(uintptr(fd), s.dir.path)
	defer f.Close()
	for {
		names, err := f.Readdirnames(1024)
		for _, name := range names {
			s.admit(name)
		}
		if err != nil {
			return // the end; what else goes wrong here is a directory that is being removed
		}
	}
}

// admit looks at a name that is new, or that may have changed, and holds its segment open if it is one.
func (s *source) admit(name string) {
	if name == "" || name[0] == '.' {
		return
	}
	var st unix.Stat_t
	if unix.Fstatat(s.dir.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		s.forgetName(name)
		return
	}
	if seg := s.set.Lookup(segments.KeyOf(&st)); seg != nil {
		seg.Origin.(*file).moved(s.dir, name)
		if seg.Attached() { // before that it may turn out to be as bad as it was
			s.forgetName(name)
		}
		return
	}
	old, known := s.skipped[name]
	if known && old.stamp == stampOf(&st) {
		if old.removable {
			s.reap(name, &st)
		}
		return
	}
	if reason := Unfit(&st); reason != "" {
		s.skip(name, stampOf(&st), reason, false, nil)
		return
	}
	if st.Size < int64(len(layout.Magic)) {
		s.skip(name, stampOf(&st), segment.ErrTruncated, false, nil)
		return
	}
	if !known && s.set.Full(st.Uid) {
		s.skip(name, stampOf(&st), segments.ErrLimit, false, nil)
		return
	}
	fd, err := unix.Openat(s.dir.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		s.forgetName(name)
		return
	}
	if err != nil {
		s.skip(name, stampOf(&st), openReason(err), false, err)
		return
	}
	if !s.examine(name, fd, segments.KeyOf(&st)) {
		unix.Close(fd)
	}
}

// examine takes an open file for a segment, or says why not. It returns whether the descriptor is kept.
func (s *source) examine(name string, fd int, key segments.Key) bool {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || segments.KeyOf(&st) != key || st.Nlink == 0 {
		return false // replaced or removed since; that is another event
	}
	if reason := Unfit(&st); reason != "" {
		s.skip(name, stampOf(&st), reason, false, nil)
		return false
	}
	seg, err := s.set.Admit(fd, &st, st.Uid, &file{s, s.dir, name})
	if err != nil {
		reason := segment.ReasonOf(err, segments.ErrUnreadable)
		removable := s.removes(reason)
		s.skip(name, stampOf(&st), reason, removable, err)
		if removable {
			s.removeDead(name, fd, key)
		}
		return false
	}
	last := s.dir.lastDelivery
	seg.Seen = !last.IsZero() && seg.Start() < last.UnixNano()
	s.dir.held++
	s.observe(seg)
	delete(s.waiting, name) // what is known against it stays until its catalogue was read
	return true
}

// reap removes a bad segment once its writer ended.
func (s *source) reap(name string, st *unix.Stat_t) {
	if Unfit(st) != "" {
		return
	}
	fd, err := unix.Openat(s.dir.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	var opened unix.Stat_t
	if unix.Fstat(fd, &opened) == nil && segments.KeyOf(&opened) == segments.KeyOf(st) {
		s.removeDead(name, fd, segments.KeyOf(st))
	}
}

// removeDead unlinks an open file unless its writer lives.
func (s *source) removeDead(name string, fd int, key segments.Key) {
	if live, err := segments.Alive(fd); err == nil && !live && unlink(s.dir, name, key) == nil {
		s.forgetName(name)
	}
}
