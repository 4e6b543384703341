package emit

import "encoding/binary"

// fractional marks the kind in the identity of an instrument whose totals are doubles.
const fractional = 0x80

// ID returns the [Series.ID] of the instrument's series with these attributes. They are sorted by key; no text is
// longer than the segment format allows.
func (i *Instrument) ID(attributes []Attribute) string {
	kind := byte(i.Kind)
	if i.Double {
		kind |= fractional
	}
	id := append([]byte{kind, byte(len(i.Name)), byte(len(i.Unit))}, i.Name...)
	id = append(id, i.Unit...)
	for _, a := range attributes {
		size := 8
		if a.Type == AttributeString {
			size = len(a.Str)
		}
		id = append(id, byte(len(a.Key)), byte(a.Type))
		id = binary.NativeEndian.AppendUint16(id, uint16(size))
		id = append(id, a.Key...)
		if a.Type == AttributeString {
			id = append(id, a.Str...)
		} else {
			id = binary.NativeEndian.AppendUint64(id, a.Bits)
		}
	}
	return string(id)
}
