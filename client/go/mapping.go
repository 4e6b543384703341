//go:build linux && (amd64 || arm64)

package hotpath

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

// geometry is how large a segment's areas are. All sizes are multiples of 64 KiB, the largest page.
type geometry struct {
	catalogue int // bytes up to the shared area, with the header
	shared    int // bytes
	stripe    int // bytes of one
	stripes   int
	overflows int // overflow series there is room for, beside the last one of each kind
	ring      int // bytes of one
	ringWords int
	rings     int
}

// roomy is sparse: what isn't used costs address space only.
func roomy() geometry {
	stripes := min(1+max(64, 2*runtime.NumCPU()), segment.MaxStripes)
	return geometry{
		catalogue: 8 << 20,
		shared:    256 << 10,
		stripe:    8 << 20,
		stripes:   stripes,
		overflows: 256,
		ring:      2 << 20,
		ringWords: 128 << 10,
		rings:     stripes - 1,
	}
}

// small is for where all of it has to be there at once.
func small() geometry {
	stripes := min(1+max(2, runtime.NumCPU()), segment.MaxStripes)
	return geometry{
		catalogue: 256 << 10,
		shared:    64 << 10,
		stripe:    128 << 10,
		stripes:   stripes,
		overflows: 8,
		ring:      64 << 10,
		ringWords: segment.MinRingWords,
		rings:     stripes - 1,
	}
}

// unread is the geometry without what only a reader makes something of.
func (g geometry) unread() geometry {
	g.ring, g.ringWords, g.rings = 0, 0, 0
	return g
}

func (g geometry) size() int { return g.catalogue + g.shared + g.stripes*g.stripe + g.rings*g.ring }

// mapping is the memory of a segment. What was handed out of it is never unmapped.
type mapping struct {
	geometry
	base    unsafe.Pointer
	whole   bool // nothing needs to be reserved
	used    int  // bytes of the catalogue
	backed  int  // bytes from the start, through header and catalogue, that are reserved
	stripes area
	shared  area
	rings   area
}

// area is where slots are: the shared area, or all stripes at once. So are all rings, though they have no slots.
type area struct {
	offset   int // of the first copy, in the segment
	size     int // bytes of a copy
	room     int // copies there is room for
	copies   int // copies in use
	words    int // words of each copy that are taken
	reserved int // bytes of each copy in use that are reserved
	private  bool
	broken   bool
}

// newMapping describes the memory at base, all of which is there if it is whole.
func newMapping(base unsafe.Pointer, g geometry, whole bool) *mapping {
	// Word 0 belongs to no series.
	m := &mapping{
		geometry: g,
		base:     base,
		whole:    whole,
		shared:   area{offset: g.catalogue, size: g.shared, room: 1, copies: 1, words: 1},
		stripes:  area{offset: g.catalogue + g.shared, size: g.stripe, room: g.stripes, copies: 1, words: 1},
		rings: area{
			offset: g.catalogue + g.shared + g.stripes*g.stripe, size: g.ring, room: g.rings,
			reserved: pageUp(segment.RingFirst + g.ringWords*8),
		},
	}
	if whole {
		m.backed, m.shared.reserved, m.stripes.reserved = g.catalogue, g.shared, g.stripe
	}
	return m
}

func (m *mapping) at(offset int) unsafe.Pointer { return unsafe.Add(m.base, offset) }

func (m *mapping) word(offset int) *uint64 { return (*uint64)(m.at(offset)) }

func (m *mapping) bytes(offset, n int) []byte { return unsafe.Slice((*byte)(m.at(offset)), n) }

// reserve makes sure that the pages from one offset up to another are there, so that no store
// into them can fail. Without it, a full tmpfs is a SIGBUS.
func (m *mapping) reserve(from, to int) error {
	if m.whole || from >= to {
		return nil
	}
	for {
		err := unix.Madvise(m.bytes(from, to-from), unix.MADV_POPULATE_WRITE)
		switch {
		case errors.Is(err, unix.EFAULT): // what would have been SIGBUS
			return fmt.Errorf("reserve memory: %w", unix.ENOSPC)
		case err == nil:
			return nil
		case !errors.Is(err, unix.EINTR):
			return fmt.Errorf("reserve memory: %w", err)
		}
	}
}

