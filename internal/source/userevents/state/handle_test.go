package state

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/client/go/userevent"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
	"github.com/hotpath-metrics/hotpath/internal/quota"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/format"
)

func TestHighestNumberWinsWhateverIsLostReorderedOrRepeated(t *testing.T) {
	for name, numbers := range map[string][]uint64{
		"in order":   {1, 2, 3},
		"lost":       {3},
		"reordered":  {3, 1, 2},
		"repeated":   {1, 3, 3, 1, 2, 2},
		"begun amid": {2, 3},
	} {
		f := setUp(t, manySeries)
		for _, n := range numbers {
			f.handle(update{number: n, value: 10 * n})
		}
		assert.Equal(t, map[string]uint64{"requests": 30}, f.one().Counters, name)
		assert.Empty(t, f.skips(), name)
	}
}

func TestEachKindHasItsValue(t *testing.T) {
	f := setUp(t, manySeries)
	p := f.one(
		update{series: 0, number: 1, value: math.MaxUint64, record: counter("c")},
		update{series: 1, number: 1, value: ^uint64(4), record: segmenttest.UpDownCounter(0, "u").Append(nil)},
		update{series: 2, number: 1, value: bits(0.5), record: segmenttest.Gauge(0, "g").Append(nil)},
		update{series: 3, number: 1, value: bits(math.NaN()), record: segmenttest.Gauge(0, "nan").Append(nil)},
		update{series: 4, number: 1, value: bits(2.5), zero: 2, first: 200, buckets: []uint64{3, 0, 1}, record: segmenttest.Histogram(0, "h").Append(nil)},
	)
	assert.Equal(t, map[string]uint64{"c": math.MaxUint64}, p.Counters)
	assert.Equal(t, map[string]int64{"u": -5}, p.UpDownCounters)
	assert.Equal(t, 0.5, p.Gauges["g"])
	assert.True(t, math.IsNaN(p.Gauges["nan"]))
	h := p.Histograms["h"]
	assert.Equal(t, emittest.Histogram{Sum: 2.5, Zero: 2, Count: 6, Buckets: h.Buckets}, h)
	assert.Equal(t, []uint64{0, 3, 0, 1, 0}, h.Buckets[199:204])
	assert.Empty(t, f.skips())
}

func TestHistogramIsPutTogetherFromTheEventsOfAnUpdate(t *testing.T) {
	record := segmenttest.Histogram(0, "h").Append(nil)
	chunk := func(number uint64, first int, flags int, buckets ...uint64) update {
		return update{number: number, value: bits(float64(number)), zero: number, first: first, flags: flags, buckets: buckets, record: record}
	}
	whole := []update{
		chunk(1, 300, 0, 1), chunk(2, 10, userevent.FlagMore, 1, 2), chunk(2, 300, 0, 2, 2), chunk(3, 511, 0, 9), chunk(3, 0, 0, 1, 0),
	}
	want := make([]uint64, layout.HistogramBuckets)
	want[0], want[10], want[11], want[300], want[301], want[511] = 1, 1, 2, 2, 2, 9
	backwards := slices.Clone(whole)
	slices.Reverse(backwards)
	for _, updates := range [][]update{whole, backwards, append(slices.Clone(whole), backwards...)} {
		f := setUp(t, manySeries)
		assert.Equal(t, map[string]emittest.Histogram{"h": {Sum: 3, Zero: 3, Count: 20, Buckets: want}}, f.one(updates...).Histograms)
		assert.Empty(t, f.skips())
	}
}

func TestZerosAloneMakeAHistogramWithoutBuckets(t *testing.T) {
	f := setUp(t, manySeries)
	h := f.one(update{number: 1, zero: 4, record: segmenttest.Histogram(0, "h").Append(nil)}).Histograms["h"]
	assert.EqualValues(t, 4, h.Count)
	assert.Empty(t, f.skips())
}

