//go:build linux && (amd64 || arm64)

package hotpath

import (
	"math"
	"sync/atomic"
	"unsafe"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

// AddWith adds n to the series that has these attributes and the counter's own. Of equal keys those of the call count.
func (c Counter) AddWith(n uint64, attributes ...Attribute) {
	if len(attributes) == 0 {
		c.Add(n)
		return
	}
	c.cell.record(segment.KindCounter, n, 0, attributes)
}

// AddWith adds n, which may be negative, to the series that has these attributes and the updowncounter's own. Of equal
// keys those of the call count.
func (c UpDownCounter) AddWith(n int64, attributes ...Attribute) {
	if len(attributes) == 0 {
		c.Add(n)
		return
	}
	c.cell.record(segment.KindUpDownCounter, uint64(n), 0, attributes)
}

// SetWith sets the value of the series that has these attributes and the gauge's own. Of equal keys those of the call count.
func (g Gauge) SetWith(value float64, attributes ...Attribute) {
	if len(attributes) == 0 {
		g.Set(value)
		return
	}
	g.cell.record(segment.KindGauge, gaugeBits(value), uint64(nanotime()), attributes)
}

// RecordWith records a value in the series that has these attributes and the histogram's own. Of equal keys those of the
// call count. NaN, infinities and negative values are refused.
func (h Histogram) RecordWith(value float64, attributes ...Attribute) {
	if len(attributes) == 0 {
		h.Record(value)
		return
	}
	if !(value >= 0 && value <= math.MaxFloat64) {
		h.cell.refuse()
		return
	}
	h.cell.record(segment.KindHistogram, math.Float64bits(value), 0, attributes)
}

// refuse counts a measurement of the cell that isn't recorded.
func (c cell) refuse() {
	if c.stripes == nil {
		process.refuse()
		return
	}
	c.stripes.client.refuse()
}

// measurement is what is written into a ring.
type measurement struct {
	kind       uint8
	slot       uint32
	value      uint64
	time       uint64 // of a gauge
	attributes []Attribute
}

// record writes a measurement into the ring of this P, which nobody else writes to meanwhile.
func (c cell) record(kind uint8, value, time uint64, attributes []Attribute) {
	if c.stripes == nil {
		process.refuse()
		return
	}
	r := &c.stripes.rings
	var m measurement // field by field: a literal would be made elsewhere and copied, and the copying waits for the making
	m.kind = kind
	m.slot = r.slot(kind, c.word)
	m.value = value
	m.time = time
	m.attributes = attributes
	p := procPin()
	if p < len(r.of) {
		if ring := atomic.LoadPointer(&r.of[p]); ring != nil {
			from, to := r.write(ring, &m)
			procUnpin()
			if from == to {
				c.refuse()
			} else if (from^to)&-(r.words/4) != 0 {
				r.doorbell.ring()
			}
			return
		}
	}
	procUnpin()
	c.recordAside(p, &m)
}

// recordAside records where P p has no ring yet, or none can be had, or there is a teller instead of a reader.
func (c cell) recordAside(p int, m *measurement) {
	client := c.stripes.client
	switch {
	case client.teller != nil:
		if made := client.joint(c, m); made.stripes != nil {
			made.measure(m)
		} else {
			client.refuse()
		}
	case client.wantRing(p):
		c.record(m.kind, m.value, m.time, m.attributes)
	default:
		client.count(segment.OffUnrecorded)
	}
}

// write appends a measurement to a ring and returns the head before and after, which are the same if it can't be recorded.
func (r *rings) write(ring unsafe.Pointer, m *measurement) (from, to uint64) {
	// This load is more than it seems on arm64: with the store-release of the measurement before (there, too, by
	// sync/atomic) it keeps the stores that follow behind that.
	head := atomic.LoadUint64((*uint64)(ring))
	first, at := unsafe.Add(ring, segment.RingFirst), head&(r.words-1)
	before := *(*uint64)(unsafe.Add(first, (head-1)&(r.words-1)*8))
	number := (before>>segment.TrailerWordsBits + 1) << segment.TrailerWordsBits
	var words uint64
	if at+segment.MaxMeasurement <= r.words {
		words = m.put(unsafe.Add(first, at*8), number)
	} else {
		words = m.putAround(unsafe.Slice((*uint64)(first), r.words), at, number)
	}
	if words > 0 {
		atomic.StoreUint64((*uint64)(ring), head+words)
	}
	return head, head + words
}

// putAround puts a measurement at the end of a ring and, if need be, its rest at the beginning.
func (m *measurement) putAround(ring []uint64, at, number uint64) (words uint64) {
	var whole [segment.MaxMeasurement]uint64
	words = m.put(unsafe.Pointer(&whole), number)
	n := copy(ring[at:], whole[:words])
	copy(ring, whole[n:words])
	return words
}

// put puts the words of a measurement where there is room for the largest, and returns how many they are: none if it can't be recorded.
func (m *measurement) put(at unsafe.Pointer, number uint64) (words uint64) {
	attributes := m.attributes
	if len(attributes) > segment.MaxAttributes {
		return 0
	}
	*(*uint64)(at) = uint64(m.slot) | uint64(m.kind)<<(8*segment.MeasurementKind) | uint64(len(attributes))<<(8*segment.MeasurementAttributes)
	*(*uint64)(unsafe.Add(at, segment.MeasurementValue)) = m.value
	used := segment.MeasurementHeaderSize
	if m.kind == segment.KindGauge {
		*(*uint64)(unsafe.Add(at, segment.MeasurementTime)) = m.time
		used += 8
	}
	for i := range attributes {
		a := &attributes[i]
		kind, length, key := a.kind(), a.length(), len(a.key)
		next := used + (segment.AttributeHeaderSize+key+length+7)&^7
		if uint(key-1) >= segment.MaxKey || next > (segment.MaxMeasurement-1)*8 {
			return 0
		}
		*(*uint64)(unsafe.Add(at, next-8)) = 0 // ahead of the text, which may leave some of it
		to := unsafe.Add(at, used)
		*(*uint64)(to) = uint64(key) | uint64(kind)<<(8*segment.AttributeType) | uint64(length)<<(8*segment.AttributeValueLen)
		to = unsafe.Add(to, segment.AttributeHeaderSize)
		copyText(to, unsafe.Pointer(unsafe.StringData(a.key)), key)
		if to = unsafe.Add(to, key); kind == segment.AttributeString {
			copyText(to, unsafe.Pointer(a.text), length)
		} else {
			*(*uint64)(to) = a.bits
		}
		used = next
	}
	words = uint64(used/8 + 1)
	*(*uint64)(unsafe.Add(at, used)) = number | words
	return words
}

// copyText copies n bytes. Most texts are short, and then a call to copy costs more than the copying.
func copyText(to, from unsafe.Pointer, n int) {
	switch {
	case n > 16:
		copy(unsafe.Slice((*byte)(to), n), unsafe.Slice((*byte)(from), n))
	case n >= 8:
		*(*uint64)(to) = *(*uint64)(from)
		*(*uint64)(unsafe.Add(to, n-8)) = *(*uint64)(unsafe.Add(from, n-8))
	case n >= 4:
		*(*uint32)(to) = *(*uint32)(from)
		*(*uint32)(unsafe.Add(to, n-4)) = *(*uint32)(unsafe.Add(from, n-4))
	default:
		for i := range n {
			*(*byte)(unsafe.Add(to, i)) = *(*byte)(unsafe.Add(from, i))
		}
	}
}
