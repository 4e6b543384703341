package mapping

import (
	"math"

	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/aggregate"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/eventheader"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/format"
)

// described takes measurements out of EventHeader events, which describe their fields themselves. Attributes that
// an event does not have are left out.
type described struct {
	*entry
	mapping  *Mapping
	decoder  *eventheader.Decoder // for the attributes in the order of their keys, and then for the value
	start    int                  // of the payload in a record
	reported bool                 // that the value, or an attribute, cannot be used
}

func (m *Mapping) described(e *entry, f *format.Format) *described {
	var paths []string
	for _, key := range e.keys {
		paths = append(paths, e.Attributes[key])
	}
	if e.Value != "" {
		paths = append(paths, e.Value)
	}
	return &described{entry: e, mapping: m, decoder: eventheader.NewDecoder(paths...), start: f.Fields[0].Offset}
}

func (d *described) of() *entry { return d.entry }

func (d *described) take(record []byte) (*aggregate.Stream, aggregate.Number, string) {
	if len(record) < d.start {
		return nil, aggregate.Number{}, reasonOutOfBounds
	}
	e, err := d.decoder.Decode(record[d.start:])
	switch {
	case err != nil:
		return nil, aggregate.Number{}, reasonMalformed
	case d.Name != "" && e.Name != d.Name:
		return nil, aggregate.Number{}, notMeant
	}
	value, stream := aggregate.Uint(1), d.stream
	if d.Value != "" {
		v := &e.Values[len(d.keys)]
		switch v.Kind {
		case eventheader.Int:
			value = aggregate.Int(int64(v.Bits))
		case eventheader.Uint, eventheader.Bool:
			value = aggregate.Uint(v.Bits)
		case eventheader.Float:
			value = aggregate.Float(math.Float64frombits(v.Bits))
			d.mapping.toDoubles(d.entry)
			stream = d.stream
		case eventheader.None:
			return nil, value, d.report(e.Name, "value", d.Value, reasonMissing)
		default:
			return nil, value, d.report(e.Name, "value", d.Value, reasonType)
		}
	}
	stream.Begin()
	for i, key := range d.keys {
		switch v := &e.Values[i]; v.Kind {
		case eventheader.None:
			stream.PutNone()
		case eventheader.Int, eventheader.Uint:
			stream.PutInt(int64(v.Bits))
		case eventheader.Float:
			stream.PutDouble(math.Float64frombits(v.Bits))
		case eventheader.Bool:
			stream.PutBool(v.Bits != 0)
		case eventheader.Text:
			stream.PutString(v.Bytes)
		default:
			return nil, value, d.report(e.Name, "attributes::"+key, d.Attributes[key], reasonType)
		}
	}
	return stream, value, ""
}

// report logs the first event that the entry is about and that it cannot take, and returns the reason.
func (d *described) report(name, key, field, reason string) string {
	if !d.reported {
		d.reported = true
		d.mapping.logger.Warn("An EventHeader event lacks a field that is mapped, or has another type there",
			zap.String("event", d.Event.Event), zap.String("name", name), zap.String("key", key), zap.String("field", field),
			zap.String("reason", reason))
	}
	return reason
}