func TestNewestGaugeOfAProcessWins(t *testing.T) {
	gauge := segmenttest.Gauge(0, "g").Append(nil)
	f := setUp(t, manySeries)
	p := f.one(
		update{segment: 1, number: 1, value: bits(1), time: 30, record: gauge},
		update{segment: 2, number: 1, value: bits(2), time: 20, record: gauge},
		update{segment: 3, number: 2, value: bits(3), time: 40, record: gauge},
		update{segment: 3, number: 1, value: bits(4), time: 50, record: gauge},
	)
	assert.Equal(t, map[string]float64{"g": 3}, p.Gauges)
}

func TestSeriesNumbersMayBeSparse(t *testing.T) {
	f := setUp(t, manySeries)
	want := map[string]uint64{}
	for i, n := range []uint32{userevent.MaxSeries - 1, 0, 5000, 255, 256, 1, 5000, userevent.MaxSeries - 1} {
		name := fmt.Sprintf("n%d", n)
		f.handle(update{series: n, number: uint64(i + 1), value: uint64(i), record: counter(name)})
		want[name] = uint64(i)
	}
	assert.Equal(t, want, f.one().Counters)
	assert.Less(t, len(f.in.segments[1].dense), 1000, "memory follows what there is, not the highest number")
	f.handle(update{series: userevent.MaxSeries, number: 1})
	assert.Equal(t, map[string]int64{"number": 1}, f.skips())
}

func TestBadEventsAreSkippedByReasonAndHarmNoOther(t *testing.T) {
	rel := func(u update, field, length, at int) []byte {
		b := u.bytes()
		binary.NativeEndian.PutUint32(b[fieldsAt+field:], uint32(length<<16|at))
		return b
	}
	histogram := segmenttest.Histogram(0, "h").Append(nil)
	invalid := func(r segmenttest.Record) []byte { return r.Append(nil) }
	whole := number(1).bytes()
	for name, c := range map[string]struct {
		reason string
		event  []byte
	}{
		"empty":                  {"truncated", nil},
		"no fields":              {"truncated", whole[:fieldsAt]},
		"header cut":             {"truncated", whole[:fieldsAt+userevent.HeaderSize-1]},
		"record cut":             {"bounds", whole[:fieldsAt+userevent.HeaderSize+8]},
		"record outside":         {"bounds", rel(number(1), userevent.OffRecord, 8, 0xffff)},
		"record longer":          {"bounds", rel(number(1), userevent.OffRecord, 0xffff, 8)},
		"resource outside":       {"bounds", rel(update{segment: 2, number: 1}, userevent.OffResource, 8, 0xffff)},
		"buckets outside":        {"bounds", rel(update{series: 2, number: 1, record: histogram}, userevent.OffBuckets, 8, 0xffff)},
		"number 0":               {"number", number(0).bytes()},
		"series too high":        {"number", update{series: 1 << 20, number: 1}.bytes()},
		"series far too high":    {"number", update{series: math.MaxUint32, number: 1}.bytes()},
		"no start":               {"start", at(update{segment: 2, number: 1}, userevent.OffStart, 0)},
		"start after all time":   {"start", at(update{segment: 2, number: 1}, userevent.OffStart, math.MaxInt64+1)},
		"record empty":           {"record", rel(update{series: 2, number: 1}, userevent.OffRecord, 0, 8)},
		"record not whole":       {"record", rel(update{series: 2, number: 1}, userevent.OffRecord, 24, 8)},
		"record is a resource":   {"record", update{series: 2, number: 1, record: invalid(segmenttest.Resource())}.bytes()},
		"record of another kind": {"record", update{series: 2, number: 1, record: invalid(segmenttest.Record{Kind: 9, Name: "x"})}.bytes()},
		"bad name":               {"record", update{series: 2, number: 1, record: counter("1")}.bytes()},
		"no name":                {"record", update{series: 2, number: 1, record: counter("")}.bytes()},
		"unsorted attributes":    {"record", update{series: 2, number: 1, record: counter("x", segmenttest.Int("b", 1), segmenttest.Int("a", 1))}.bytes()},
		"not UTF-8":              {"record", update{series: 2, number: 1, record: counter("x", segmenttest.Str("a", "\xff"))}.bytes()},
		"resource is a series":   {"resource", update{segment: 2, number: 1, resource: counter("x")}.bytes()},
		"resource empty":         {"resource", rel(update{segment: 2, number: 1}, userevent.OffResource, 0, 8)},
		"other record":           {"record_changed", update{number: 2, record: counter("y")}.bytes()},
		"other kind":             {"record_changed", update{number: 2, record: segmenttest.Gauge(0, "requests").Append(nil)}.bytes()},
		"name of another kind":   {"conflict", update{series: 2, number: 1, record: segmenttest.Gauge(0, "requests").Append(nil)}.bytes()},
		"same series twice":      {"duplicate", update{series: 2, number: 1}.bytes()},
		"gauge that was not set": {"unset", update{series: 3, number: 1, value: layout.GaugeUnset, record: segmenttest.Gauge(0, "g").Append(nil)}.bytes()},
		"buckets of a counter":   {"buckets", update{number: 2, buckets: []uint64{1}}.bytes()},
		"bucket beyond the last": {"buckets", update{series: 4, number: 1, first: 511, buckets: []uint64{1, 1}, record: histogram}.bytes()},
		"first beyond the last":  {"buckets", update{series: 4, number: 1, first: 513, record: histogram}.bytes()},
		"half a bucket":          {"buckets", rel(update{series: 4, number: 1, record: histogram, buckets: []uint64{1}}, userevent.OffBuckets, 4, 0)},
	} {
		f := setUp(t, manySeries)
		f.handle(number(1))
		f.raw(shop, 0, c.event)
		assert.Equal(t, map[string]int64{c.reason: 1}, f.skips(), name)
		assert.Equal(t, map[string]uint64{"requests": 1}, f.one().Counters, name)
		f.handle(number(3))
		assert.Equal(t, map[string]uint64{"requests": 3}, f.one().Counters, name)
	}
}

