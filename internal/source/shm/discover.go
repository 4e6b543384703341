package shm

import (
	"errors"
	"fmt"
	"os"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/segment"
)

// maxRetired is how many segments that ended are remembered, so that copies of them are known.
const maxRetired = 4096

// segmentKey tells a segment from all others, and not from its copies.
type segmentKey struct {
	uid uint32
	id  uint64
}

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
	if r := s.readers[keyOf(&st)]; r != nil {
		r.moved(s.dir, name)
		if r.process != nil { // before that it may turn out to be as bad as it was
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
	if reason := typeReason(&st); reason != "" {
		s.skip(name, stampOf(&st), reason, false, nil)
		return
	}
	if st.Size < int64(len(layout.Magic)) {
		s.skip(name, stampOf(&st), segment.ErrTruncated, false, nil)
		return
	}
	if !known && (len(s.readers) >= s.limits.Segments || s.owners[st.Uid].segments >= s.limits.SegmentsPerUID) {
		s.skip(name, stampOf(&st), skipLimit, false, nil)
		return
	}
	fd, err := unix.Openat(s.dir.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		s.forgetName(name)
		return
	}
	if err == nil && reserved(fd) {
		unix.Close(fd)
		err = unix.EMFILE
	}
	if err != nil {
		s.skip(name, stampOf(&st), openReason(err), false, err)
		return
	}
	if !s.examine(name, fd, keyOf(&st)) {
		unix.Close(fd)
	}
}

// examine takes an open file for a segment, or says why not. It returns whether the descriptor is kept.
func (s *source) examine(name string, fd int, key fileKey) bool {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || keyOf(&st) != key {
		return false // replaced since; that is another event
	}
	if reason := typeReason(&st); reason != "" {
		s.skip(name, stampOf(&st), reason, false, nil)
		return false
	}
	live, err := alive(fd) // before any byte is read
	if err != nil {
		s.skip(name, stampOf(&st), skipUnreadable, false, err)
		return false
	}
	head := bytesOf(s.buffers.chunk[:layout.HeaderSize/8])
	n, err := unix.Pread(fd, head, 0)
	if err != nil {
		s.skip(name, stampOf(&st), skipUnreadable, false, err)
		return false
	}
	header, err := segment.ParseHeader(head[:n], st.Size)
	if err == nil {
		err = s.checkCopy(segmentKey{st.Uid, header.ID}, live)
	}
	if err != nil {
		reason := segment.ReasonOf(err, skipUnreadable)
		removable := segment.HasMagic(head[:n]) && litter(reason)
		s.skip(name, stampOf(&st), reason, removable, err)
		if removable && !live && unlink(s.dir, name, key) == nil {
			s.forgetName(name)
		}
		return false
	}
	if len(s.readers) >= s.limits.Segments || s.owners[st.Uid].segments >= s.limits.SegmentsPerUID {
		s.skip(name, stampOf(&st), skipLimit, false, nil)
		return false
	}

	r := &reader{dir: s.dir, name: name, key: key, uid: st.Uid, fd: fd, header: header, dead: !live, late: !live}
	// The next refresh takes these from a read that follows the probe.
	r.header.Progress = segment.Progress{}
	r.catalogue = segment.NewCatalogue(&r.header)
	copy(r.fixed[:], head)
	s.dir.held++
	delete(s.waiting, name) // what is known against it stays until its catalogue was read
	s.readers[key] = r
	s.ids[segmentKey{r.uid, header.ID}] = r
	s.addOwner(r.uid, 1, 0)
	s.fresh = append(s.fresh, r)
	return true
}

// reap removes a bad segment once its writer ended.
func (s *source) reap(name string, st *unix.Stat_t) {
	if typeReason(st) != "" {
		return
	}
	fd, err := unix.Openat(s.dir.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	var opened unix.Stat_t
	if unix.Fstat(fd, &opened) != nil || keyOf(&opened) != keyOf(st) {
		return
	}
	if live, err := alive(fd); err == nil && !live && unlink(s.dir, name, keyOf(st)) == nil {
		s.forgetName(name)
	}
}

// checkCopy refuses a segment that is a copy of one that is known. A live one takes the place of
// a dead one that was found with it, in whatever order.
func (s *source) checkCopy(key segmentKey, live bool) error {
	known := s.ids[key]
	if known == nil {
		if _, ok := s.retired[key]; ok {
			return fmt.Errorf("%w: segment %#x was delivered before", skipDuplicate, key.id)
		}
		return nil
	}
	if live && known.late && known.added == 0 && known.fd >= 0 {
		s.drop(known, fmt.Errorf("%w: of live segment %#x", skipDuplicate, key.id))
		return nil
	}
	return fmt.Errorf("%w: of segment %#x", skipDuplicate, key.id)
}

// retire remembers the segments that ended last.
func (s *source) retire(key segmentKey) {
	if _, ok := s.retired[key]; ok {
		return
	}
	if len(s.retiredOrder) < maxRetired {
		s.retiredOrder = append(s.retiredOrder, key)
	} else {
		delete(s.retired, s.retiredOrder[s.retiredNext])
		s.retiredOrder[s.retiredNext] = key
		s.retiredNext = (s.retiredNext + 1) % maxRetired
	}
	s.retired[key] = struct{}{}
}
