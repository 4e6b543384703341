//go:build linux && (amd64 || arm64)

package hotpath

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

// client is a segment and what was made in it. The zero value opens itself with its first series.
type client struct {
	stripes stripes
	header  atomic.Pointer[header]

	once sync.Once
	mu   sync.Mutex // guards all below

	mapping     *mapping // nil where there is no memory at all
	path        string   // of the published file
	memfd       bool     // a memfd is published
	unpublished string   // why there is no file, and no memfd either where that was tried in vain
	environment []error  // what was ignored in it
	teller      teller   // nil unless updates are told; set before the first series
	joints      *joints  // with the teller
	noRings     error    // why it is shm, and not io_uring

	made         map[string]cell       // by the bytes of their records
	instruments  map[string]instrument // by name
	ordinary     int                   // series but overflow series
	overflows    int                   // overflow series but the last of each kind
	key          []byte
	lastRejected error

	getenv func(string) string // os.Getenv unless set
}

// header is a segment's header as words.
type header [segment.HeaderSize / 8]uint64

func (h *header) add(offset int)         { atomic.AddUint64(&h[offset/8], 1) }
func (h *header) load(offset int) uint64 { return atomic.LoadUint64(&h[offset/8]) }

// count counts in the header.
func (c *client) count(offset int) {
	h := c.header.Load()
	if h == nil {
		return
	}
	h.add(offset)
	if c.stripes.heard() {
		c.teller.noted()
	}
}

// refuse counts a measurement that isn't recorded.
func (c *client) refuse() { c.count(segment.OffRefused) }

// open publishes the segment, or does with private memory, or with none.
func (c *client) open() {
	c.made, c.instruments = map[string]cell{}, map[string]instrument{}
	if c.getenv == nil {
		c.getenv = os.Getenv
	}
	resource, err := resourceRecord(c.getenv)
	if err != nil {
		c.environment = append(c.environment, err)
	}

	switch transport := c.getenv("HOTPATH_TRANSPORT"); transport {
	case "", "shm":
		c.publish(resource)
	case "bpf":
		c.publishMemfd(resource)
	case "off":
		c.unpublished = "HOTPATH_TRANSPORT is off"
	case "user_events":
		c.unpublished = "HOTPATH_TRANSPORT is user_events"
		c.teller = new(updates)
	case "io_uring":
		m, ignored := newMessages(c.getenv)
		c.environment = append(c.environment, ignored...)
		if c.noRings = tryRings(m.setup()); c.noRings != nil {
			c.publish(resource)
			break
		}
		c.unpublished = "HOTPATH_TRANSPORT is io_uring"
		c.teller = m
	default:
		c.unpublished = fmt.Sprintf("HOTPATH_TRANSPORT %q is unknown", transport)
		fmt.Fprintf(os.Stderr, "hotpath: %s (want shm, bpf, user_events, io_uring or off); counting goes on in private memory\n", c.unpublished)
	}
	if c.mapping == nil {
		if c.mapping, err = newPrivate(); err == nil {
			err = c.mapping.begin(rand.Uint64(), resource)
		}
		if err != nil {
			c.mapping = nil
			c.unpublished += ", " + err.Error()
			c.header.Store(new(header))
			return
		}
	}
	c.stripes.limit.Store(uint32(c.mapping.geometry.stripes - 1))
	c.stripes.stride = uintptr(c.mapping.stripe)
	c.stripes.client = c
	c.stripes.rings.begin(c.mapping, c.path)
	c.header.Store((*header)(c.mapping.base))
	if c.teller != nil {
		c.joints = newJoints()
		if err := c.teller.begin(c); err != nil {
			c.joints = nil
			c.unpublished = c.getenv("HOTPATH_TRANSPORT") + ": " + err.Error()
			c.teller = nil
		}
	}
}

