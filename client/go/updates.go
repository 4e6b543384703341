//go:build linux && (amd64 || arm64)

package hotpath

import (
	"encoding/binary"
	"math"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/client/go/userevent"
)

// updates writes state updates as user_events, as docs/wire-formats.md describes them.
type updates struct {
	client     *client
	descriptor atomic.Pointer[descriptor] // nil after it was closed and could not be opened again
	header     userevent.Update           // what all have in common
	resource   []byte
	sequences  unsafe.Pointer // a sequence for each word of a stripe, then for each of the shared area

	tooLong   int           // series; under the client's lock, as is
	closed    error         // why there is no descriptor
	probe     int32         // a bit like that of the client, which nobody looks at
	misses    atomic.Uint64 // updates that nobody heard
	failed    atomic.Uint64
	lastError atomic.Uintptr // as unix.Errno
}

// listeners keeps clients reachable: the kernel goes on writing into them.
var listeners struct {
	sync.Mutex
	clients []*client
}

// begin prepares for the series of a client that has none yet, and registers the event.
func (u *updates) begin(c *client) error {
	if err := u.prepare(c); err != nil {
		return err
	}
	listeners.Lock()
	listeners.clients = append(listeners.clients, c)
	listeners.Unlock()
	d, err := u.register()
	if err != nil {
		return err
	}
	u.descriptor.Store(d)
	return nil
}

func (u *updates) prepare(c *client) error {
	m := c.mapping
	words := (m.stripes.size + m.shared.size) / 8
	table, err := mapMemory(nil, words*int(unsafe.Sizeof(sequence{})), -1, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return err
	}
	h := c.header.Load()
	u.client, u.sequences = c, table
	u.resource = m.bytes(segment.HeaderSize, m.used)
	u.header = userevent.Update{
		Segment:     h.load(segment.OffSegmentID),
		Start:       h.load(segment.OffStartTime),
		Instance:    [segment.InstanceSize]byte(m.bytes(segment.OffInstance, segment.InstanceSize)),
		PID:         uint32(h.load(segment.OffPID)),
		ResourceLen: uint16(m.used), // a longer one leaves no room for any series
	}
	return nil
}

// total writes an update of a counter or updowncounter, given its word in the stripe of P 0.
func (u *updates) total(word unsafe.Pointer) {
	s := u.ofStripes(word)
	if s.size == 0 {
		return
	}
	update := u.next(s)
	for stripe := range u.client.stripes.copies() {
		update.Value += atomic.LoadUint64((*uint64)(u.in(stripe, word)))
	}
	u.write(s, &update, nil)
}

// gauge writes an update of a gauge, given its word.
func (u *updates) gauge(word unsafe.Pointer) {
	s := u.ofGauge(word)
	if s.size == 0 {
		return
	}
	update := u.next(s)
	update.Value = atomic.LoadUint64((*uint64)(word))
	u.write(s, &update, nil)
}

// histogram writes an update of a histogram, given its first word in the stripe of P 0.
func (u *updates) histogram(word unsafe.Pointer, _ int) {
	s := u.ofStripes(word)
	if s.size == 0 {
		return
	}
	update := u.next(s)
	var buckets [segment.HistogramBuckets]uint64
	sum := 0.0
	for stripe := range u.client.stripes.copies() {
		words := (*[segment.HistogramWords]uint64)(u.in(stripe, word))
		sum += math.Float64frombits(atomic.LoadUint64(&words[segment.HistogramSum]))
		update.Zero += atomic.LoadUint64(&words[segment.HistogramZero])
		for i := range buckets {
			buckets[i] += atomic.LoadUint64(&words[segment.HistogramFirstBucket+i])
		}
	}
	update.Value = math.Float64bits(sum)
	from, to := used(&buckets)
	for {
		end := min(to, from+userevent.MaxBuckets)
		update.First, update.Flags = uint16(from), 0
		if end < to {
			update.Flags = userevent.FlagMore
		}
		u.write(s, &update, buckets[from:end])
		if end == to {
			return
		}
		from = end
	}
}

// used is the range of the buckets that aren't empty, without its end.
func used(buckets *[segment.HistogramBuckets]uint64) (from, to int) {
	for i, n := range buckets {
		if n == 0 {
			continue
		}
		if to == 0 {
			from = i
		}
		to = i + 1
	}
	return from, to
}

// noted has nothing to tell: no update has the header's counters, and each has its record.
func (*updates) noted() {}

// flush has nothing to do: no update waits.
func (*updates) flush() {}

// in is the same word in a stripe, given that in the stripe of P 0, which is stripe 1.
func (u *updates) in(stripe int, word unsafe.Pointer) unsafe.Pointer {
	return unsafe.Add(word, (stripe-1)*int(u.client.stripes.stride))
}

// write writes an update with these buckets.
func (u *updates) write(s *sequence, update *userevent.Update, buckets []uint64) {
	update.BucketsLen = uint16(len(buckets) * 8)
	var head [userevent.IndexSize + userevent.HeaderSize]byte
	update.Put(head[userevent.IndexSize:])
	record := u.client.mapping.bytes(int(s.record), int(s.size))
	d := u.descriptor.Load()
	// A number that was closed may stand for another file by now. Asking costs a fraction of the write; there is no way to
	// ask and write at once.
	if d == nil || !d.ours() {
		if d = u.reopen(d); d == nil {
			return
		}
	}
	binary.NativeEndian.PutUint32(head[:], d.index)
	switch errno := d.write(&head, record, u.resource, buckets); errno {
	case 0:
	case unix.EBADF: // nobody listens any more
		u.unheard(d)
	default:
		u.failed.Add(1)
		u.lastError.Store(uintptr(errno))
	}
}