func at(u update, field int, value uint64) []byte {
	b := u.bytes()
	binary.NativeEndian.PutUint64(b[fieldsAt+field:], value)
	return b
}

func TestLimitsLeaveOutWhatIsBeyondThem(t *testing.T) {
	histogram := func(series uint32, first, n int) update {
		return update{series: series, number: 1, first: first, buckets: make([]uint64, n), record: segmenttest.Histogram(0, "h").Append(nil)}
	}
	for name, c := range map[string]struct {
		limits  quota.Limits
		updates []update
		skipped map[string]int64
		series  int
	}{
		"series": {
			quota.Limits{Segments: 9, SegmentsPerUID: 9, Series: 3, SeriesPerUID: 9, SeriesPerSegment: 9},
			[]update{
				{number: 1},
				{segment: 2, number: 1},
				{segment: 3, number: 1, tid: bread},
				{segment: 3, number: 1, series: 1, tid: bread, record: counter("b")},
				{number: 2},
			},
			map[string]int64{"limit": 1},
			3,
		},
		"series of a user": {
			quota.Limits{Segments: 9, SegmentsPerUID: 9, Series: 9, SeriesPerUID: 2, SeriesPerSegment: 9},
			[]update{{number: 1}, {segment: 2, number: 1, tid: other}, {segment: 2, number: 1, series: 1, tid: other, record: counter("b")}, {segment: 3, number: 1, tid: bread}},
			map[string]int64{"limit": 1},
			3,
		},
		"series of a segment": {
			quota.Limits{Segments: 9, SegmentsPerUID: 9, Series: 9, SeriesPerUID: 9, SeriesPerSegment: 1},
			[]update{{number: 1}, {number: 1, series: 1, record: counter("b")}, {segment: 2, number: 1}},
			map[string]int64{"limit": 1},
			2,
		},
		"a long record": {
			quota.Limits{Segments: 9, SegmentsPerUID: 9, Series: 3, SeriesPerUID: 9, SeriesPerSegment: 9},
			[]update{{number: 1, record: counter("a", segmenttest.Str("k", string(make([]byte, 1000))))}, {number: 1, series: 1, record: counter("b", segmenttest.Str("k", string(make([]byte, 1000))))}},
			map[string]int64{"limit": 1},
			2,
		},
		"a long resource": {
			quota.Limits{Segments: 9, SegmentsPerUID: 9, Series: 1, SeriesPerUID: 9, SeriesPerSegment: 9},
			[]update{{number: 1, resource: segmenttest.Resource(segmenttest.Str("a", string(make([]byte, 1000))), segmenttest.Str("b", string(make([]byte, 1000)))).Append(nil)}},
			map[string]int64{"limit": 1},
			0,
		},
		"buckets": {
			quota.Limits{Segments: 9, SegmentsPerUID: 9, Series: 3, SeriesPerUID: 9, SeriesPerSegment: 9},
			[]update{histogram(0, 0, 128), histogram(0, 128, 128), histogram(0, 256, 128), histogram(0, 511, 1)},
			map[string]int64{"limit": 2},
			3,
		},
		"buckets with what an earlier collector may have delivered": {
			quota.Limits{Segments: 9, SegmentsPerUID: 9, Series: 3, SeriesPerUID: 9, SeriesPerSegment: 9},
			[]update{
				{number: 2, buckets: make([]uint64, 128), record: segmenttest.Histogram(0, "h").Append(nil)},
				{number: 3, first: 128, buckets: make([]uint64, 128), record: segmenttest.Histogram(0, "h").Append(nil)},
			},
			map[string]int64{"limit": 1},
			3,
		},
		"segments": {
			quota.Limits{Segments: 2, SegmentsPerUID: 9, Series: 9, SeriesPerUID: 9, SeriesPerSegment: 9},
			[]update{{number: 1}, {segment: 2, number: 1}, {segment: 3, number: 1, tid: bread}},
			map[string]int64{"segment_limit": 1},
			2,
		},
		"segments of a user": {
			quota.Limits{Segments: 9, SegmentsPerUID: 2, Series: 9, SeriesPerUID: 9, SeriesPerSegment: 9},
			[]update{{number: 1}, {segment: 2, number: 1, tid: other}, {segment: 3, number: 1}, {segment: 4, number: 1, tid: bread}},
			map[string]int64{"segment_limit": 1},
			3,
		},
	} {
		f := setUp(t, c.limits)
		f.handle(c.updates...)
		assert.Equal(t, c.skipped, f.skips(), name)
		assert.Equal(t, c.series, audit(t, f.in, c.limits), name)
	}
}

