package mapping

import (
	"math"
	"testing"
	"unicode/utf8"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/internal/aggregate"
	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/event"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/format"
)

// auditor checks what a sink may rely on.
type auditor struct {
	emittest.Recorder
	t      *testing.T
	series int
}

func (a *auditor) check(s *emit.Series, v float64) {
	a.series++
	if math.IsNaN(v) || math.IsInf(v, 0) {
		a.t.Errorf("%s is %v", s.Instrument.Name, v)
	}
	for i, at := range s.Attributes {
		if i > 0 && s.Attributes[i-1].Key >= at.Key {
			a.t.Errorf("keys are not in order: %v", s.Attributes)
		}
		if !utf8.ValidString(at.Str) || len(at.Str) > segment.MaxString {
			a.t.Errorf("text is %q", at.Str)
		}
	}
}

func (a *auditor) Counter(s *emit.Series, v uint64) {
	a.check(s, 0)
	a.Recorder.Counter(s, v)
}

func (a *auditor) Sum(s *emit.Series, v float64) {
	a.check(s, v)
	a.Recorder.Sum(s, v)
}

func (a *auditor) Gauge(s *emit.Series, v float64) {
	a.check(s, v)
	a.Recorder.Gauge(s, v)
}

func (a *auditor) Histogram(s *emit.Series, v *emit.HistogramValue) {
	a.check(s, v.Sum)
	a.Recorder.Histogram(s, v)
}

// FuzzHandle feeds records of any content to handlers of every kind. The recorder panics where a series comes twice.
func FuzzHandle(f *testing.F) {
	f.Add(record(uint32(1), uint64(2), "text\x00", uint32(4<<16), "more"), record(int8(-1)))
	f.Add(eventHeader("e", field{"s", structure, 1, nil}, field{"t", counted, 0, "text"}, field{"v", value64, asFloat, 0.5}).Record,
		eventHeader("e", field{"v", value32, asUint, uint32(1)}, field{"k", value8, asBool, uint8(1)}).Record)
	const entries = `
  - {event: e, metric: {name: a, type: counter}, value: n, attributes: {w: w, t: t}}
  - {event: e, metric: {name: b, type: counter}, value: s, scale: 1e-9, attributes: {l: l}}
  - {event: e, metric: {name: c, type: histogram}, value: s, scale: 1e+300, attributes: {t: t, z: l}}
  - {event: e, metric: {name: d, type: gauge}, value: s, scale: 0.3}
  - {event: e, metric: {name: u, type: updowncounter}, value: s, scale: 1000}
  - {event: "M*", metric: {name: f, type: counter}, value: v, attributes: {k: k, t: s.t}}
  - {event: "M*", metric: {name: g, type: histogram}, value: v, attributes: {v: v}}
  - {event: "M*", metric: {name: h, type: updowncounter}, value: v, attributes: {k: s.t, t: k}}
`
	b := open(f, entries, aggregate.MeasurementLimits{Processes: 1000, Series: 20, SeriesPerUID: 20})
	typed, described := formatOf(f, "e u32 w; u64 n; char[5] t; s64 s; __rel_loc char[] l"), formatOf(f, provider)
	f.Fuzz(func(t *testing.T, one, two []byte) {
		m := b.again()
		handlers := make([]event.Handler, 2)
		for i, of := range []*format.Format{typed, described} {
			h, err := m.Bind(of)
			if err != nil {
				t.Fatal(err)
			}
			handlers[i] = h
		}
		for _, record := range [][]byte{one, two, one} {
			for _, h := range handlers {
				h.Handle(&event.Event{Time: 1, TID: pid, Record: record})
			}
		}
		a := auditor{t: t}
		m.Collect(&a)
		if a.series > 20+8 {
			t.Errorf("%d series", a.series)
		}
	})
}
