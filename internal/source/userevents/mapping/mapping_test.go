package mapping

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hotpath-metrics/hotpath/client/go/userevent"

	"github.com/hotpath-metrics/hotpath/internal/aggregate"
	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
	"github.com/hotpath-metrics/hotpath/internal/process"
	"github.com/hotpath-metrics/hotpath/internal/process/processtest"
	"github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/event"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/format"
)

var ample = aggregate.MeasurementLimits{Processes: 1000, Series: 10_000, SeriesPerUID: 10_000}

const pid = processtest.First

// bench is an ingest with a process that has the pid.
type bench struct {
	*Mapping
	t         testing.TB
	proc      *processtest.Proc
	processes *process.Table
	logs      *observer.ObservedLogs
	skips     skips
	again     func() *Mapping // another one, of the same
}

// skips counts events that were not used.
type skips map[string]int64

func (s skips) EventsSkipped(reason string, n int64) { s[reason] += n }

// telemetry has the one method that an ingest calls.
type telemetry struct {
	source.EventTelemetry
	skips
}

func (t telemetry) EventsSkipped(reason string, n int64) { t.skips.EventsSkipped(reason, n) }

func open(t testing.TB, yaml string, limits aggregate.MeasurementLimits) *bench {
	t.Helper()
	events, err := load(t, yaml)
	require.NoError(t, err)
	proc := processtest.New(t)
	proc.Start(pid, 7, "app", 100)
	b := &bench{t: t, proc: proc, processes: proc.Table(100), skips: skips{}}
	core, logs := observer.New(zap.WarnLevel)
	b.logs = logs
	b.again = func() *Mapping { return New(events, b.processes, limits, telemetry{skips: b.skips}, zap.New(core)) }
	b.Mapping = b.again()
	return b
}

// formatOf is what tracefs would say of a declaration.
func formatOf(t testing.TB, declaration string) *format.Format {
	t.Helper()
	name, fields, err := format.ParseDeclaration(declaration)
	require.NoError(t, err)
	return &format.Format{Name: name, Fields: fields}
}

func (b *bench) bind(declaration string) event.Handler {
	b.t.Helper()
	h, err := b.Bind(formatOf(b.t, declaration))
	require.NoError(b.t, err)
	require.NotNil(b.t, h)
	return h
}

// record is the common fields, of 8 bytes, and then what is given: numbers in their size, and text.
func record(values ...any) []byte {
	b := make([]byte, 8)
	for _, v := range values {
		switch v := v.(type) {
		case string:
			b = append(b, v...)
		case []byte:
			b = append(b, v...)
		default:
			b, _ = binary.Append(b, binary.NativeEndian, v)
		}
	}
	return b
}

func wrote(values ...any) *event.Event {
	return &event.Event{Time: 1000, TID: pid, Record: record(values...)}
}

func (b *bench) collect() []*emittest.Process {
	var r emittest.Recorder
	b.Collect(&r)
	return r.Processes
}

func TestTheContractsExampleCounts(t *testing.T) {
	b := open(t, contract, ample)
	h := b.bind("my_counter u32 id; u64 value")
	for _, id := range []uint32{1, 2, 1} {
		h.Handle(wrote(id, uint64(5)))
	}
	p := b.collect()[0]
	require.Equal(t, map[string]uint64{"my.counter{worker=1}": 10, "my.counter{worker=2}": 5}, p.Counters)
	require.Equal(t, emit.Instrument{Name: "my.counter", Unit: "1", Kind: emit.KindCounter}, p.Instruments["my.counter{worker=1}"])
	require.Equal(t, map[string]string{
		"process.pid": "8388608", "process.executable.name": "app", "process.user.id": "7", "service.name": "unknown_service",
	}, p.Resource)
	require.Equal(t, uint32(7), p.Info.Owner)
	require.Equal(t, int64(1000), p.Info.Start)
	require.Empty(t, b.skips)
}

