//go:build linux && (amd64 || arm64)

package hotpath

import (
	"math"
	"sync/atomic"
	"unsafe"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

// cell is where a series is counted: word is its first word in the stripe of P 0.
// The memory is never Go's and never unmapped, so the race detector and the garbage collector pass over it.
type cell struct {
	word    unsafe.Pointer
	stripes *stripes
}

// stripes is what a measurement has to know of them. It hardly ever changes, so
// all Ps keep it in their caches.
type stripes struct {
	// ready is how many Ps have their stripes reserved, from P 0 on. While somebody listens to user_events, the
	// kernel keeps its sign bit set, and with io_uring it always is, so that the comparison that is made anyway sends every measurement
	// aside. Hence it is only changed by atomic operations that keep that bit.
	ready  atomic.Int32
	limit  atomic.Uint32 // Ps that may be given a stripe
	stride uintptr       // bytes from one stripe to the next
	client *client
	_      [40]byte
	rings  rings
}

// copies is how many stripes may hold values.
func (s *stripes) copies() int { return int(s.ready.Load()&math.MaxInt32) + 1 }

// heard reports whether the teller is to be told of updates.
func (s *stripes) heard() bool { return s.ready.Load() < 0 }

// Add adds n.
//
//go:nosplit
func (c Counter) Add(n uint64) { add(c.cell.word, c.cell.stripes, n) }

// Add adds n, which may be negative.
//
//go:nosplit
func (c UpDownCounter) Add(n int64) { add(c.cell.word, c.cell.stripes, uint64(n)) }

// add is a plain add, since nobody else runs on this P and its stripe has no other writer.
// It takes a cell's fields one by one: of a struct, the compiler would save each twice around the calls.
//
//go:nosplit
func add(word unsafe.Pointer, s *stripes, n uint64) {
	p := procPin()
	if s != nil && p < int(s.ready.Load()) {
		*(*uint64)(unsafe.Add(word, uintptr(p)*s.stride)) += n
		procUnpin()
		return
	}
	procUnpin()
	addAside(cell{word, s}, p, n)
}

// addAside adds where P p has no stripe of its own, or somebody listens.
func addAside(c cell, p int, n uint64) {
	if c.stripes == nil {
		process.refuse()
		return
	}
	atomic.AddUint64((*uint64)(c.anybodys(p)), n)
	if c.stripes.heard() {
		c.stripes.client.teller.total(c.word)
	}
}

// anybodys is the series' first word in stripe 0, where P p counts, with atomic adds,
// until it has a stripe of its own, and while somebody listens.
func (c cell) anybodys(p int) unsafe.Pointer {
	if !c.stripes.heard() {
		c.stripes.client.wantStripe(p)
	}
	return unsafe.Add(c.word, -int(c.stripes.stride))
}

// Record records a value. NaN, infinities and negative values are refused.
//
//go:nosplit
func (h Histogram) Record(value float64) {
	bucket, clamped := segment.BucketIndex(value)
	if clamped || h.cell.stripes == nil {
		h.recordOutside(value, bucket)
		return
	}
	p := procPin()
	if p < int(h.cell.stripes.ready.Load()) {
		word := unsafe.Add(h.cell.word, uintptr(p)*h.cell.stripes.stride)
		*(*uint64)(unsafe.Add(word, (segment.HistogramFirstBucket+bucket)*8))++
		*(*float64)(word) += value // segment.HistogramSum is word 0
		procUnpin()
		return
	}
	procUnpin()
	h.recordAside(p, bucket, value)
}

// recordAside records where P p has no stripe of its own, or somebody listens.
func (h Histogram) recordAside(p, bucket int, value float64) {
	addToHistogram(h.cell.anybodys(p), segment.HistogramFirstBucket+bucket, value)
	if h.cell.stripes.heard() {
		h.cell.stripes.client.teller.histogram(h.cell.word, segment.HistogramFirstBucket+bucket)
	}
}

// recordOutside records what lies in no bucket: zero, and what is clamped into one.
func (h Histogram) recordOutside(value float64, bucket int) {
	if h.cell.stripes == nil {
		process.refuse()
		return
	}
	if !(value >= 0 && value <= math.MaxFloat64) {
		h.cell.stripes.client.refuse()
		return
	}
	p := procPin()
	if p < int(h.cell.stripes.ready.Load()) {
		word := unsafe.Add(h.cell.word, uintptr(p)*h.cell.stripes.stride)
		if value == 0 {
			*(*uint64)(unsafe.Add(word, segment.HistogramZero*8))++
		} else {
			*(*uint64)(unsafe.Add(word, segment.HistogramClamped*8))++
			*(*uint64)(unsafe.Add(word, (segment.HistogramFirstBucket+bucket)*8))++
			*(*float64)(word) += value
		}
		procUnpin()
		return
	}
	procUnpin()
	word, counted := h.cell.anybodys(p), segment.HistogramZero
	if value == 0 {
		atomic.AddUint64((*uint64)(unsafe.Add(word, segment.HistogramZero*8)), 1)
	} else {
		atomic.AddUint64((*uint64)(unsafe.Add(word, segment.HistogramClamped*8)), 1)
		counted = segment.HistogramFirstBucket + bucket
		addToHistogram(word, counted, value)
	}
	if h.cell.stripes.heard() {
		h.cell.stripes.client.teller.histogram(h.cell.word, counted)
	}
}

// addToHistogram adds to a bucket and to the sum, atomically.
func addToHistogram(word unsafe.Pointer, bucket int, value float64) {
	atomic.AddUint64((*uint64)(unsafe.Add(word, bucket*8)), 1)
	sum := (*uint64)(word)
	for {
		old := atomic.LoadUint64(sum)
		if atomic.CompareAndSwapUint64(sum, old, math.Float64bits(math.Float64frombits(old)+value)) {
			return
		}
	}
}

// Set sets the value.
func (g Gauge) Set(value float64) {
	if g.direct == nil || value != value {
		g.cell.set(value)
		return
	}
	// A store of an aligned word is one store on amd64 and arm64. Nobody needs it in
	// order with others, and atomic.StoreUint64 would cost 20 times as much.
	*g.direct = value
}

// set sets what somebody may listen to. In Set there is no room for it, or the compiler would not inline it.
//
//go:nosplit
func (c cell) set(value float64) {
	if c.stripes != nil && value == value && c.stripes.ready.Load() >= 0 {
		*(*float64)(c.word) = value
		return
	}
	c.setAside(value)
}

// setAside sets NaN, and while somebody listens.
func (c cell) setAside(value float64) {
	if c.stripes == nil {
		process.refuse()
		return
	}
	atomic.StoreUint64((*uint64)(c.word), gaugeBits(value)) // ahead of its mark
	if c.stripes.heard() {
		c.stripes.client.teller.gauge(c.word)
	}
}

// gaugeBits are the bits of a gauge's value, which is set.
func gaugeBits(value float64) uint64 {
	bits := math.Float64bits(value)
	if bits == segment.GaugeUnset {
		return math.Float64bits(math.NaN())
	}
	return bits
}

// gauge is the handle of a gauge that is counted in the cell.
func (c cell) gauge() Gauge {
	g := Gauge{cell: c}
	if c.stripes != nil && c.stripes.client.teller == nil {
		g.direct = (*float64)(c.word)
	}
	return g
}
