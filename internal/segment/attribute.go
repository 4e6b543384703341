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

// attribute is an attribute as it lies in the record: key and value are parts of the copy.
type attribute struct {
	key, value []byte
	kind       emit.AttributeType
}

// nextAttribute splits the first attribute off b. It fails only where the end
// of the attribute cannot be told.
func nextAttribute(b []byte) (a attribute, rest []byte, ok bool) {
	if len(b) < layout.AttributeHeaderSize {
		return attribute{}, nil, false
	}
	keyLen := int(binary.NativeEndian.Uint16(b[layout.AttributeKeyLen:]))
	valueLen := int64(binary.NativeEndian.Uint32(b[layout.AttributeValueLen:]))
	size := align8(int64(layout.AttributeHeaderSize+keyLen) + valueLen)
	if size > int64(len(b)) {
		return attribute{}, nil, false
	}
	key := b[layout.AttributeHeaderSize:][:keyLen]
	return attribute{
		key:   key,
		value: b[layout.AttributeHeaderSize+keyLen:][:valueLen],
		kind:  emit.AttributeType(b[layout.AttributeType]),
	}, b[size:], true
}

// fault is the reason why an attribute cannot be delivered, or "".
func (a attribute) fault() Reason {
	if len(a.key) == 0 || len(a.key) > layout.MaxKey {
		return ErrAttributes
	}
	if !utf8.Valid(a.key) {
		return ErrUTF8
	}
	switch a.kind {
	case emit.AttributeString:
		if len(a.value) > layout.MaxString {
			return ErrAttributes
		}
		if !utf8.Valid(a.value) {
			return ErrUTF8
		}
		return ""
	case emit.AttributeInt, emit.AttributeDouble:
		if len(a.value) != 8 {
			return ErrAttributes
		}
		return ""
	case emit.AttributeBool:
		if len(a.value) != 8 || binary.NativeEndian.Uint64(a.value) > 1 {
			return ErrAttributes
		}
		return ""
	default:
		return ErrAttributes
	}
}

// seriesAttributes splits n attributes off b into c.scratch. The reason is about
// the series, ok about the structure.
func (c *Catalogue) seriesAttributes(b []byte, n int) (reason Reason, ok bool) {
	c.scratch = c.scratch[:0]
	if n > layout.MaxAttributes {
		reason = ErrAttributes
	}
	for range n {
		a, rest, ok := nextAttribute(b)
		if !ok {
			return "", false
		}
		b = rest
		if reason != "" {
			continue // only the structure of what follows matters
		}
		if reason = a.fault(); reason != "" {
			continue
		}
		if last := len(c.scratch) - 1; last >= 0 && bytes.Compare(c.scratch[last].key, a.key) >= 0 {
			reason = ErrUnsorted
			continue
		}
		c.scratch = append(c.scratch, a)
	}
	return reason, true
}

// resourceAttributes is like seriesAttributes, but drops single attributes
// instead: their process still has a name. It also puts them in order.
func (c *Catalogue) resourceAttributes(b []byte, n int) (ok bool) {
	c.scratch = c.scratch[:0]
	for range n {
		a, rest, ok := nextAttribute(b)
		if !ok {
			return false
		}
		b = rest
		i, found := slices.BinarySearchFunc(c.scratch, a.key, compareKey)
		if found || a.fault() != "" || len(c.scratch) == layout.MaxAttributes {
			c.ResourceFaults++
			continue
		}
		c.scratch = slices.Insert(c.scratch, i, a)
	}
	return true
}

// markOverflow adds the attribute that tells an overflow series from others, where the client left it out.
func (c *Catalogue) markOverflow() {
	i, found := slices.BinarySearchFunc(c.scratch, []byte(overflowKey), compareKey)
	if !found {
		one := binary.NativeEndian.AppendUint64(nil, 1)
		c.scratch = slices.Insert(c.scratch, i, attribute{[]byte(overflowKey), one, emit.AttributeBool})
	}
}

func compareKey(a attribute, key []byte) int { return bytes.Compare(a.key, key) }

// appendIdentity appends c.scratch in a form that is equal for equal attribute
// sets, whatever stands in a record's padding.
func (c *Catalogue) appendIdentity(id []byte) []byte {
	for _, a := range c.scratch {
		id = append(id, byte(len(a.key)), byte(a.kind))
		id = binary.NativeEndian.AppendUint16(id, uint16(len(a.value)))
		id = append(id, a.key...)
		id = append(id, a.value...)
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
		out[i].Key, out[i].Type = id[at:][:len(a.key)], a.kind
		at += len(a.key)
		if a.kind == emit.AttributeString {
			out[i].Str = id[at:][:len(a.value)]
		} else {
			out[i].Bits = binary.NativeEndian.Uint64(a.value)
		}
		at += len(a.value)
	}
	return out
}

func align8(n int64) int64 { return (n + 7) &^ 7 }
