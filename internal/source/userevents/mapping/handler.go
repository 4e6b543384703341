package mapping

import (
	"github.com/hotpath-metrics/hotpath/internal/aggregate"
	"github.com/hotpath-metrics/hotpath/internal/process"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/event"
)

// Reasons for which an event is skipped, beside those of [aggregate.Refusal].
const (
	reasonOutOfBounds = "field_out_of_bounds" // a field ends behind the record
	reasonMalformed   = "event_malformed"     // it is not what its encoding says
	reasonMissing     = "field_missing"       // it has no field with the value
	reasonType        = "field_type"          // a field is no number, or nothing that an attribute can be
)

// notMeant is instead of a reason where the entry is about other events. They are not counted.
const notMeant = "not_meant"

// entry is an entry of the configuration with the way its measurements take.
type entry struct {
	*Event
	keys     []string // of the attributes, in the order in which they are put
	stream   *aggregate.Stream
	doubles  bool // are its totals, or it has none
	resource int
}

func (m *Mapping) entry(e *Event) *entry {
	return &entry{
		Event: e, keys: e.keys(), stream: m.stream(e, e.fractional()), doubles: e.fractional() || !e.Metric.Sums(), resource: m.resource(e.Resource),
	}
}

func (m *Mapping) stream(e *Event, double bool) *aggregate.Stream {
	return m.table.Stream(e.Metric.Instrument(double), e.keys(), e.scale())
}

// toDoubles makes the totals of an entry doubles, if they are sums and not doubles yet: a value with fractions came.
func (m *Mapping) toDoubles(e *entry) {
	if !e.doubles {
		e.doubles = true
		e.stream = m.stream(e.Event, true)
	}
}

// taker takes measurements for one entry out of the events of one format.
type taker interface {
	// take returns the value, and the stream that it put the attributes into; or the reason not to use the event.
	take(record []byte) (stream *aggregate.Stream, value aggregate.Number, reason string)
	of() *entry
}

// handler is for the events of one format.
type handler struct {
	mapping *Mapping
	takers  []taker
}

// Handle implements [event.Handler].
func (h *handler) Handle(e *event.Event) {
	m := h.mapping
	p := m.processes.Of(e.TID)
	if p == nil {
		m.skipped[process.LimitReason]++
		return
	}
	measured := m.of(p)
	for _, t := range h.takers {
		stream, value, reason := t.take(e.Record)
		switch reason {
		case "":
		case notMeant:
			continue
		default:
			m.skipped[reason]++
			continue
		}
		resource := t.of().resource
		d := measured[resource]
		if d == nil {
			if d = m.begin(p, resource, e.Time); d == nil {
				m.skipped[process.LimitReason]++
				continue
			}
			measured[resource] = d
		}
		if refusal := stream.Record(d, value, e.Time); refusal != "" {
			m.skipped[string(refusal)]++
		}
	}
}