func TestProcessesBeyondTheTablesLimitAreCounted(t *testing.T) {
	f := setUp(t, manySeries)
	f.table = f.proc.Table(1)
	f.in = New(manySeries, f.table, f.tel, 0)
	f.handle(number(1), update{tid: bread, segment: 2, number: 1}, update{tid: bread, number: 2, value: 7})
	assert.Equal(t, map[string]int64{"process_limit": 2}, f.skips())
	assert.Equal(t, map[string]uint64{"requests": 1}, f.one().Counters)
}

func TestBindTakesItsOwnEventInItsOwnLayoutOnly(t *testing.T) {
	f := setUp(t, manySeries)
	_, fields, err := format.ParseDeclaration(userevent.Declaration)
	require.NoError(t, err)
	handler, err := f.in.Bind(&format.Format{Name: "otlp_metrics", Fields: fields})
	assert.NoError(t, err)
	assert.Nil(t, handler)
	handler, err = f.in.Bind(&format.Format{Name: "hotpath_v1", Fields: fields})
	assert.NoError(t, err)
	assert.Same(t, f.in, handler)

	_, err = f.in.Bind(&format.Format{Name: "hotpath_v1", Fields: fields[:2]})
	assert.ErrorContains(t, err, `"u64 segment; u64 number"`)
	assert.ErrorContains(t, err, `__rel_loc u8[] buckets"`)
	moved := slices.Clone(fields)
	moved[3].Offset += 4
	_, err = f.in.Bind(&format.Format{Name: "hotpath_v1", Fields: moved})
	assert.Error(t, err)
}

func TestLayoutIsThatOfTheDeclaration(t *testing.T) {
	_, fields, err := format.ParseDeclaration(userevent.Declaration)
	require.NoError(t, err)
	got := map[string]int{}
	for _, field := range fields {
		got[field.Name] = field.Offset - fieldsAt
	}
	assert.Equal(t, map[string]int{
		"segment": userevent.OffSegment, "number": userevent.OffNumber, "start": userevent.OffStart, "value": userevent.OffValue,
		"zero": userevent.OffZero, "instance_hi": userevent.OffInstanceHi, "instance_lo": userevent.OffInstanceLo,
		"pid": userevent.OffPID, "series": userevent.OffSeries, "first": userevent.OffFirst, "flags": userevent.OffFlags,
		"record": userevent.OffRecord, "resource": userevent.OffResource, "buckets": userevent.OffBuckets,
	}, got)
}

