package state

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/process/processtest"
	"github.com/hotpath-metrics/hotpath/internal/quota"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
)

func TestResourceIsTheClientsWithTheKernelsWordOnTheProcess(t *testing.T) {
	f := setUp(t, manySeries)
	p := f.one(update{number: 1, pid: 7, instance: 0xab, start: 1234, resource: segmenttest.Resource(
		segmenttest.Str("process.executable.name", "liar"), segmenttest.Str("service.name", "shop"), segmenttest.Str("zone", "a")).Append(nil)})
	assert.Equal(t, map[string]string{
		"process.executable.name": "shop", "process.pid": "8388608", "process.user.id": "1000",
		"service.instance.id": "ab000000-0000-0000-0000-000000000000", "service.name": "shop", "zone": "a",
	}, p.Resource)
	assert.EqualValues(t, 1000, p.Info.Owner)
	assert.EqualValues(t, 1234, p.Info.Start)
	assert.Zero(t, p.Info.Time)
	assert.Zero(t, p.Info.Since)
	assert.Equal(t, emit.Live, p.Info.State)
}

func TestSegmentsOfAProcessAddUp(t *testing.T) {
	histogram := segmenttest.Histogram(0, "h").Append(nil)
	f := setUp(t, manySeries)
	p := f.one(
		update{segment: 1, start: 2000, number: 1, value: 1}, update{segment: 2, start: 1500, tid: shop + 1, number: 9, value: 2},
		update{segment: 1, series: 1, number: 1, value: bits(1), zero: 1, first: 3, buckets: []uint64{1}, record: histogram},
		update{segment: 2, series: 7, number: 1, value: bits(2), zero: 2, first: 3, buckets: []uint64{2, 5}, record: histogram},
	)
	assert.Equal(t, map[string]uint64{"requests": 3}, p.Counters)
	h := p.Histograms["h"]
	assert.Equal(t, []any{3.0, uint64(3), []uint64{0, 3, 5, 0}}, []any{h.Sum, h.Zero, h.Buckets[2:6]})
	assert.EqualValues(t, 1500, p.Info.Start)
	assert.EqualValues(t, 1500, f.one(update{segment: 3, start: 700, number: 1}).Info.Start, "a start that was told does not change")
	assert.Empty(t, f.skips())
}

func TestWhatDiffersStaysApart(t *testing.T) {
	f := setUp(t, manySeries)
	processes := f.collect(
		update{segment: 1, number: 1, value: 1},
		update{segment: 2, number: 1, value: 2, instance: 1}, // a program that it executed
		update{segment: 3, number: 1, value: 3, resource: segmenttest.Resource(segmenttest.Str("service.name", "till")).Append(nil)},
		update{segment: 4, number: 1, value: 4, tid: other}, // the same instance, as it says
		update{segment: 5, number: 1, value: 5, tid: bread, instance: 5},
	)
	require.Len(t, processes, 5)
	for i, p := range processes {
		assert.Equal(t, map[string]uint64{"requests": uint64(i + 1)}, p.Counters)
	}
	assert.EqualValues(t, 1001, processes[4].Info.Owner)
}

func TestForkedChildIsAProcessOfItsOwn(t *testing.T) {
	f := setUp(t, manySeries)
	f.handle(update{segment: 1, number: 5, value: 100})
	processes := f.collect(update{segment: 2, tid: other, instance: 1, start: 3000, number: 1, value: 1})
	require.Len(t, processes, 2)
	assert.EqualValues(t, 100, processes[0].Counters["requests"])
	assert.EqualValues(t, 1, processes[1].Counters["requests"])
	assert.EqualValues(t, 3000, processes[1].Info.Start)
}

func TestAnotherProcessCannotWriteToASegment(t *testing.T) {
	f := setUp(t, manySeries)
	f.handle(number(1), update{tid: other, number: 99}, update{tid: bread, number: 99}, update{tid: other, number: 99}, update{tid: shop + 1, number: 2, value: 2})
	assert.Equal(t, map[string]uint64{"requests": 2}, f.one().Counters)
	assert.Equal(t, map[string]int64{"foreign_process": 3}, f.skips())
}

func TestThreadThatIsGoneMayWriteToASegmentWhoseIdItKnows(t *testing.T) {
	f := setUp(t, manySeries)
	f.handle(number(1), update{tid: shop + 50, number: 2, value: 2})
	p := f.one()
	assert.Equal(t, map[string]uint64{"requests": 2}, p.Counters)
	assert.Equal(t, "8388608", p.Resource["process.pid"])
	assert.Empty(t, f.skips())
}

