package segment

import (
	"encoding/binary"
	"slices"
	"strings"
)

// Attribute is a key with a value: Str for strings, Bits for all other types
// (two's complement, IEEE 754 bits, 0 or 1).
type Attribute struct {
	Key  string
	Str  string
	Bits uint64
	Type uint8
}

// Canonical sorts attributes by key and drops all but the last of those with
// equal keys, so that equal sets become equal bytes. It works in place.
func Canonical(attributes []Attribute) []Attribute {
	byKey := func(a, b Attribute) int { return strings.Compare(a.Key, b.Key) }
	slices.SortStableFunc(attributes, byKey)
	kept := attributes[:0]
	for i, a := range attributes {
		if i+1 < len(attributes) && attributes[i+1].Key == a.Key {
			continue
		}
		kept = append(kept, a)
	}
	return kept
}

func (a *Attribute) valueLen() int {
	if a.Type == AttributeString {
		return len(a.Str)
	}
	return 8
}

func (a *Attribute) size() int {
	return align8(AttributeHeaderSize + len(a.Key) + a.valueLen())
}

func (a *Attribute) append(dst []byte) []byte {
	dst = binary.NativeEndian.AppendUint16(dst, uint16(len(a.Key)))
	dst = append(dst, a.Type, 0)
	dst = binary.NativeEndian.AppendUint32(dst, uint32(a.valueLen()))
	dst = append(dst, a.Key...)
	if a.Type == AttributeString {
		dst = append(dst, a.Str...)
	} else {
		dst = binary.NativeEndian.AppendUint64(dst, a.Bits)
	}
	return pad8(dst, AttributeHeaderSize+len(a.Key)+a.valueLen())
}
