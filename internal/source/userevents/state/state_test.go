package state

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/client/go/userevent"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
	"github.com/hotpath-metrics/hotpath/internal/process"
	"github.com/hotpath-metrics/hotpath/internal/process/processtest"
	"github.com/hotpath-metrics/hotpath/internal/quota"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
	"github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/event"
)

const (
	shop  = processtest.First // a process with three threads
	other = shop + 100
	bread = shop + 200 // of another user
)

var manySeries = quota.Limits{Segments: 100, SegmentsPerUID: 50, Series: 1000, SeriesPerUID: 500, SeriesPerSegment: 200}

// telemetry counts what was skipped.
type telemetry struct {
	source.EventTelemetry
	skipped map[string]int64
}

func (t *telemetry) EventsSkipped(reason string, n int64) { t.skipped[reason] += n }

// update is an event of a test. What is not said is right.
type update struct {
	tid              int32
	time             int64
	segment, number  uint64
	start            uint64
	value, zero      uint64
	instance         byte
	pid, series      uint32
	first, flags     int
	record, resource []byte
	buckets          []uint64
}

func number(n uint64) update { return update{number: n, value: n} }

func (u update) bytes() []byte {
	if u.segment == 0 {
		u.segment = 1
	}
	if u.start == 0 {
		u.start = 1000
	}
	if u.record == nil {
		u.record = segmenttest.Counter(0, "requests").Append(nil)
	}
	if u.resource == nil {
		u.resource = segmenttest.Resource(segmenttest.Str("service.name", "shop")).Append(nil)
	}
	header := userevent.Update{
		Segment: u.segment, Number: u.number, Start: u.start, Value: u.value, Zero: u.zero,
		Instance: [layout.InstanceSize]byte{u.instance}, PID: u.pid, Series: u.series, First: uint16(u.first), Flags: uint16(u.flags),
		RecordLen: uint16(len(u.record)), ResourceLen: uint16(len(u.resource)), BucketsLen: uint16(8 * len(u.buckets)),
	}
	b := make([]byte, fieldsAt+userevent.HeaderSize)
	header.Put(b[fieldsAt:])
	b = append(append(b, u.record...), u.resource...)
	for _, n := range u.buckets {
		b = binary.NativeEndian.AppendUint64(b, n)
	}
	return b
}

type fixture struct {
	testing.TB
	proc  *processtest.Proc
	table *process.Table
	tel   *telemetry
	in    *Ingest
}

func setUp(t testing.TB, limits quota.Limits) *fixture {
	t.Helper()
	proc := processtest.New(t)
	proc.Start(shop, 1000, "shop", 100)
	proc.Thread(shop, shop+1, 1000)
	proc.Thread(shop, shop+2, 1000)
	proc.Start(other, 1000, "other", 100)
	proc.Start(bread, 1001, "bakery", 100)
	f := &fixture{TB: t, proc: proc, table: proc.Table(20), tel: &telemetry{skipped: map[string]int64{}}}
	f.in = New(limits, f.table, f.tel, 0)
	return f
}

func (f *fixture) handle(updates ...update) {
	for _, u := range updates {
		f.raw(u.tid, u.time, u.bytes())
	}
}

func (f *fixture) raw(tid int32, time int64, record []byte) {
	if tid == 0 {
		tid = shop
	}
	f.in.Handle(&event.Event{TID: tid, Time: time, Record: record})
}

// collect is a collection before which the updates are read. It is not committed.
func (f *fixture) collect(updates ...update) []*emittest.Process {
	f.table.Sweep()
	f.handle(updates...)
	f.table.Release()
	var r emittest.Recorder
	f.in.Collect(&r)
	return r.Processes
}

func (f *fixture) one(updates ...update) *emittest.Process {
	f.Helper()
	processes := f.collect(updates...)
	require.Len(f, processes, 1)
	return processes[0]
}

func (f *fixture) skips() map[string]int64 {
	f.in.report()
	skipped := f.tel.skipped
	f.tel.skipped = map[string]int64{}
	return skipped
}

func bits(v float64) uint64 { return math.Float64bits(v) }

func counter(name string, attributes ...emit.Attribute) []byte {
	return segmenttest.Counter(0, name, attributes...).Append(nil)
}