func TestFieldsOfEveryTypeBecomeAttributes(t *testing.T) {
	b := open(t, `
  - event: e
    metric: {name: n, type: counter}
    attributes: {a: s8, b: u64, c: text, d: loc, e: rel, f: unsigned}
`, ample)
	h := b.bind("e s8 s8; u64 u64; char[8] text; __data_loc char[] loc; __rel_loc char[] rel; unsigned char unsigned")
	// 8 common, 1, 8, 8, 4, 4, 1: the two texts begin at 34.
	h.Handle(wrote(int8(-1), uint64(math.MaxUint64), "ab\x00junk\xff", uint32(3<<16|34), uint32(2<<16|4), uint8(200), "de\x00", "fg"))
	require.Equal(t, map[string]uint64{"n{a=-1,b=-1,c=ab,d=de,e=fg,f=200}": 1}, b.collect()[0].Counters)
}

func TestMetricsOfEveryTypeAndScale(t *testing.T) {
	b := open(t, `
  - {event: e, metric: {name: count, type: counter}}
  - {event: e, metric: {name: bytes, type: counter, unit: By}, value: n, scale: 1024}
  - {event: e, metric: {name: time, type: counter, unit: s}, value: n, scale: 1e-9}
  - {event: e, metric: {name: level, type: updowncounter}, value: s, scale: -1}
  - {event: e, metric: {name: part, type: updowncounter}, value: s, scale: 0.5}
  - {event: e, metric: {name: heat, type: gauge}, value: s, scale: 0.1}
  - {event: e, metric: {name: latency, type: histogram, unit: s}, value: n, scale: 1e-9}
`, ample)
	h := b.bind("e u64 n; s32 s")
	h.Handle(wrote(uint64(100_000_000), int32(-3)))
	h.Handle(wrote(uint64(200_000_000), int32(-4)))
	p := b.collect()[0]
	require.Equal(t, map[string]uint64{"count": 2, "bytes": 300_000_000 * 1024}, p.Counters)
	require.Equal(t, map[string]int64{"level": 7}, p.UpDownCounters)
	require.Equal(t, map[string]float64{"time": 0.3, "part": -3.5}, p.Sums)
	require.Equal(t, map[string]float64{"heat": -0.4}, p.Gauges)
	require.Equal(t, uint64(2), p.Histograms["latency"].Count)
	require.Equal(t, 0.3, p.Histograms["latency"].Sum)
}

func TestNames(t *testing.T) {
	b := open(t, `
  - {event: my_event, metric: {name: a, type: counter}}
  - {event: "disk_*", metric: {name: b, type: counter}}
  - {event: "net_?x", metric: {name: c, type: counter}}
`, ample)
	for name, want := range map[string]bool{
		"my_event": true, "my_event.1f": true, "my_event.zz": false, "my_event2": false, "my_event.": false, ".1": false,
		"disk_": true, "disk_read": true, "disk_read.0": true, "disks": false, "net_rx": true, "net_rx.a": true, "net_rrx": false,
	} {
		require.Equal(t, want, b.Matches(name), name)
		h, err := b.Bind(&format.Format{Name: name})
		require.NoError(t, err)
		require.Equal(t, want, h != nil, name)
	}
}

func TestWildcardsLeaveTheOtherIngestsTheirEvents(t *testing.T) {
	b := open(t, `  - {event: "*", metric: {name: a, type: counter}}`, ample)
	for name, want := range map[string]bool{"hotpath_v1": false, "otlp_metrics": false, "otlp_metrics.1": false, "hotpath_v12": true} {
		require.Equal(t, want, b.Matches(name), name)
	}
}

