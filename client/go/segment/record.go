package segment

import "encoding/binary"

// Record is a record of the catalogue: the resource, or a series.
type Record struct {
	Name        string
	Unit        string
	Description string
	Attributes  []Attribute
	Slot        uint64
	Kind        uint8
	Flags       uint8
}

// Size is the number of bytes that AppendRecord appends for canonical attributes.
func (r *Record) Size() int {
	size := align8(RecordHeaderSize + len(r.Name) + len(r.Unit) + len(r.Description))
	for i := range r.Attributes {
		size += r.Attributes[i].size()
	}
	return size
}

// AppendRecord appends the bytes of a record. It makes r.Attributes canonical;
// all else is taken as it is and has to keep the bounds that the format sets.
// Equal records give equal bytes.
func AppendRecord(dst []byte, r *Record) []byte {
	r.Attributes = Canonical(r.Attributes)
	dst = binary.NativeEndian.AppendUint32(dst, uint32(r.Size()))
	dst = append(dst, r.Kind, r.Flags)
	dst = binary.NativeEndian.AppendUint16(dst, uint16(len(r.Attributes)))
	dst = binary.NativeEndian.AppendUint64(dst, r.Slot)
	dst = binary.NativeEndian.AppendUint16(dst, uint16(len(r.Name)))
	dst = binary.NativeEndian.AppendUint16(dst, uint16(len(r.Unit)))
	dst = binary.NativeEndian.AppendUint32(dst, uint32(len(r.Description)))
	dst = append(dst, r.Name...)
	dst = append(dst, r.Unit...)
	dst = append(dst, r.Description...)
	dst = pad8(dst, RecordHeaderSize+len(r.Name)+len(r.Unit)+len(r.Description))
	for i := range r.Attributes {
		dst = r.Attributes[i].append(dst)
	}
	return dst
}

func align8(n int) int { return (n + 7) &^ 7 }

// pad8 appends the zeros that make a run of n bytes a multiple of 8 long.
func pad8(dst []byte, n int) []byte {
	var zeros [8]byte
	return append(dst, zeros[:align8(n)-n]...)
}
