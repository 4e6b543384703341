package segments

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	processes "github.com/hotpath-metrics/hotpath/internal/process"
	"github.com/hotpath-metrics/hotpath/internal/segment"
)

// maxRetired is how many segments that ended are remembered, so that copies of them are known.
const maxRetired = 4096

// copyKey tells a segment from all others, and not from its copies.
type copyKey struct {
	uid uint32
	id  uint64
}

// Lookup returns the open segment in a file, or nil.
func (s *Set) Lookup(key Key) *Segment { return s.segments[key] }

// Admit takes a file, just opened and with the status st, for a segment of the given owner: from here on the descriptor is the
// set's. Any status will do whose device, inode and size are right; what kinds of files are fit for segments is for the caller to say.
// The error wraps a [segment.Reason] against the segment, and the descriptor stays the caller's then.
func (s *Set) Admit(fd int, st *unix.Stat_t, uid uint32, origin Origin) (*Segment, error) {
	if Reserved(fd) {
		return nil, fmt.Errorf("%w: the last are left to the rest of the Collector", ErrDescriptors)
	}
	live, err := Alive(fd) // before any byte is read
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	head := bytesOf(s.buffers.chunk[:layout.HeaderSize/8])
	n, err := unix.Pread(fd, head, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: read header: %w", ErrUnreadable, err)
	}
	if n < len(layout.Magic) {
		return nil, fmt.Errorf("%w: %d bytes", segment.ErrMagic, n)
	}
	header, err := segment.ParseHeader(head[:n], st.Size)
	if err != nil {
		return nil, err
	}
	key, id := KeyOf(st), copyKey{uid, header.ID}
	if s.segments[key] != nil {
		return nil, fmt.Errorf("%w: it is held already", ErrDuplicate)
	}
	if err := s.checkCopy(id, live); err != nil {
		return nil, err
	}
	if s.Full(uid) {
		return nil, ErrLimit
	}

	seg := &Segment{
		Key: key, UID: uid, Origin: origin, Who: processes.Identity{PID: header.PID & math.MaxInt64, UID: uid},
		fd: fd, header: header, dead: !live, late: !live,
	}
	// The next refresh takes these from a read that follows the probe.
	seg.header.Progress = segment.Progress{}
	seg.catalogue = segment.NewCatalogue(&seg.header)
	copy(seg.fixed[:], head)
	s.segments[key] = seg
	s.ids[id] = seg
	s.quota.Charge(uid, 1, 0)
	s.fresh = append(s.fresh, seg)
	if header.RingCount > 0 {
		s.ringed = append(s.ringed, seg)
	}
	return seg, nil
}

// checkCopy refuses a segment that is a copy of one that is known. A live one takes the place of
// a dead one that was found with it, in whatever order.
func (s *Set) checkCopy(key copyKey, live bool) error {
	known := s.ids[key]
	if known == nil {
		if _, ok := s.retired[key]; ok {
			return fmt.Errorf("%w: segment %#x was delivered before", ErrDuplicate, key.id)
		}
		return nil
	}
	if live && known.late && known.added == 0 && known.fd >= 0 {
		s.drop(known, fmt.Errorf("%w: of live segment %#x", ErrDuplicate, key.id))
		return nil
	}
	return fmt.Errorf("%w: of segment %#x", ErrDuplicate, key.id)
}

// retire remembers the segments that ended last.
func (s *Set) retire(key copyKey) {
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
