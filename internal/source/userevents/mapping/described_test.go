package mapping

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hotpath-metrics/hotpath/internal/source/userevents/event"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/eventheader"
)

const provider = "MyProvider_L5K1 " + eventheader.Declaration

// field is one of an EventHeader event: encoding and format are eventheader.h's.
type field struct {
	name             string
	encoding, format uint8
	value            any
}

// A few encodings and formats; what follows a structure says how many fields it has.
const (
	structure, value8, value32, value64, counted, binaryData = 1, 2, 4, 5, 10, 13
	asUint, asInt, asBool, asFloat                           = 1, 2, 7, 8
)

// eventHeader is an event in little-endian byte order.
func eventHeader(name string, fields ...field) *event.Event {
	metadata := append([]byte(name), 0)
	var data []byte
	for _, f := range fields {
		metadata = append(append(metadata, f.name...), 0)
		if f.format != 0 {
			metadata = append(metadata, f.encoding|0x80, f.format)
		} else {
			metadata = append(metadata, f.encoding)
		}
		switch v := f.value.(type) {
		case nil:
		case string:
			data = binary.LittleEndian.AppendUint16(data, uint16(len(v)))
			data = append(data, v...)
		default:
			data, _ = binary.Append(data, binary.LittleEndian, v)
		}
	}
	b := []byte{7, 0, 0, 0, 0, 0, 0, 5}
	b = binary.LittleEndian.AppendUint16(b, uint16(len(metadata)))
	b = binary.LittleEndian.AppendUint16(b, 1)
	return wrote(b, metadata, data)
}

func TestEventHeaderEventsAreMapped(t *testing.T) {
	b := open(t, `
  - event: MyProvider_L5K1
    name: Done
    metric: {name: time, type: histogram, unit: s}
    value: timing.ns
    scale: 1e-9
    attributes: {method: request.method, ok: ok, share: share, code: code, gone: request.gone}
  - {event: "MyProvider_*", metric: {name: events, type: counter}}
  - {event: "MyProvider_*", name: Done, metric: {name: sum, type: counter, unit: s}, value: share}
  - {event: "MyProvider_*", name: Other, metric: {name: other, type: updowncounter}, value: code}
`, ample)
	h := b.bind(provider)
	for range 2 {
		h.Handle(eventHeader("Done",
			field{"request", structure, 1, nil}, field{"method", counted, 0, "GET"},
			field{"timing", structure, 1, nil}, field{"ns", value64, asUint, uint64(150_000_000)},
			field{"ok", value8, asBool, uint8(1)}, field{"share", value32, asFloat, float32(0.25)}, field{"code", value32, asInt, int32(-1)}))
	}
	h.Handle(eventHeader("Other", field{"code", value32, asInt, int32(-5)}))
	p := b.collect()[0]
	key := "time{code=-1,method=GET,ok=true,share=0.25}"
	require.Equal(t, uint64(2), p.Histograms[key].Count)
	require.Equal(t, 0.3, p.Histograms[key].Sum)
	require.Equal(t, map[string]uint64{"events": 3}, p.Counters)
	require.Equal(t, map[string]float64{"sum": 0.5}, p.Sums)
	require.Equal(t, map[string]int64{"other": -5}, p.UpDownCounters)
	require.Empty(t, b.skips)
	require.Zero(t, b.logs.Len())
}

func TestACounterOfFractionsStaysOne(t *testing.T) {
	b := open(t, `  - {event: MyProvider_L5K1, metric: {name: n, type: counter}, value: v}`, ample)
	h := b.bind(provider)
	for _, v := range []field{{"v", value32, asFloat, float32(0.5)}, {"v", value32, asUint, uint32(2)}, {"v", value64, asFloat, 0.25}} {
		h.Handle(eventHeader("e", v))
	}
	require.Equal(t, map[string]float64{"n": 2.75}, b.collect()[0].Sums)
	require.Empty(t, b.collect()[0].Counters)
}

func TestEventHeaderEventsThatCannotBeUsed(t *testing.T) {
	b := open(t, `  - {event: MyProvider_L5K1, metric: {name: n, type: counter}, value: v, attributes: {k: k}}`, ample)
	h := b.bind(provider)
	h.Handle(eventHeader("e", field{"w", value32, asUint, uint32(1)}))
	h.Handle(eventHeader("e", field{"v", counted, 0, "text"}))
	h.Handle(eventHeader("e", field{"v", value32, asUint, uint32(1)}, field{"k", binaryData, 0, "\x00"}))
	h.Handle(eventHeader("e", field{"v", value32, asFloat, float32(math.NaN())}))
	h.Handle(eventHeader("e", field{"v", value32, asFloat, float32(-1)}))
	h.Handle(wrote("garbage"))
	h.Handle(&event.Event{TID: pid, Record: make([]byte, 3)})
	require.Empty(t, b.collect())
	require.Equal(t, skips{
		"field_missing": 1, "field_type": 2, "value_not_finite": 1, "value_negative": 1, "event_malformed": 1, "field_out_of_bounds": 1,
	}, b.skips)
	require.Equal(t, 1, b.logs.Len(), "once for the entry")
	require.Equal(t, "field_missing", b.logs.All()[0].ContextMap()["reason"])
}
