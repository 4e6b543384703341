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

	tooLong   int   // series; under the client's lock, as is
	closed    error // why there is no descriptor
	failed    atomic.Uint64
	lastError atomic.Uintptr // as unix.Errno
}

// sequence is a series' sequence of updates. As the values it lies in memory that isn't Go's.
type sequence struct {
	number uint64 // of the last one
	record uint32 // where the record is, in bytes from the segment's start
	size   uint32 // of the record, 0 for a series that is too long to be sent
	series uint32
	_      uint32
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
	d, err := register(&c.stripes.ready)
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

// add begins the sequence of a series whose record is the next to be appended. It may take the record's description.
func (u *updates) add(r *segment.Record, made cell, series int) {
	u.keep()
	room := userevent.MaxSize - userevent.HeaderSize - len(u.resource)
	of := u.ofStripes
	switch r.Kind {
	case segment.KindHistogram:
		room -= userevent.MaxBuckets * 8
	case segment.KindGauge:
		of = u.ofGauge
	}
	if r.Size() > room {
		r.Description = ""
	}
	if r.Size() > room {
		u.tooLong++
		return
	}
	*of(made.word) = sequence{record: uint32(segment.HeaderSize + u.client.mapping.used), size: uint32(r.Size()), series: uint32(series)}
}

// ofStripes is the sequence of the series with this word in the stripe of P 0.
func (u *updates) ofStripes(word unsafe.Pointer) *sequence {
	m := u.client.mapping
	first := m.at(m.stripes.offset + m.stripes.size)
	return u.sequence((uintptr(word) - uintptr(first)) / 8)
}

// ofGauge is the sequence of the gauge with this word.
func (u *updates) ofGauge(word unsafe.Pointer) *sequence {
	m := u.client.mapping
	first := m.at(m.shared.offset)
	return u.sequence((uintptr(m.stripes.size) + uintptr(word) - uintptr(first)) / 8)
}

func (u *updates) sequence(i uintptr) *sequence {
	return (*sequence)(unsafe.Add(u.sequences, i*unsafe.Sizeof(sequence{})))
}

// next is the series' next update. What is read after that belongs to it: it covers all that was added before
// the number was taken, by whomever.
func (u *updates) next(s *sequence) userevent.Update {
	update := u.header
	update.Series = s.series
	update.RecordLen = uint16(s.size)
	update.Number = atomic.AddUint64(&s.number, 1)
	return update
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
func (u *updates) histogram(word unsafe.Pointer) {
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
	case 0, unix.EBADF: // nobody listens any more
	default:
		u.failed.Add(1)
		u.lastError.Store(uintptr(errno))
	}
}