func TestEventsOfOtherIngestsMayBeMappedByTheirNames(t *testing.T) {
	b := open(t, `
  - {event: otlp_metrics, metric: {name: envelopes, type: counter}}
  - {event: hotpath_v1, metric: {name: updates, type: counter}}
`, ample)
	b.bind("otlp_metrics u32 protocol; char[8] version; __rel_loc u8[] buffer").Handle(wrote(uint32(0), uint64(0), uint32(0)))
	b.bind("otlp_metrics.1f").Handle(wrote())
	b.bind(userevent.Declaration).Handle(wrote(uint64(1)))
	require.Equal(t, map[string]uint64{"envelopes": 2, "updates": 1}, b.collect()[0].Counters)
}

func TestTwoFormatsOfOneNameAreOneMetric(t *testing.T) {
	b := open(t, `  - {event: e, metric: {name: a, type: counter}, value: n, attributes: {k: k}}`, ample)
	b.bind("e.1 u64 n; u32 k").Handle(wrote(uint64(3), uint32(5)))
	b.bind("e.2 u8 k; u16 n").Handle(wrote(uint8(5), uint16(4)))
	require.Equal(t, map[string]uint64{"a{k=5}": 7}, b.collect()[0].Counters)
}

func TestAnEntryThatDoesNotFitIsNamedAndTheOthersGoOn(t *testing.T) {
	b := open(t, `
  - {event: e, metric: {name: good, type: counter}, value: n}
  - {event: "e*", metric: {name: bad, type: counter}, value: text, attributes: {k: gone}}
  - {event: e, name: Named, metric: {name: other, type: counter}}
`, ample)
	h, err := b.Bind(formatOf(t, "e u32 n; char[8] text"))
	require.EqualError(t, err, strings.Join([]string{
		`map event "e": events::1::value: no integer in "text", the fields are: u32 n; char[8] text`,
		`events::1::attributes::k: no field "gone", the fields are: u32 n; char[8] text`,
		`events::2::name: is for EventHeader events, the fields are: u32 n; char[8] text`,
	}, "\n"))
	require.NotNil(t, h)
	h.Handle(wrote(uint32(2), "12345678"))
	require.Equal(t, map[string]uint64{"good": 2}, b.collect()[0].Counters)

	h, err = b.Bind(formatOf(t, "e2 u32 n"))
	require.Error(t, err)
	require.Nil(t, h)
}

func TestEventsThatCannotBeUsedAreCountedByReason(t *testing.T) {
	b := open(t, `
  - {event: e, metric: {name: a, type: counter}, value: n, attributes: {k: s}}
  - {event: x, metric: {name: b, type: gauge}, value: n, scale: 1e300}
`, ample)
	h := b.bind("e s64 n; __rel_loc char[] s")
	h.Handle(wrote(int64(-1), uint32(2<<16), "ab"))
	h.Handle(wrote(int64(1), uint32(9<<16), "ab"))
	h.Handle(wrote(int64(1), uint32(2<<16|0xffff), "ab"))
	h.Handle(wrote(int32(1)))
	h.Handle(&event.Event{TID: pid})
	b.bind("x s64 n").Handle(wrote(int64(math.MaxInt64)))
	require.Empty(t, b.collect())
	require.Equal(t, skips{"value_negative": 1, "field_out_of_bounds": 4, "value_not_finite": 1}, b.skips)
	b.collect()
	require.Equal(t, int64(4), b.skips["field_out_of_bounds"], "counted again")
}

func TestEachResourceOfAProcessHasItsOwnAttributes(t *testing.T) {
	b := open(t, `
  - {event: e, metric: {name: a, type: counter}, resource: {service.name: shop, process.executable.name: x}}
  - {event: e, metric: {name: b, type: counter}}
  - {event: e, metric: {name: c, type: counter}, resource: {process.executable.name: x, service.name: shop}}
`, ample)
	b.bind("e").Handle(wrote())
	processes := b.collect()
	require.Len(t, processes, 2)
	require.Equal(t, map[string]uint64{"a": 1, "c": 1}, processes[0].Counters)
	require.Equal(t, map[string]string{
		"process.pid": "8388608", "process.executable.name": "x", "process.user.id": "7", "service.name": "shop",
	}, processes[0].Resource)
	require.Equal(t, map[string]uint64{"b": 1}, processes[1].Counters)
	require.Equal(t, "unknown_service", processes[1].Resource["service.name"])
}

