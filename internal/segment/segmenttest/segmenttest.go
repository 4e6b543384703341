// Package segmenttest writes segments for tests, good ones and bad ones.
package segmenttest

import (
	"encoding/binary"
	"math"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// Str makes an attribute of type string.
func Str(key, value string) emit.Attribute {
	return emit.Attribute{Key: key, Type: emit.AttributeString, Str: value}
}

// Int makes an attribute of type int64.
func Int(key string, value int64) emit.Attribute {
	return emit.Attribute{Key: key, Type: emit.AttributeInt, Bits: uint64(value)}
}

// Double makes an attribute of type double.
func Double(key string, value float64) emit.Attribute {
	return emit.Attribute{Key: key, Type: emit.AttributeDouble, Bits: math.Float64bits(value)}
}

// Bool makes an attribute of type bool.
func Bool(key string, value bool) emit.Attribute {
	a := emit.Attribute{Key: key, Type: emit.AttributeBool}
	if value {
		a.Bits = 1
	}
	return a
}

// Record is a catalogue record. Nothing in it is checked, sorted or shortened.
type Record struct {
	Kind, Flags             uint8
	Slot                    uint64
	Name, Unit, Description string
	Attributes              []emit.Attribute
}

// Append appends the record's bytes.
func (r Record) Append(b []byte) []byte {
	start := len(b)
	b = append(b, make([]byte, layout.RecordHeaderSize)...)
	b[start+layout.RecordKind], b[start+layout.RecordFlags] = r.Kind, r.Flags
	binary.NativeEndian.PutUint16(b[start+layout.RecordAttributes:], uint16(len(r.Attributes)))
	binary.NativeEndian.PutUint64(b[start+layout.RecordSlot:], r.Slot)
	binary.NativeEndian.PutUint16(b[start+layout.RecordNameLen:], uint16(len(r.Name)))
	binary.NativeEndian.PutUint16(b[start+layout.RecordUnitLen:], uint16(len(r.Unit)))
	binary.NativeEndian.PutUint32(b[start+layout.RecordDescriptionLen:], uint32(len(r.Description)))
	b = pad(append(append(append(b, r.Name...), r.Unit...), r.Description...), start)
	for _, a := range r.Attributes {
		b = appendAttribute(b, a)
	}
	binary.NativeEndian.PutUint32(b[start+layout.RecordSize:], uint32(len(b)-start))
	return b
}

// appendAttribute appends an attribute to what is a multiple of 8 bytes long.
func appendAttribute(b []byte, a emit.Attribute) []byte {
	start := len(b)
	value := []byte(a.Str)
	if a.Type != emit.AttributeString {
		value = binary.NativeEndian.AppendUint64(nil, a.Bits)
	}
	b = binary.NativeEndian.AppendUint16(b, uint16(len(a.Key)))
	b = append(b, byte(a.Type), 0)
	b = binary.NativeEndian.AppendUint32(b, uint32(len(value)))
	return pad(append(append(b, a.Key...), value...), start)
}

func pad(b []byte, start int) []byte {
	for (len(b)-start)%8 != 0 {
		b = append(b, 0)
	}
	return b
}

// Resource makes a resource record.
func Resource(attributes ...emit.Attribute) Record {
	return Record{Kind: layout.KindResource, Attributes: attributes}
}

// Counter makes a counter's record.
func Counter(slot uint64, name string, attributes ...emit.Attribute) Record {
	return Record{Kind: layout.KindCounter, Slot: slot, Name: name, Unit: "1", Attributes: attributes}
}

// UpDownCounter makes an updowncounter's record.
func UpDownCounter(slot uint64, name string, attributes ...emit.Attribute) Record {
	return Record{Kind: layout.KindUpDownCounter, Slot: slot, Name: name, Unit: "1", Attributes: attributes}
}

// Gauge makes a gauge's record.
func Gauge(slot uint64, name string, attributes ...emit.Attribute) Record {
	return Record{Kind: layout.KindGauge, Slot: slot, Name: name, Unit: "1", Attributes: attributes}
}

// Histogram makes a histogram's record.
func Histogram(slot uint64, name string, attributes ...emit.Attribute) Record {
	return Record{Kind: layout.KindHistogram, Slot: slot, Name: name, Unit: "s", Attributes: attributes}
}

// Where the areas of segments made here are, in bytes.
const (
	CatalogueOffset = 4096
	CatalogueSize   = 64 << 10
	SharedOffset    = CatalogueOffset + CatalogueSize
	SharedSize      = 4096
	StripesOffset   = SharedOffset + SharedSize
	StripeSize      = 32 << 10
)

// Segment is what a test wants to be in one.
type Segment struct {
	StartTime   int64 // UNIX nanoseconds; 0 means 1
	PID         uint64
	Instance    [layout.InstanceSize]byte
	ID          uint64
	StripeCount int // 0 means 2
	StripesUsed int // 0 means 1
	RingCount   int // 0: it has no measurement rings
	RingWords   int // 0 means the least that there may be
	RingsUsed   int
	Records     []Record
}

// Bytes makes the whole segment. All values are zero, and gauges set to zero.
func (s Segment) Bytes() []byte {
	if s.StripeCount == 0 {
		s.StripeCount = 2
	}
	if s.StripesUsed == 0 {
		s.StripesUsed = 1
	}
	if s.StartTime == 0 {
		s.StartTime = 1
	}
	if s.RingWords == 0 && s.RingCount > 0 {
		s.RingWords = layout.MinRingWords
	}
	ringsOffset, ringSize := 0, 0
	size := StripesOffset + s.StripeCount*StripeSize
	if s.RingCount > 0 {
		ringsOffset, ringSize = size, layout.RingFirst+s.RingWords*8
		size += s.RingCount * ringSize
	}
	b := make([]byte, size)
	copy(b, layout.Magic)
	binary.NativeEndian.PutUint32(b[layout.OffMajor:], layout.Major)
	binary.NativeEndian.PutUint32(b[layout.OffMinor:], layout.Minor)
	copy(b[layout.OffInstance:], s.Instance[:])
	catalogue := b[:CatalogueOffset]
	for _, r := range s.Records {
		catalogue = r.Append(catalogue)
	}
	for offset, value := range map[int]uint64{
		layout.OffHeaderSize:      layout.HeaderSize,
		layout.OffFileSize:        uint64(len(b)),
		layout.OffStartTime:       uint64(s.StartTime),
		layout.OffPID:             s.PID,
		layout.OffSegmentID:       s.ID,
		layout.OffCatalogueOffset: CatalogueOffset,
		layout.OffCatalogueSize:   CatalogueSize,
		layout.OffSharedOffset:    SharedOffset,
		layout.OffSharedSize:      SharedSize,
		layout.OffStripesOffset:   StripesOffset,
		layout.OffStripeSize:      StripeSize,
		layout.OffStripeCount:     uint64(s.StripeCount),
		layout.OffCatalogueUsed:   uint64(len(catalogue) - CatalogueOffset),
		layout.OffStripesUsed:     uint64(s.StripesUsed),
		layout.OffRingsOffset:     uint64(ringsOffset),
		layout.OffRingSize:        uint64(ringSize),
		layout.OffRingWords:       uint64(s.RingWords),
		layout.OffRingCount:       uint64(s.RingCount),
		layout.OffRingsUsed:       uint64(s.RingsUsed),
	} {
		Put(b, offset, value)
	}
	return b
}

// Put stores a word.
func Put(b []byte, offset int, value uint64) { binary.NativeEndian.PutUint64(b[offset:], value) }

// StripeWord is the offset of a word in a stripe.
func StripeWord(stripe, word int) int { return StripesOffset + stripe*StripeSize + word*8 }

// SharedWord is the offset of a word in the shared area.
func SharedWord(word int) int { return SharedOffset + word*8 }
