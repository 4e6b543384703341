package segmenttest

import (
	"encoding/binary"
	"math"
	"sync/atomic"
	"unsafe"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// Measurement is what a call records. Nothing in it is checked, sorted or shortened.
type Measurement struct {
	Kind       uint8
	Slot       uint32
	Value      uint64
	Time       uint64 // of a gauge
	Attributes []emit.Attribute
}

// Of makes a measurement of the series in a record.
func (r Record) Of(value uint64, attributes ...emit.Attribute) Measurement {
	return Measurement{Kind: r.Kind, Slot: uint32(r.Slot), Value: value, Attributes: attributes}
}

// OfDouble makes a measurement of a histogram or, at a time, of a gauge.
func (r Record) OfDouble(value float64, time uint64, attributes ...emit.Attribute) Measurement {
	return Measurement{Kind: r.Kind, Slot: uint32(r.Slot), Value: math.Float64bits(value), Time: time, Attributes: attributes}
}

// Words are those of the measurement, without its trailer.
func (m Measurement) Words() []uint64 {
	b := binary.NativeEndian.AppendUint32(nil, m.Slot)
	b = append(b, m.Kind, 0)
	b = binary.NativeEndian.AppendUint16(b, uint16(len(m.Attributes)))
	b = binary.NativeEndian.AppendUint64(b, m.Value)
	if m.Kind == layout.KindGauge {
		b = binary.NativeEndian.AppendUint64(b, m.Time)
	}
	for _, a := range m.Attributes {
		b = appendAttribute(b, a)
	}
	words := make([]uint64, len(b)/8)
	for i := range words {
		words[i] = binary.NativeEndian.Uint64(b[i*8:])
	}
	return words
}

// Ring is a measurement ring that tests write, as one client's thread does.
type Ring struct {
	Head  *atomic.Uint64
	Words []uint64 // of a power of two
}

// NewRing makes a ring in private memory.
func NewRing(words int) *Ring { return &Ring{new(atomic.Uint64), make([]uint64, words)} }

// Ring is one of the segment's rings. It puts it into use.
func (l *Live) Ring(i int) *Ring {
	at := int(l.Word(layout.OffRingsOffset).Load()) + i*int(l.Word(layout.OffRingSize).Load())
	first := (*uint64)(unsafe.Pointer(&l.memory[at+layout.RingFirst]))
	r := &Ring{l.Word(at + layout.RingHead), unsafe.Slice(first, l.Word(layout.OffRingWords).Load())}
	used := l.Word(layout.OffRingsUsed)
	used.Store(max(used.Load(), uint64(i)+1))
	return r
}

// At is a word of all that were ever written.
func (r *Ring) At(n uint64) *uint64 { return &r.Words[n%uint64(len(r.Words))] }

// Last is the trailer before the head, or 0 in a ring that nothing was written to.
func (r *Ring) Last() uint64 {
	if r.Head.Load() == 0 {
		return 0
	}
	return *r.At(r.Head.Load() - 1)
}

// Write makes words a measurement, and returns its sequence number.
func (r *Ring) Write(words []uint64) uint64 {
	sequence := r.Last()>>layout.TrailerWordsBits + 1
	r.Raw(words, sequence<<layout.TrailerWordsBits|uint64(len(words)+1))
	return sequence
}

// Raw writes words with any trailer.
func (r *Ring) Raw(words []uint64, trailer uint64) {
	head := r.Head.Load()
	for i, w := range words {
		*r.At(head + uint64(i)) = w
	}
	*r.At(head + uint64(len(words))) = trailer
	r.Head.Store(head + uint64(len(words)) + 1)
}

// Record writes a measurement.
func (r *Ring) Record(m Measurement) { r.Write(m.Words()) }

// Copy is what a reader at a word finds, who reads the head twice with nothing in between.
func (r *Ring) Copy(from uint64) (words []uint64, head uint64) {
	head = r.Head.Load()
	for n := max(from, head-min(head, uint64(len(r.Words)))); n < head; n++ {
		words = append(words, *r.At(n))
	}
	return words, head
}