func TestSegmentFirstSeenOfAGoneThreadGoesToItsProcessWhenThatIsKnown(t *testing.T) {
	f := setUp(t, manySeries)
	p := f.one(update{tid: shop + 50, pid: 7, number: 1, value: 1}, update{tid: shop + 51, number: 2, value: 2}, update{number: 3, value: 3})
	assert.Equal(t, map[string]uint64{"requests": 3}, p.Counters)
	assert.Equal(t, "8388608", p.Resource["process.pid"])
	held := quota.New(manySeries)
	held.Charge(1000, 1, 1)
	assert.Equal(t, held, f.in.quota)
	f.in.Commit()
	require.Len(t, f.in.resources, 1, "what never had a name needs no end")
}

func TestSegmentThatWasEndedWithItsThreadGoesOn(t *testing.T) {
	f := setUp(t, manySeries)
	p := f.one(update{tid: shop + 50, pid: 7, number: 1, value: 1})
	assert.Equal(t, emit.Live, p.Info.State)
	assert.Equal(t, "7", p.Resource["process.pid"])
	assert.NotContains(t, p.Resource, "process.user.id")
	f.in.Commit()
	assert.Equal(t, emit.Final, f.one().Info.State)
	f.in.Commit()

	processes := f.collect(update{tid: shop + 51, number: 2, value: 2}) // another thread, gone as well
	require.Len(t, processes, 2)
	assert.Equal(t, emit.Gone, processes[0].Info.State)
	assert.Contains(t, processes[0].Counters, "requests")
	assert.Equal(t, emit.Live, processes[1].Info.State)
	assert.EqualValues(t, 2, processes[1].Counters["requests"])
	f.in.Commit()

	processes = f.collect(number(3)) // its process, at last
	require.Len(t, processes, 2)
	assert.Equal(t, emit.Gone, processes[0].Info.State)
	assert.Equal(t, "8388608", processes[1].Resource["process.pid"])
	assert.EqualValues(t, 3, processes[1].Counters["requests"])
	f.in.Commit()
	assert.Equal(t, emit.Live, f.one().Info.State)
	assert.Empty(t, f.skips())
	held := quota.New(manySeries)
	held.Charge(1000, 1, 1)
	assert.Equal(t, held, f.in.quota)
}

func TestProcessIsDeliveredLiveThenFinalThenGoneThenForgotten(t *testing.T) {
	f := setUp(t, manySeries)
	f.handle(number(1))
	assert.Equal(t, emit.Live, f.one().Info.State)
	f.in.Commit()

	f.proc.End(shop, shop+1, shop+2)
	for range 2 { // refused once
		p := f.one(number(2)) // still in the buffer
		assert.Equal(t, emit.Final, p.Info.State)
		assert.Equal(t, map[string]uint64{"requests": 2}, p.Counters)
	}
	f.in.Commit()
	for range 2 {
		p := f.one()
		assert.Equal(t, emit.Gone, p.Info.State)
		assert.Contains(t, p.Counters, "requests")
	}
	f.in.Commit()
	assert.Empty(t, f.collect())
	f.in.Commit()
	assert.Empty(t, f.in.segments)
	assert.Empty(t, f.in.byKey)
	assert.Equal(t, quota.New(manySeries), f.in.quota)
	assert.Empty(t, f.skips())
	assert.EqualValues(t, 7, f.one(update{tid: other, number: 1, value: 7}).Counters["requests"], "not even the segment's id is remembered")
}

func TestProcessThatEndsBetweenCollectionAndCommitKeepsItsLastValues(t *testing.T) {
	f := setUp(t, manySeries)
	f.one(number(1))
	f.handle(number(2))
	f.proc.End(shop)
	f.in.Commit()
	p := f.one()
	assert.Equal(t, emit.Final, p.Info.State)
	assert.EqualValues(t, 2, p.Counters["requests"])
}

func TestCommitIsNotAboutProcessesThatCameAfterTheCollection(t *testing.T) {
	f := setUp(t, manySeries)
	assert.Empty(t, f.collect())
	f.handle(number(1))
	f.in.Commit()
	assert.EqualValues(t, 1, f.one().Counters["requests"])
}

