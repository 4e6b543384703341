//go:build linux && (amd64 || arm64)

package hotpath

import (
	"path/filepath"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

// rings is what a measurement with attributes has to know. But for of, nothing of it changes.
type rings struct {
	of       []unsafe.Pointer // the ring of each P, nil until it is wanted; none where nobody reads them
	words    uint64           // of a ring
	stripes  uintptr          // word 0 of the stripe of P 0
	shared   uintptr          // word 0 of the shared area
	doorbell *doorbell
	again    atomic.Int64 // no further ring is reserved before, by nanotime
}

// tryAfter is how long no further ring is reserved after there was no room for one.
const tryAfter = time.Second

// begin prepares for the rings of a mapping, which is published at a path, or in none.
func (r *rings) begin(m *mapping, path string) {
	r.of = make([]unsafe.Pointer, m.rings.room)
	r.words = uint64(m.ringWords)
	r.stripes = uintptr(m.at(m.stripes.offset + m.stripes.size))
	r.shared = uintptr(m.at(m.shared.offset))
	r.doorbell = new(doorbell)
	if path != "" {
		r.doorbell.directory = filepath.Dir(path)
	}
}

// slot is where a series of a kind has its first word.
func (r *rings) slot(kind uint8, word unsafe.Pointer) uint32 {
	if kind == segment.KindGauge {
		return uint32((uintptr(word) - r.shared) / 8)
	}
	return uint32((uintptr(word) - r.stripes) / 8)
}

// wantRing sees to it that P p has a ring, and reports whether it does.
func (c *client) wantRing(p int) bool {
	r := &c.stripes.rings
	if p >= len(r.of) || r.again.Load() != 0 && nanotime() < r.again.Load() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.of[p] != nil {
		return true
	}
	a := &c.mapping.rings
	start := a.offset + a.copies*a.size
	if !c.mapping.addCopy(a) {
		r.again.Store(nanotime() + int64(tryAfter))
		// What could be reserved of it goes back to the tmpfs.
		_ = unix.Madvise(c.mapping.bytes(start, a.reserved), unix.MADV_REMOVE)
		return false
	}
	if a.copies == 1 {
		r.doorbell.look(lookAfter)
	}
	atomic.StoreUint64(c.mapping.word(segment.OffRingsUsed), uint64(a.copies))
	atomic.StorePointer(&r.of[p], c.mapping.at(start))
	return true
}