func TestAttributesAndDescriptionComeFromTheRecord(t *testing.T) {
	record := segmenttest.Record{
		Kind: layout.KindCounter, Name: "requests", Unit: "{request}", Description: "Requests served.", Flags: layout.FlagOverflow,
		Attributes: []emit.Attribute{segmenttest.Int("code", 200)},
	}
	f := setUp(t, manySeries)
	p := f.one(update{number: 1, value: 4, record: record.Append(nil)})
	const key = "requests{code=200,otel.metric.overflow=true}"
	assert.Equal(t, map[string]uint64{key: 4}, p.Counters)
	assert.Equal(t, emit.Instrument{Name: "requests", Unit: "{request}", Description: "Requests served.", Kind: emit.KindCounter}, p.Instruments[key])
	assert.Equal(t, []string{key}, slices.Collect(maps.Keys(p.Instruments)))
}

func TestFloodOfForeignThreadsHasTheKernelAskedSoOftenOnly(t *testing.T) {
	f := setUp(t, manySeries)
	f.proc.Thread(other, other+1, 1000)
	f.handle(number(1))
	foreign := [][]byte{update{number: 2}.bytes(), update{number: 3}.bytes()}
	for i := range 3 * maxAsked {
		f.raw(other+int32(i%2), 0, foreign[i%2])
	}
	assert.Equal(t, maxAsked, f.in.asked)
	f.proc.Thread(shop, shop+60, 1000)
	f.handle(update{tid: shop + 60, number: 4, value: 4}) // its own threads are not asked about
	assert.Equal(t, map[string]int64{"foreign_process": 3 * maxAsked}, f.skips())
	assert.EqualValues(t, 4, f.one().Counters["requests"])
	assert.Zero(t, f.in.asked)
}

func TestSegmentWithoutRoomHasTheKernelNotAsked(t *testing.T) {
	f := setUp(t, quota.Limits{Segments: 9, SegmentsPerUID: 9, Series: 9, SeriesPerUID: 9, SeriesPerSegment: 1})
	p := f.table.Of(shop)
	f.proc.Start(shop, 1000, "renamed", 100)
	text := string(make([]byte, 1024))
	f.handle(update{number: 1, resource: segmenttest.Resource(segmenttest.Str("a", text), segmenttest.Str("b", text)).Append(nil)})
	assert.Equal(t, map[string]int64{"limit": 1}, f.skips())
	assert.Equal(t, "shop", p.Executable)
	f.handle(number(1))
	assert.Equal(t, "renamed", p.Executable, "when it was asked")
}

// Who takes a number adds up the stripes afterwards, and may be interrupted in between.
func TestTotalsDoNotFallWhereAHigherNumberWasAddedUpEarlier(t *testing.T) {
	record := segmenttest.Histogram(0, "h").Append(nil)
	f := setUp(t, manySeries)
	h := func(number, n uint64) update {
		return update{series: 1, number: number, value: bits(float64(n)), zero: n, first: 3, buckets: []uint64{n, n, n, n, n, n, n, n, n}, record: record}
	}
	f.one(update{number: 5, value: 10}, h(5, 10))
	p := f.one(update{number: 6, value: 9}, h(6, 9))
	assert.EqualValues(t, 10, p.Counters["requests"])
	got := p.Histograms["h"]
	assert.Equal(t, []any{10.0, uint64(10), uint64(100)}, []any{got.Sum, got.Zero, got.Count})
	p = f.one(update{number: 7, value: 11}, h(7, 11))
	assert.EqualValues(t, 11, p.Counters["requests"])
	got = p.Histograms["h"]
	assert.Equal(t, []any{11.0, uint64(11), uint64(110)}, []any{got.Sum, got.Zero, got.Count})
}