// publish publishes the segment in the directory, or as a memfd where that can't be.
func (c *client) publish(resource []byte) {
	if err := c.publishFile(resource); err != nil {
		c.unpublished = advised(err).Error()
		c.publishMemfd(resource)
	}
}

// publishFile publishes the segment in the directory.
func (c *client) publishFile(resource []byte) error {
	path := c.getenv("HOTPATH_DIR")
	if path == "" {
		path = defaultDirectory
	}
	d, err := openDirectory(path)
	if err != nil {
		return err
	}
	defer d.close()
	m, err := publish(d, resource)
	if err != nil {
		return err
	}
	c.mapping, c.path = m, filepath.Join(path, m.name())
	return nil
}

// publishMemfd publishes the segment as a memfd, or keeps why not.
func (c *client) publishMemfd(resource []byte) {
	m, err := publish(memfd{}, resource)
	switch {
	case err == nil:
		c.mapping, c.memfd = m, true
	case c.unpublished == "":
		c.unpublished = err.Error()
	case c.unpublished != err.Error(): // some limits hold for both
		c.unpublished += "; " + err.Error()
	}
}

// begin writes the header and the resource.
func (m *mapping) begin(id uint64, resource []byte) error {
	if err := m.reserveCatalogue(segment.HeaderSize + len(resource)); err != nil {
		return err
	}
	h := segment.Header{
		FileSize:        uint64(m.size()),
		StartTime:       uint64(time.Now().UnixNano()),
		PID:             uint64(os.Getpid()),
		Instance:        instance(),
		SegmentID:       id,
		CatalogueOffset: segment.HeaderSize,
		CatalogueSize:   uint64(m.catalogue - segment.HeaderSize),
		SharedOffset:    uint64(m.shared.offset),
		SharedSize:      uint64(m.shared.size),
		StripesOffset:   uint64(m.stripes.offset),
		StripeSize:      uint64(m.stripe),
		StripeCount:     uint64(m.geometry.stripes),
	}
	if m.geometry.rings > 0 {
		h.RingsOffset = uint64(m.rings.offset)
		h.RingSize = uint64(m.ring)
		h.RingWords = uint64(m.ringWords)
		h.RingCount = uint64(m.geometry.rings)
	}
	h.Put(m.bytes(0, segment.HeaderSize))
	m.append(resource)
	atomic.StoreUint64(m.word(segment.OffStripesUsed), 1)
	return nil
}

// append publishes a record for which there is memory.
func (m *mapping) append(record []byte) {
	copy(m.bytes(segment.HeaderSize+m.used, len(record)), record)
	m.used += len(record)
	atomic.StoreUint64(m.word(segment.OffCatalogueUsed), uint64(m.used))
}

// wantStripe gives P p a stripe of its own, if there is memory and nobody else is at it.
func (c *client) wantStripe(p int) {
	if uint(p) >= uint(c.stripes.limit.Load()) || !c.mu.TryLock() {
		return
	}
	defer c.mu.Unlock()
	before := c.mapping.stripes.copies
	for c.mapping.stripes.copies <= p+1 {
		if !c.mapping.addCopy(&c.mapping.stripes) {
			c.stripes.limit.Store(uint32(c.mapping.stripes.copies - 1)) // all others go on in stripe 0
			break
		}
	}
	atomic.StoreUint64(c.mapping.word(segment.OffStripesUsed), uint64(c.mapping.stripes.copies))
	c.stripes.ready.Add(int32(c.mapping.stripes.copies - before))
}

// firstWord is where a series with a slot is counted.
func (c *client) firstWord(a *area, slot int) cell {
	word := c.mapping.at(a.offset + slot*8)
	if a == &c.mapping.stripes {
		word = unsafe.Add(word, a.size) // stripe 1, of P 0
	}
	return cell{word, &c.stripes}
}

// flush tells what there is to tell. Before the first series there is nothing.
func (c *client) flush() {
	if c.stripes.heard() {
		c.teller.flush()
	}
}
