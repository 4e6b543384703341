package hotpath

import (
	"math"

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
		for _, a := range attributes {
			r.Attributes = append(r.Attributes, a.attribute)
		}
	}}
}

// Attribute is a key with a value. Its zero value has no key and is refused.
type Attribute struct{ attribute segment.Attribute }

// String is an attribute whose value is text. It is cut after 1023 bytes.
func String(key, value string) Attribute {
	return Attribute{segment.Attribute{Key: key, Type: segment.AttributeString, Str: value}}
}

// Int is an attribute whose value is an integer.
func Int(key string, value int64) Attribute {
	return Attribute{segment.Attribute{Key: key, Type: segment.AttributeInt64, Bits: uint64(value)}}
}

// Float64 is an attribute whose value is a floating-point number.
func Float64(key string, value float64) Attribute {
	return Attribute{segment.Attribute{Key: key, Type: segment.AttributeDouble, Bits: math.Float64bits(value)}}
}

// Bool is an attribute whose value is true or false.
func Bool(key string, value bool) Attribute {
	a := Attribute{segment.Attribute{Key: key, Type: segment.AttributeBool}}
	if value {
		a.attribute.Bits = 1
	}
	return a
}
