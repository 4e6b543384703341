package segment

import (
	"bytes"
	"encoding/binary"
	"slices"
	"unicode/utf8"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

const overflowKey = "otel.metric.overflow"

// Attribute is an attribute as it lies in its record: key and value are parts of the bytes that were parsed.
type Attribute struct {
	Offset     int64 // in the file
	Key, Value []byte
	Type       emit.AttributeType
}

// nextAttribute splits the first attribute off b, which is at an offset in the file. It fails only where the end
// of the attribute cannot be told.
func nextAttribute(b []byte, offset int64) (a Attribute, rest []byte, ok bool) {
	if len(b) < layout.AttributeHeaderSize {
		return Attribute{}, nil, false
	}
	keyLen := int(binary.NativeEndian.Uint16(b[layout.AttributeKeyLen:]))
	valueLen := int64(binary.NativeEndian.Uint32(b[layout.AttributeValueLen:]))
	size := align8(int64(layout.AttributeHeaderSize+keyLen) + valueLen)
	if size > int64(len(b)) {
		return Attribute{}, nil, false
	}
	key := b[layout.AttributeHeaderSize:][:keyLen]
	return Attribute{
		Offset: offset,
		Key:    key,
		Value:  b[layout.AttributeHeaderSize+keyLen:][:valueLen],
		Type:   emit.AttributeType(b[layout.AttributeType]),
	}, b[size:], true
}

// fault is the reason why an attribute cannot be delivered; it has none if it can.
func (a *Attribute) fault() Fault {
	key, value := a.Offset+layout.AttributeHeaderSize, a.Offset+layout.AttributeHeaderSize+int64(len(a.Key))
	if len(a.Key) == 0 || len(a.Key) > layout.MaxKey {
		return Fault{ErrAttributes, a.Offset + layout.AttributeKeyLen, "key len", nil, uint64(len(a.Key)), "1 to 255"}
	}
	if !utf8.Valid(a.Key) {
		return Fault{ErrUTF8, key, "key", a.Key, 0, "UTF-8"}
	}
	switch a.Type {
	case emit.AttributeString:
		if len(a.Value) > layout.MaxString {
			return Fault{ErrAttributes, a.Offset + layout.AttributeValueLen, "value len", nil, uint64(len(a.Value)), "1023 or less"}
		}
		if !utf8.Valid(a.Value) {
			return Fault{ErrUTF8, value, "value", a.Value, 0, "UTF-8"}
		}
	case emit.AttributeInt, emit.AttributeDouble, emit.AttributeBool:
		if len(a.Value) != 8 {
			return Fault{ErrAttributes, a.Offset + layout.AttributeValueLen, "value len", nil, uint64(len(a.Value)), "8"}
		}
		if number := binary.NativeEndian.Uint64(a.Value); a.Type == emit.AttributeBool && number > 1 {
			return Fault{ErrAttributes, value, "value", nil, number, "0 or 1"}
		}
	default:
		return Fault{ErrAttributes, a.Offset + layout.AttributeType, "type", nil, uint64(a.Type), "1 to 4"}
	}
	return Fault{}
}

// longerAttributes is the fault of a record whose attributes do not end within it.
func longerAttributes(r *record, n int) error {
	return &Fault{ErrCatalogue, r.offset + layout.RecordAttributes, "attrs", nil, uint64(n), "as many as are in the record"}
}

// seriesAttributes splits a record's attributes into c.scratch. The fault is against the series, the error against the record's structure.
func (c *Catalogue) seriesAttributes(r *record) (fault Fault, err error) {
	c.scratch = c.scratch[:0]
	if r.attributeCount > layout.MaxAttributes {
		fault = Fault{ErrAttributes, r.offset + layout.RecordAttributes, "attrs", nil, uint64(r.attributeCount), "64 or less"}
	}
	b := r.attributes
	for range r.attributeCount {
		a, rest, ok := nextAttribute(b, r.attributesAt+int64(len(r.attributes)-len(b)))
		if !ok {
			return Fault{}, longerAttributes(r, r.attributeCount)
		}
		b = rest
		if fault.Reason != "" {
			continue // only the structure of what follows matters
		}
		if fault = a.fault(); fault.Reason != "" {
			continue
		}
		if last := len(c.scratch) - 1; last >= 0 && bytes.Compare(c.scratch[last].Key, a.Key) >= 0 {
			fault = Fault{ErrUnsorted, a.Offset + layout.AttributeHeaderSize, "key", a.Key, 0, "behind the key before it"}
			continue
		}
		c.scratch = append(c.scratch, a)
	}
	return fault, nil
}

// resourceAttributes is like seriesAttributes, but drops single attributes
// instead: their process still has a name. It also puts them in order.
func (c *Catalogue) resourceAttributes(r *record) (faults []Fault, err error) {
	c.scratch = c.scratch[:0]
	b := r.attributes
	for range r.attributeCount {
		a, rest, ok := nextAttribute(b, r.attributesAt+int64(len(r.attributes)-len(b)))
		if !ok {
			return faults, longerAttributes(r, r.attributeCount)
		}
		b = rest
		fault := a.fault()
		i, found := slices.BinarySearchFunc(c.scratch, a.Key, compareKey)
		switch {
		case fault.Reason != "":
		case found:
			fault = Fault{ErrAttributes, a.Offset + layout.AttributeHeaderSize, "key", a.Key, 0, "another than all others"}
		case len(c.scratch) == layout.MaxAttributes:
			fault = Fault{ErrAttributes, r.offset + layout.RecordAttributes, "attrs", nil, uint64(r.attributeCount), "64 or less"}
		default:
			c.scratch = slices.Insert(c.scratch, i, a)
			continue
		}
		c.ResourceFaults++
		if c.Inspect != nil {
			faults = append(faults, fault)
		}
	}
	return faults, nil
}

// markOverflow adds the attribute that tells an overflow series from others, where the client left it out.
func (c *Catalogue) markOverflow() {
	i, found := slices.BinarySearchFunc(c.scratch, []byte(overflowKey), compareKey)
	if !found {
		one := binary.NativeEndian.AppendUint64(nil, 1)
		c.scratch = slices.Insert(c.scratch, i, Attribute{Key: []byte(overflowKey), Value: one, Type: emit.AttributeBool})
	}
}

func compareKey(a Attribute, key []byte) int { return bytes.Compare(a.Key, key) }

// appendIdentity appends c.scratch in a form that is equal for equal attribute
// sets, whatever stands in a record's padding.
func (c *Catalogue) appendIdentity(id []byte) []byte {
	for _, a := range c.scratch {
		id = append(id, byte(len(a.Key)), byte(a.Type))
		id = binary.NativeEndian.AppendUint16(id, uint16(len(a.Value)))
		id = append(id, a.Key...)
		id = append(id, a.Value...)
	}
	return id
}

// attributesOf makes c.scratch into attributes whose text is part of id, from offset at on.
func (c *Catalogue) attributesOf(id string, at int) []emit.Attribute {
	if len(c.scratch) == 0 {
		return nil
	}
	out := make([]emit.Attribute, len(c.scratch))
	for i, a := range c.scratch {
		at += 4
		out[i].Key, out[i].Type = id[at:][:len(a.Key)], a.Type
		at += len(a.Key)
		if a.Type == emit.AttributeString {
			out[i].Str = id[at:][:len(a.Value)]
		} else {
			out[i].Bits = binary.NativeEndian.Uint64(a.Value)
		}
		at += len(a.Value)
	}
	return out
}

func align8(n int64) int64 { return (n + 7) &^ 7 }
