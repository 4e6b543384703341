package hotpath

import (
	"math"
	"unicode/utf8"
	"unsafe"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

// Option describes an instrument or one of its series.
type Option struct{ apply func(*segment.Record) }

// WithUnit sets the instrument's unit, in UCUM: at most 63 bytes of ASCII, such as "s", "By" or "{request}".
func WithUnit(unit string) Option {
	return Option{func(r *segment.Record) { r.Unit = unit }}
}

// WithDescription sets the instrument's description. It is cut after 1023 bytes
// and does not tell series apart: the first one counts.
func WithDescription(description string) Option {
	return Option{func(r *segment.Record) { r.Description = description }}
}

// WithAttributes adds attributes to the series: at most 64, with keys of 1 to
// 255 bytes. Of equal keys the last one counts.
func WithAttributes(attributes ...Attribute) Option {
	return Option{func(r *segment.Record) {
		for i := range attributes {
			r.Attributes = append(r.Attributes, attributes[i].in())
		}
	}}
}

// Attribute is a key with a value. Its zero value has no key and is refused.
//
// It has four words, the most that the compiler keeps in registers: what is made for a call has to cost next to nothing.
type Attribute struct {
	_    [0]func() // not comparable: equal texts may lie in different places
	key  string
	text *byte  // of a string; all else has the place of its type in types here
	bits uint64 // of a string, its length
}

// types has a place for each type of attribute that isn't text.
var types [segment.AttributeBool + 1]byte

// String is an attribute whose value is text. It is cut after 1023 bytes.
func String(key, value string) Attribute {
	if len(value) > segment.MaxString {
		value = cut(value)
	}
	return Attribute{key: key, text: unsafe.StringData(value), bits: uint64(len(value))}
}

// cut is what a string that is too long has up to the last character that ends in time.
//
//go:noinline
func cut(s string) string {
	for n := segment.MaxString; n > segment.MaxString-utf8.UTFMax; n-- {
		if utf8.RuneStart(s[n]) {
			return s[:n]
		}
	}
	return s[:segment.MaxString] // it isn't UTF-8
}

// Int is an attribute whose value is an integer.
func Int(key string, value int64) Attribute {
	return Attribute{key: key, text: &types[segment.AttributeInt64], bits: uint64(value)}
}

// Float64 is an attribute whose value is a floating-point number.
func Float64(key string, value float64) Attribute {
	return Attribute{key: key, text: &types[segment.AttributeDouble], bits: math.Float64bits(value)}
}

// Bool is an attribute whose value is true or false.
func Bool(key string, value bool) Attribute {
	a := Attribute{key: key, text: &types[segment.AttributeBool]}
	if value {
		a.bits = 1
	}
	return a
}

// kind is the attribute's type.
func (a *Attribute) kind() uint8 {
	if place := uintptr(unsafe.Pointer(a.text)) - uintptr(unsafe.Pointer(&types)); place < uintptr(len(types)) {
		return uint8(place)
	}
	return segment.AttributeString
}

// length is how many bytes the value has.
func (a *Attribute) length() int {
	if a.kind() != segment.AttributeString {
		return 8
	}
	return int(a.bits)
}

// string is the value of an attribute that is text.
func (a *Attribute) string() string { return unsafe.String(a.text, int(a.bits)) }

// in is the attribute as the segment has it.
func (a *Attribute) in() segment.Attribute {
	if kind := a.kind(); kind != segment.AttributeString {
		return segment.Attribute{Key: a.key, Bits: a.bits, Type: kind}
	}
	return segment.Attribute{Key: a.key, Str: a.string(), Type: segment.AttributeString}
}