// reserveCatalogue reserves header and catalogue up to an offset.
func (m *mapping) reserveCatalogue(to int) error {
	to = pageUp(to)
	if to <= m.backed {
		return nil
	}
	if err := m.reserve(m.backed, to); err != nil {
		return err
	}
	m.backed = to
	return nil
}

// take takes words from an area, aligned to a number of words. They are public
// unless their memory could be had only outside of the segment, and ok unless there is none at all.
func (m *mapping) take(a *area, words, alignment int) (slot int, public, ok bool) {
	slot = alignUp(a.words, alignment)
	a.words = slot + words
	if end := pageUp(a.words * 8); end > a.reserved && !a.private {
		if m.extend(a, end) != nil {
			m.makePrivate(a)
		}
	}
	return slot, a.words*8 <= a.reserved, !a.broken
}

// extend reserves the bytes up to end of every copy in use.
func (m *mapping) extend(a *area, end int) error {
	for i := range a.copies {
		copied := a.offset + i*a.size
		if err := m.reserve(copied+a.reserved, copied+end); err != nil {
			return err
		}
	}
	a.reserved = end
	return nil
}

// addCopy brings one more copy of the area into use: the next stripe, or ring.
func (m *mapping) addCopy(a *area) bool {
	start := a.offset + a.copies*a.size
	if a.copies == a.room || m.reserve(start, start+a.reserved) != nil {
		return false
	}
	a.copies++
	return true
}

// makePrivate puts private memory behind the reserved pages of every copy. That
// is for good: pages published behind others that are missing would look like a lie to readers.
func (m *mapping) makePrivate(a *area) {
	a.private = true
	for i := range a.room {
		tail := m.bytes(a.offset+i*a.size+a.reserved, a.size-a.reserved)
		// What was reserved in some copies before it failed in another goes back to the tmpfs.
		_ = unix.Madvise(tail, unix.MADV_REMOVE)
		if _, err := mapMemory(unsafe.Pointer(&tail[0]), len(tail), -1, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE|unix.MAP_FIXED); err != nil {
			a.broken = true
			return
		}
	}
}

// mapMemory maps memory that takes pages only as they are used.
func mapMemory(at unsafe.Pointer, size, fd, flags int) (unsafe.Pointer, error) {
	// After mlockall(MCL_FUTURE), a mapping that can be accessed is filled at once.
	base, err := unix.MmapPtr(fd, 0, at, uintptr(size), unix.PROT_NONE, flags)
	if err != nil {
		return nil, fmt.Errorf("map memory: %w", err)
	}
	all := unsafe.Slice((*byte)(base), size)
	_ = unix.Munlock(all)
	// One word would take a huge page where these are on for all.
	_ = unix.Madvise(all, unix.MADV_NOHUGEPAGE)
	if err := unix.Mprotect(all, unix.PROT_READ|unix.PROT_WRITE); err != nil {
		if at == nil {
			_ = unix.MunmapPtr(base, uintptr(size))
		}
		return nil, fmt.Errorf("map memory: %w", err)
	}
	return base, nil
}

// newPrivate is a segment that nobody but this process sees.
func newPrivate() (*mapping, error) {
	var failed error
	for _, g := range []geometry{roomy().unread(), small().unread()} {
		base, err := mapMemory(nil, g.size(), -1, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
		if err == nil {
			return newMapping(base, g, true), nil
		}
		failed = err
	}
	return nil, failed
}

func pageUp(n int) int {
	page := max(4096, unix.Getpagesize())
	return alignUp(n, page)
}

func alignUp(n, to int) int { return (n + to - 1) / to * to }
