package otlp

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// identity writes attributes so that equal sets, in whatever order, become equal bytes, and no others do.
type identity struct {
	sorted []attribute
}

type attribute struct {
	key   string
	value pcommon.Value
}

func (id *identity) appendMap(dst []byte, m pcommon.Map) []byte {
	// Nested maps take the room behind.
	first := len(id.sorted)
	for key, value := range m.All() {
		id.sorted = append(id.sorted, attribute{key, value})
	}
	end := len(id.sorted)
	slices.SortStableFunc(id.sorted[first:end], func(a, b attribute) int { return strings.Compare(a.key, b.key) })
	dst = binary.AppendUvarint(dst, uint64(end-first))
	for i := first; i < end; i++ {
		dst = appendText(dst, id.sorted[i].key)
		dst = id.appendValue(dst, id.sorted[i].value)
	}
	clear(id.sorted[first:end])
	id.sorted = id.sorted[:first]
	return dst
}

func (id *identity) appendValue(dst []byte, v pcommon.Value) []byte {
	dst = append(dst, byte(v.Type()))
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return appendText(dst, v.Str())
	case pcommon.ValueTypeBool:
		if v.Bool() {
			return append(dst, 1)
		}
		return append(dst, 0)
	case pcommon.ValueTypeInt:
		return binary.LittleEndian.AppendUint64(dst, uint64(v.Int()))
	case pcommon.ValueTypeDouble:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v.Double()))
	case pcommon.ValueTypeBytes:
		return appendText(dst, string(v.Bytes().AsRaw()))
	case pcommon.ValueTypeMap:
		return id.appendMap(dst, v.Map())
	case pcommon.ValueTypeSlice:
		dst = binary.AppendUvarint(dst, uint64(v.Slice().Len()))
		for _, element := range v.Slice().All() {
			dst = id.appendValue(dst, element)
		}
	}
	return dst
}

func appendText(dst []byte, text string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(text)))
	return append(dst, text...)
}

func (id *identity) appendResource(dst []byte, resource pcommon.Resource, schemaURL string) []byte {
	return id.appendMap(appendText(dst, schemaURL), resource.Attributes())
}

func (id *identity) appendScope(dst []byte, scope pcommon.InstrumentationScope, schemaURL string) []byte {
	dst = appendText(dst, schemaURL)
	dst = appendText(dst, scope.Name())
	dst = appendText(dst, scope.Version())
	return id.appendMap(dst, scope.Attributes())
}
