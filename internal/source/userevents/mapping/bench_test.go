package mapping

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hotpath-metrics/hotpath/internal/aggregate"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/event"
)

// scenes are events in steady state: 16 series each.
func scenes(t testing.TB) map[string]func() (h event.Handler, events []*event.Event) {
	repeat := func(one func(i uint32) *event.Event) (events []*event.Event) {
		for i := range uint32(16) {
			events = append(events, one(i))
		}
		return events
	}
	wide := aggregate.MeasurementLimits{Processes: 1000, Series: 1 << 20, SeriesPerUID: 1 << 20}
	return map[string]func() (event.Handler, []*event.Event){
		"two integers": func() (event.Handler, []*event.Event) {
			b := open(t, `  - {event: e, metric: {name: n, type: counter}, value: n, attributes: {worker: w, code: c}}`, wide)
			return b.bind("e u32 w; u32 c; u64 n"), repeat(func(i uint32) *event.Event { return wrote(i, i&3, uint64(i)) })
		},
		"text": func() (event.Handler, []*event.Event) {
			b := open(t, `  - {event: e, metric: {name: n, type: counter}, value: n, attributes: {op: s}}`, wide)
			return b.bind("e u64 n; char[16] s"), repeat(func(i uint32) *event.Event {
				return wrote(uint64(i), "operation "+string(rune('a'+i))+"\x00\x00\x00\x00\x00")
			})
		},
		"scaled histogram": func() (event.Handler, []*event.Event) {
			b := open(t, `  - {event: e, metric: {name: n, type: histogram}, value: n, scale: 1e-9, attributes: {worker: w}}`, wide)
			return b.bind("e u32 w; u64 n"), repeat(func(i uint32) *event.Event { return wrote(i, uint64(i)*1000) })
		},
		"EventHeader": func() (event.Handler, []*event.Event) {
			b := open(t, `  - {event: "M*", name: e, metric: {name: n, type: counter}, value: n, attributes: {worker: w}}`, wide)
			return b.bind(provider), repeat(func(i uint32) *event.Event {
				return eventHeader("e", field{"w", value32, asUint, i}, field{"n", value64, asUint, uint64(i)})
			})
		},
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	for name, scene := range scenes(t) {
		h, events := scene()
		all := func() {
			for _, e := range events {
				h.Handle(e)
			}
		}
		all()
		require.Zero(t, testing.AllocsPerRun(10, all), name)
	}
}

// BenchmarkHandle has a budget of 10 million events a second with two integers as attributes.
func BenchmarkHandle(b *testing.B) {
	for name, scene := range scenes(b) {
		b.Run(name, func(b *testing.B) {
			h, events := scene()
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				h.Handle(events[i&15])
				i++
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mevents/s")
		})
	}
}
