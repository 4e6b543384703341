package segment

import (
	"encoding/binary"
	"slices"
	"strings"
	"unsafe"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// Measurement is one value that was recorded into a ring.
type Measurement struct {
	Slot  uint32
	Kind  uint8
	Value uint64
	Time  uint64 // of a gauge
	// Key is equal for measurements of one series whose attributes lie there equally. It is part of the words that were parsed.
	Key []byte
}

// ParseMeasurement takes the words of a measurement without its trailer, and may change them. It is not ok if it
// is of no kind that this version knows, or too short for its kind.
func ParseMeasurement(words []uint64) (m Measurement, ok bool) {
	const value, time = layout.MeasurementValue / 8, layout.MeasurementTime / 8
	if len(words) <= value {
		return m, false
	}
	first := bytesOf(words[:1])
	m.Slot = binary.NativeEndian.Uint32(first[layout.MeasurementSlot:])
	m.Kind = first[layout.MeasurementKind]
	m.Value = words[value]
	last := value
	switch m.Kind {
	case layout.KindGauge:
		if len(words) <= time {
			return m, false
		}
		m.Time = words[time]
		last = time
	case layout.KindCounter, layout.KindUpDownCounter, layout.KindHistogram:
	default:
		return m, false
	}
	// So that what identifies it is in one piece.
	words[last] = words[0]
	m.Key = bytesOf(words[last:])
	return m, true
}

// Attributes returns the measurement's attributes together with those of its series, which are outweighed by equal keys, sorted by key.
// It is not ok if those of the measurement are malformed.
func (m *Measurement) Attributes(own []emit.Attribute) (all []emit.Attribute, ok bool) {
	n := int(binary.NativeEndian.Uint16(m.Key[layout.MeasurementAttributes:]))
	if n > layout.MaxAttributes {
		return nil, false
	}
	b := m.Key[8:]
	for range n {
		a, rest, ok := nextAttribute(b, 0)
		if !ok {
			return nil, false
		}
		b = rest
		given, ok := a.given()
		if !ok {
			return nil, false
		}
		all = insert(all, given, true)
	}
	if len(b) > 0 {
		return nil, false
	}
	for _, a := range own {
		if len(all) == layout.MaxAttributes {
			break
		}
		all = insert(all, a, false)
	}
	return all, true
}

// given makes text of a call what clients make of that of a new series.
func (a *Attribute) given() (emit.Attribute, bool) {
	if len(a.Key) == 0 || len(a.Key) > layout.MaxKey {
		return emit.Attribute{}, false
	}
	given := emit.Attribute{Key: layout.Text(string(a.Key), layout.MaxKey), Type: a.Type}
	if a.Type == emit.AttributeString {
		given.Str = layout.Text(string(a.Value), layout.MaxString)
		return given, true
	}
	bits, ok := a.Bits()
	switch a.Type {
	case emit.AttributeBool:
		ok = ok && bits <= 1
	case emit.AttributeInt, emit.AttributeDouble:
	default:
		ok = false
	}
	given.Bits = bits
	return given, ok
}

// insert puts an attribute where it belongs by its key, in the place of an equal one only if it outweighs that.
func insert(all []emit.Attribute, a emit.Attribute, outweighs bool) []emit.Attribute {
	i, found := slices.BinarySearchFunc(all, a.Key, func(b emit.Attribute, key string) int { return strings.Compare(b.Key, key) })
	switch {
	case !found:
		return slices.Insert(all, i, a)
	case outweighs:
		all[i] = a
	}
	return all
}

// bytesOf is the memory of words, of which there is at least one.
func bytesOf(words []uint64) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), len(words)*8)
}
