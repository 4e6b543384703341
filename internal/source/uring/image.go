package uring

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"
	wire "github.com/hotpath-metrics/hotpath/client/go/uring"

	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/source/uring/ring"
)

// image is a segment of the Collector's own, in a memfd, that becomes what a client says its segment is. Its mapping
// holds the lock which says that the client lives, as a client's own would.
type image struct {
	memory    []byte
	header    layout.Header
	resource  int64 // bytes of the first record
	used      int64 // of the catalogue
	catalogue area
	shared    area
	stripe    area

	budget  *memory
	uid     uint32
	charged int64 // to the budget
}

// area is one of the image's. Only as much of it has memory as was needed so far.
type area struct {
	offset, size uint64
	words        []uint64 // that have memory
}

// newImage makes the image of a client of which only the resource is known, and a descriptor to read it.
func newImage(h *hello, uid uint32, budget *memory) (m *image, fd int, err error) {
	m = &image{
		header: h.header, budget: budget, uid: uid,
		catalogue: area{offset: h.header.CatalogueOffset, size: h.header.CatalogueSize},
		shared:    area{offset: h.header.SharedOffset, size: h.header.SharedSize},
		stripe:    area{offset: h.header.StripesOffset, size: h.header.StripeSize},
	}
	if fd, err = m.open(); err != nil {
		return nil, -1, err
	}
	if err := m.reserve(0, pageSize); err != nil {
		m.abandon(fd)
		return nil, -1, err
	}
	h.putHeader(m.memory)
	m.resource = int64(len(h.resource))
	if err := m.append(record{bytes: h.resource}); err != nil {
		m.abandon(fd)
		return nil, -1, err
	}
	return m, fd, nil
}

// open makes the file: the descriptor that it returns sees the lock from outside.
func (m *image) open() (int, error) {
	made, err := unix.MemfdCreate("hotpath-image", unix.MFD_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("make image: %w", err)
	}
	defer unix.Close(made) // the mapping keeps the lock
	if err := unix.Ftruncate(made, int64(m.header.FileSize)); err != nil {
		return -1, fmt.Errorf("size image: %w", err)
	}
	if err := unix.Flock(made, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return -1, fmt.Errorf("lock image: %w", err)
	}
	if m.memory, err = unix.Mmap(made, 0, int(m.header.FileSize), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return -1, fmt.Errorf("map image: %w", err)
	}
	fd, err := unix.Open("/proc/self/fd/"+strconv.Itoa(made), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		m.close()
		return -1, fmt.Errorf("open image: %w", err)
	}
	return fd, nil
}

// close lets the lock go: what the image holds is final. Its memory is that of whoever has it open.
func (m *image) close() {
	_ = unix.Munmap(m.memory)
	m.memory = nil
	m.catalogue.words, m.shared.words, m.stripe.words = nil, nil, nil
}

func (m *image) abandon(fd int) {
	unix.Close(fd)
	m.close()
	m.free()
}

// free says that nobody has the image open any more.
func (m *image) free() {
	m.budget.give(m.uid, m.charged)
	m.charged = 0
}

// reserve has the kernel give memory to pages, so that writing to them cannot fail.
func (m *image) reserve(offset, size uint64) error {
	if err := m.budget.take(m.uid, int64(size), m.charged); err != nil {
		return err
	}
	m.charged += int64(size)
	if err := unix.Madvise(m.memory[offset:][:size], unix.MADV_POPULATE_WRITE); err != nil {
		return fmt.Errorf("%w: %w", errMemory, err)
	}
	return nil
}

// grow has an area begin with so many words that have memory, at least.
func (m *image) grow(a *area, words uint64) error {
	have := uint64(len(a.words))
	if words <= have {
		return nil
	}
	if words > a.size/8 {
		return fmt.Errorf("%w: word %d of %d", segment.ErrBounds, words, a.size/8)
	}
	end := min(pageUp(words*8), a.size)
	if err := m.reserve(a.offset+have*8, pageUp(end)-have*8); err != nil {
		return err
	}
	a.words = unsafe.Slice((*uint64)(unsafe.Pointer(&m.memory[a.offset])), end/8)
	if a == &m.shared {
		for i := have; i < end/8; i++ {
			a.words[i] = layout.GaugeUnset
		}
	}
	return nil
}

// append adds a record to the catalogue, with memory for its words: that of one whose words exceed the budget is
// added all the same, so that the catalogue stays what the client's is.
func (m *image) append(r record) error {
	end := uint64(m.used) + uint64(len(r.bytes))
	if end > m.catalogue.size {
		return fmt.Errorf("%w: catalogue of more than %d bytes", segment.ErrBounds, m.catalogue.size)
	}
	if err := m.grow(&m.catalogue, (end+7)/8); err != nil {
		return err
	}
	copy(m.memory[m.catalogue.offset+uint64(m.used):], r.bytes)
	m.used = int64(end)
	binary.NativeEndian.PutUint64(m.memory[layout.OffCatalogueUsed:], end)
	a := &m.stripe
	if r.kind == layout.KindGauge {
		a = &m.shared
	}
	if err := m.grow(a, r.end); err != nil && segment.ReasonOf(err, "") != errMemory {
		return err
	}
	return nil
}

// has says whether the catalogue has these bytes at an offset.
func (m *image) has(offset int64, record []byte) bool {
	return offset+int64(len(record)) <= m.used && bytes.Equal(m.memory[int64(m.catalogue.offset)+offset:][:len(record)], record)
}

// Whether a client that is another connection's successor means the same image.
func (m *image) same(h *hello) bool {
	own := m.header
	own.SegmentID = h.header.SegmentID // by which it was found; the image may have another
	return own == h.header && m.resource == int64(len(h.resource)) && m.has(0, h.resource)
}

// received is what became of a batch of messages.
type received struct {
	noWord, noMemory int64
	complete         bool // the client has told all that it had counted before
}

// apply has words become what messages say.
func (m *image) apply(batch []ring.Entry, r *received) {
	stripe, shared := m.stripe.words, m.shared.words
	for i := range batch {
		index, value := uint32(batch[i].Res), batch[i].Data
		switch {
		case uint64(index) < uint64(len(stripe)):
			stripe[index] = value
		case index-wire.SharedBit < uint32(len(shared)) && index >= wire.SharedBit:
			shared[index-wire.SharedBit] = value
		default:
			m.rare(index, value, r)
			stripe, shared = m.stripe.words, m.shared.words
		}
	}
}

// rare applies a message that is about no word which has memory.
func (m *image) rare(index uint32, value uint64, r *received) {
	a, at := &m.stripe, uint64(index)
	switch {
	case index == wire.Complete:
		r.complete = true
		return
	case index >= wire.CounterBit && index < wire.CounterBit+wire.Counters:
		binary.NativeEndian.PutUint64(m.memory[layout.OffRefused+8*int(index-wire.CounterBit):], value)
		return
	case index >= wire.CounterBit:
		r.noWord++
		return
	case index >= wire.SharedBit:
		a, at = &m.shared, uint64(index-wire.SharedBit)
	}
	switch err := m.grow(a, at+1); {
	case err == nil:
		a.words[at] = value
	case segment.ReasonOf(err, "") == errMemory:
		r.noMemory++
	default:
		r.noWord++
	}
}