func TestProcessWithTheSamePidIsAnother(t *testing.T) {
	f := setUp(t, manySeries)
	f.one(update{number: 1, value: 100})
	f.in.Commit()
	f.proc.End(shop, shop+1, shop+2)
	f.collect()
	f.in.Commit()
	f.proc.Start(shop, 1000, "shop", 200)
	processes := f.collect(update{segment: 2, number: 1, value: 1})
	require.Len(t, processes, 2)
	assert.Equal(t, emit.Gone, processes[0].Info.State)
	assert.EqualValues(t, 1, processes[1].Counters["requests"])
}

func TestThreadIdThatWasAnothersIsFoundOutWhenItMatters(t *testing.T) {
	f := setUp(t, manySeries)
	f.handle(update{tid: shop + 1, number: 1, value: 1})
	f.proc.End(shop + 1)
	f.proc.Thread(other, shop+1, 1000)
	f.handle(update{tid: shop + 1, segment: 2, number: 1, value: 2})         // a segment that is not known
	f.handle(update{tid: other, segment: 2, number: 2, value: 3}, number(4)) // both go on
	processes := f.collect()
	require.Len(t, processes, 2)
	assert.Equal(t, "8388708", processes[1].Resource["process.pid"])
	assert.EqualValues(t, 3, processes[1].Counters["requests"])
	assert.Empty(t, f.skips())
}

func TestThreadIdThatIsTheSegmentsProcessNowIsFoundOutBeforeItIsRefused(t *testing.T) {
	f := setUp(t, manySeries)
	f.proc.Thread(other, shop+60, 1000)
	f.handle(number(1), update{tid: shop + 60, segment: 2, number: 1})
	f.proc.End(shop + 60)
	f.proc.Thread(shop, shop+60, 1000)
	f.handle(update{tid: shop + 60, number: 2, value: 2})
	assert.EqualValues(t, 2, f.collect()[0].Counters["requests"])
	assert.Empty(t, f.skips())
}

func TestGoneThreadWhoseSegmentWentToItsProcessMayBringAnother(t *testing.T) {
	f := setUp(t, manySeries)
	processes := f.collect(
		update{tid: shop + 50, segment: 1, number: 1, value: 1}, update{segment: 1, number: 2, value: 2},
		update{tid: shop + 50, segment: 2, number: 1, value: 5},
	)
	require.Len(t, processes, 2)
	assert.EqualValues(t, 2, processes[0].Counters["requests"])
	assert.EqualValues(t, 5, processes[1].Counters["requests"])
}

func TestUpdateOfADeadProcessSegmentIsNobodys(t *testing.T) {
	f := setUp(t, manySeries)
	f.one(number(1))
	f.in.Commit()
	f.proc.End(shop)
	f.one()
	f.in.Commit() // all of it was told
	f.handle(update{tid: other, number: 2}, update{tid: shop + 60, number: 2})
	assert.Equal(t, map[string]int64{"foreign_process": 2}, f.skips())
}

func TestSeenAreProcessesOfWhichAnEarlierCollectorMayHaveHeard(t *testing.T) {
	started := time.Now()
	later := uint64(started.Add(time.Hour).UnixNano())
	for name, c := range map[string]struct {
		u    update
		seen bool
	}{
		"older, counts since":         {update{number: 2, start: later}, true},
		"older, never heard of":       {update{number: 1, start: 1000}, false},
		"younger, says it counts ago": {update{number: 2, tid: bread + 1, start: 1000}, false},
		"gone, counted before":        {update{number: 2, tid: bread + 2, start: 1000}, true},
		"gone, never heard of":        {update{number: 1, tid: bread + 2, start: 1000}, false},
		"gone, counts since":          {update{number: 2, tid: bread + 2, start: later}, false},
	} {
		f := setUp(t, manySeries)
		f.proc.Start(bread+1, 1000, "young", processtest.Ticks(started.Add(time.Hour)))
		f.in = New(manySeries, f.table, f.tel, started.UnixNano())
		assert.Equal(t, c.seen, f.one(c.u).Info.Seen, name)
	}
}

func TestStartInTheFutureIsTakenBack(t *testing.T) {
	f := setUp(t, manySeries)
	start := f.one(update{number: 1, start: 1 << 62}).Info.Start
	assert.LessOrEqual(t, start, time.Now().UnixNano())
	assert.Equal(t, start, f.one().Info.Start)
}

func TestSegmentsWithoutSeriesAreNoProcess(t *testing.T) {
	f := setUp(t, manySeries)
	assert.Empty(t, f.collect(update{number: 1, record: counter("1")}))
	f.in.Commit()
	f.proc.End(shop)
	for range 3 {
		assert.Empty(t, f.collect())
		f.in.Commit()
	}
	assert.Empty(t, f.in.segments)
}
