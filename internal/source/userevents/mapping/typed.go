package mapping

import (
	"github.com/hotpath-metrics/hotpath/internal/aggregate"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/format"
)

// typed takes measurements out of events whose fields tracefs describes.
type typed struct {
	*entry
	choice
}

func (t *typed) of() *entry { return t.entry }

func (t *typed) take(record []byte) (*aggregate.Stream, aggregate.Number, string) {
	t.stream.Begin()
	for _, f := range t.attributes {
		if f.Kind == format.Text {
			text, ok := f.Text(record)
			if !ok {
				return nil, aggregate.Number{}, reasonOutOfBounds
			}
			t.stream.PutString(text)
			continue
		}
		n, ok := integer(f, record)
		if !ok {
			return nil, aggregate.Number{}, reasonOutOfBounds
		}
		t.stream.PutInt(n)
	}
	if t.value == nil {
		return t.stream, aggregate.Uint(1), ""
	}
	n, ok := integer(t.value, record)
	if !ok {
		return nil, aggregate.Number{}, reasonOutOfBounds
	}
	if t.value.Signed {
		return t.stream, aggregate.Int(n), ""
	}
	return t.stream, aggregate.Uint(uint64(n)), ""
}

// integer returns the bits of an integer, extended to 64 by its sign. As an attribute they are what OTLP has: values of an
// unsigned field that it does not have come out negative.
func integer(f *format.Field, record []byte) (int64, bool) {
	if f.Signed {
		return f.Int(record)
	}
	n, ok := f.Uint(record)
	return int64(n), ok
}