func TestAThreadThatIsGoneIsAProcessOfWhichOnlyItsIDIsKnown(t *testing.T) {
	b := open(t, `  - {event: e, metric: {name: a, type: counter}}`, ample)
	b.bind("e").Handle(&event.Event{Time: 1, TID: pid + 1, Record: record()})
	p := b.collect()[0]
	require.Equal(t, map[string]string{"process.pid": "8388609", "service.name": "unknown_service"}, p.Resource)
}

func TestAProcessIsFollowedToItsEnd(t *testing.T) {
	b := open(t, `  - {event: e, metric: {name: a, type: counter}}`, ample)
	b.proc.Thread(pid, pid+1, 7)
	h := b.bind("e")
	turn := func() []*emittest.Process {
		b.processes.Sweep()
		b.processes.Release()
		return b.collect()
	}
	h.Handle(wrote())
	h.Handle(&event.Event{TID: pid + 1, Record: record()})
	require.Equal(t, emit.Live, turn()[0].Info.State)
	b.Commit()
	b.proc.End(pid+1, pid)
	b.processes.Sweep()
	h.Handle(wrote()) // it was on its way
	b.processes.Release()
	p := b.collect()[0]
	require.Equal(t, emit.Final, p.Info.State)
	require.Equal(t, uint64(3), p.Counters["a"])

	b.proc.Start(pid, 7, "other", 200) // the id is used again
	h.Handle(wrote())
	b.Commit()
	processes := turn()
	require.Equal(t, emit.Gone, processes[0].Info.State)
	require.Equal(t, "other", processes[1].Resource["process.executable.name"])
	require.Equal(t, uint64(1), processes[1].Counters["a"])
	b.Commit()
	require.Len(t, turn(), 1)
	require.Len(t, b.measured, 1)
}

func TestTooManyProcessesAreCounted(t *testing.T) {
	b := open(t, `  - {event: e, metric: {name: a, type: counter}}`, ample)
	h := b.bind("e")
	for i := range int32(110) {
		h.Handle(&event.Event{TID: pid + i, Record: record()})
	}
	require.Len(t, b.collect(), 100)
	require.Equal(t, skips{process.LimitReason: 10}, b.skips)
}

func TestTooManySeriesAreFoldedAndLoggedOnce(t *testing.T) {
	b := open(t, `  - {event: e, metric: {name: a, type: counter}, attributes: {k: k}}`, aggregate.MeasurementLimits{Processes: 1000, Series: 2, SeriesPerUID: 5})
	h := b.bind("e u32 k")
	for range 2 {
		for k := range uint32(5) {
			h.Handle(wrote(k))
		}
		b.collect()
	}
	require.Equal(t, map[string]uint64{"a{k=0}": 2, "a{k=1}": 2, "a{otel.metric.overflow=true}": 6}, b.collect()[0].Counters)
	require.Equal(t, 1, b.logs.Len())
}

func TestProcessesThatEndedAreBoundedWhileDeliveriesAreRefused(t *testing.T) {
	const most = 5
	limits := ample
	limits.Processes = most
	b := open(t, contract, limits)
	h := b.bind("my_counter u32 id; u64 value")
	write := func() {
		b.proc.Start(pid, 7, "app", 100)
		h.Handle(wrote(uint32(1), uint64(1)))
		b.proc.End(pid)
		b.processes.Sweep()
		b.processes.Release()
	}
	for range 4 * most {
		write()
		require.LessOrEqual(t, len(b.collect()), most)
	}
	require.Equal(t, skips{process.LimitReason: 3 * most}, b.skips)
	for range 2 {
		b.collect()
		b.Commit()
	}
	write()
	require.Len(t, b.collect(), 1, "there is room again")
	require.Equal(t, skips{process.LimitReason: 3 * most}, b.skips)
}
