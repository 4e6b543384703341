package format

import (
	"bytes"
	"encoding/binary"
	"math"
)

// Kind is what the bytes of a field's value are.
type Kind uint8

const (
	// Bytes are a structure, an array or anything else that is no number and no text.
	Bytes Kind = iota
	// Integer has 1, 2, 4 or 8 bytes; booleans, enumerations and pointers are integers.
	Integer
	// Text is an array of char that ends at the first NUL, if there is one.
	Text
)

// Location is where the bytes of a field's value are.
type Location uint8

const (
	// Inline values are in the field itself.
	Inline Location = iota
	// DataLoc fields hold the length and the distance from the start of the record (__data_loc).
	DataLoc
	// RelLoc fields hold the length and the distance from the end of the field (__rel_loc).
	RelLoc
)

// locationSize is that of a DataLoc and RelLoc field: the length in the upper 16 bits, the distance in the lower ones.
const locationSize = 4

// Field is a field of an event. The values of a record are what a process
// wrote; the kernel fills the last of its words up with whatever was there, so that a record may
// have up to three bytes more than were written.
type Field struct {
	Name string
	// Type is as in a declaration: "u32", "char[16]", "__rel_loc u8[]", "struct point".
	Type string
	// Offset is from the start of the record, Size that of the field and not of what it refers to, in bytes.
	Offset, Size int
	// ElementSize is that of one element of an array, or of the value if it is no array, in bytes; 0 if it is not known.
	ElementSize int
	// Signed says how an Integer is to be read.
	Signed   bool
	Kind     Kind
	Location Location
}

// Fields are those of an event, in the order of their declaration.
type Fields []Field

// Lookup returns the first field of a name, nil if there is none.
func (fields Fields) Lookup(name string) *Field {
	for i := range fields {
		if fields[i].Name == name {
			return &fields[i]
		}
	}
	return nil
}

// bits are the field's, extended by its sign to 64.
func (f *Field) bits(record []byte) (uint64, bool) {
	if f.Kind != Integer || f.Offset < 0 || f.Offset > len(record) {
		return 0, false
	}
	b := record[f.Offset:]
	if len(b) < f.Size {
		return 0, false
	}
	var bits uint64
	switch f.Size {
	case 8:
		return binary.NativeEndian.Uint64(b), true
	case 4:
		bits = uint64(binary.NativeEndian.Uint32(b))
	case 2:
		bits = uint64(binary.NativeEndian.Uint16(b))
	case 1:
		bits = uint64(b[0])
	default:
		return 0, false
	}
	if f.Signed {
		unused := 64 - 8*uint(f.Size)
		bits = uint64(int64(bits<<unused) >> unused)
	}
	return bits, true
}

// Uint returns the value of an Integer. It is false for other kinds, for what lies outside of the
// record, and for negative values.
func (f *Field) Uint(record []byte) (uint64, bool) {
	bits, ok := f.bits(record)
	if f.Signed && int64(bits) < 0 {
		return 0, false
	}
	return bits, ok
}

// Int returns the value of an Integer. It is false for other kinds, for what lies outside of the
// record, and for values above the largest int64.
func (f *Field) Int(record []byte) (int64, bool) {
	bits, ok := f.bits(record)
	if !f.Signed && bits > math.MaxInt64 {
		return 0, false
	}
	return int64(bits), ok
}

// Bytes returns the bytes of the value, of any kind, wherever they are. They are the record's
// own. It is false if they lie outside of the record.
func (f *Field) Bytes(record []byte) ([]byte, bool) {
	offset, size := f.Offset, f.Size
	if f.Location != Inline {
		if offset < 0 || size != locationSize || offset > len(record)-locationSize {
			return nil, false
		}
		location := binary.NativeEndian.Uint32(record[offset:])
		size = int(location >> 16)
		if f.Location == RelLoc {
			offset += locationSize
		} else {
			offset = 0
		}
		offset += int(location & 0xffff)
	}
	if offset < 0 || size < 0 || offset > len(record) || size > len(record)-offset {
		return nil, false
	}
	return record[offset : offset+size : offset+size], true
}

// Text returns the value's bytes up to the first NUL. They are the record's own and may be
// anything but a NUL. It is false if the value lies outside of the record, and for kinds other than Text.
func (f *Field) Text(record []byte) ([]byte, bool) {
	b, ok := f.Bytes(record)
	if !ok || f.Kind != Text {
		return nil, false
	}
	if end := bytes.IndexByte(b, 0); end >= 0 {
		b = b[:end]
	}
	return b, true
}
