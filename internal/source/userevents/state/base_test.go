package state

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hotpath-metrics/hotpath/client/go/userevent"

	"github.com/hotpath-metrics/hotpath/internal/aggregate"
	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
)

// run is a collector that began after all processes, with a stage behind its source. It adds up what comes out: both stages
// tell what this run counted.
type run struct {
	*fixture
	delta      *aggregate.Delta // or
	fold       *aggregate.Fold
	out        emittest.Recorder
	counters   map[string]uint64
	histograms map[string]emittest.Histogram
}

const (
	perProcess = "delta"
	perService = "service"
)

func later(t testing.TB, stage string) *run {
	r := &run{fixture: setUp(t, manySeries), counters: map[string]uint64{}, histograms: map[string]emittest.Histogram{}}
	started := time.Now().UnixNano()
	r.in = New(manySeries, r.table, r.tel, started)
	if stage == perProcess {
		r.delta = aggregate.NewDelta(&r.out, started)
	} else {
		r.fold = aggregate.NewFold(&r.out, 1000, started)
	}
	return r
}

// deliver is a collection, accepted or not.
func (r *run) deliver(accepted bool, updates ...update) *run {
	r.table.Sweep()
	r.handle(updates...)
	r.table.Release()
	r.out.Reset()
	now := time.Now().UnixNano()
	if r.fold != nil {
		r.fold.Begin(now)
		r.in.Collect(r.fold)
		r.fold.End()
		clear(r.counters) // running totals of the service
		clear(r.histograms)
	} else {
		r.delta.Begin(now)
		r.in.Collect(r.delta)
	}
	if !accepted {
		return r
	}
	for _, p := range r.out.Processes {
		if p.Info.State == emit.Gone {
			continue
		}
		for key, n := range p.Counters {
			r.counters[key] += n
		}
		for key, h := range p.Histograms {
			sum := r.histograms[key]
			if sum.Buckets == nil {
				sum.Buckets = make([]uint64, len(h.Buckets))
			}
			sum.Sum, sum.Zero, sum.Count = sum.Sum+h.Sum, sum.Zero+h.Zero, sum.Count+h.Count
			for i, n := range h.Buckets {
				sum.Buckets[i] += n
			}
			r.histograms[key] = sum
		}
	}
	if r.fold != nil {
		r.fold.Commit()
	} else {
		r.delta.Commit()
	}
	r.in.Commit()
	return r
}

// at is an update of a series that has a name of its own.
func late(series uint32, number, value uint64) update {
	return update{series: series, number: number, value: value, record: counter(fmt.Sprintf("c%d", series))}
}

func TestOfASeriesFirstHeardOfLateOnlyWhatIsNewCounts(t *testing.T) {
	for _, stage := range []string{perProcess, perService} {
		t.Run(stage, func(t *testing.T) {
			r := later(t, stage)
			r.deliver(true, late(0, 50, 1000))
			assert.EqualValues(t, 0, r.counters["c0"])
			r.deliver(true, late(0, 51, 1001), late(1, 7, 100))
			assert.Equal(t, map[string]uint64{"c0": 1, "c1": 0}, r.counters)
			r.deliver(true, late(1, 8, 103), late(2, 9, 70), late(2, 10, 75))
			assert.Equal(t, map[string]uint64{"c0": 1, "c1": 3, "c2": 5}, r.counters, "what the first update is followed by is new")
			assert.Equal(t, map[string]uint64{"c0": 1001, "c1": 103, "c2": 75}, r.one().Counters, "totals of the process stay whole")
		})
	}
}

func TestSeriesThatNobodyHeardOfBeforeCountsInFull(t *testing.T) {
	for _, stage := range []string{perProcess, perService} {
		t.Run(stage, func(t *testing.T) {
			r := later(t, stage)
			r.deliver(true, late(0, 1, 40), late(1, 5, 10)) // it counted 39 while nobody listened
			r.deliver(true, late(2, 1, 7), late(2, 2, 8))
			assert.Equal(t, map[string]uint64{"c0": 40, "c1": 0, "c2": 8}, r.counters)
		})
	}
}

func TestUpdatesThatOvertookOthersCountAsWhatTheyAre(t *testing.T) {
	for _, stage := range []string{perProcess, perService} {
		t.Run(stage, func(t *testing.T) {
			r := later(t, stage)
			r.deliver(true, late(0, 12, 30), late(0, 11, 20), late(0, 13, 35), late(1, 2, 5), late(1, 1, 4))
			assert.Equal(t, map[string]uint64{"c0": 15, "c1": 5}, r.counters)
			r.deliver(true, late(0, 10, 18), late(2, 3, 9))
			assert.Equal(t, map[string]uint64{"c0": 17, "c1": 5, "c2": 0}, r.counters)
			r.deliver(true, late(2, 1, 7)) // it was new after all
			assert.Equal(t, map[string]uint64{"c0": 17, "c1": 5, "c2": 9}, r.counters)
		})
	}
}

func TestPartOfASeriesThatIsHeardOfLateIsNotCountedTwice(t *testing.T) {
	histogram := segmenttest.Histogram(0, "h").Append(nil)
	part := func(segment, number, n uint64) []update {
		return []update{
			{segment: segment, number: number, value: n},
			{segment: segment, series: 1, number: number, value: bits(float64(n)), first: 9, buckets: []uint64{n}, record: histogram},
		}
	}
	for _, stage := range []string{perProcess, perService} {
		t.Run(stage, func(t *testing.T) {
			r := later(t, stage)
			r.deliver(true, part(1, 2, 100)...)
			r.deliver(true, append(part(1, 3, 101), part(2, 80, 5000)...)...)
			r.deliver(true, part(2, 81, 5002)...)
			assert.EqualValues(t, 3, r.counters["requests"])
			h := r.histograms["h"]
			assert.Equal(t, []any{3.0, uint64(3)}, []any{h.Sum, h.Buckets[9]})
		})
	}
}

func TestBucketsFirstHeardOfLateAreNotCountedTwice(t *testing.T) {
	record := segmenttest.Histogram(0, "h").Append(nil)
	event := func(number uint64, flags, first int, buckets ...uint64) update {
		return update{series: 1, number: number, value: bits(float64(number)), zero: number, flags: flags, first: first, buckets: buckets, record: record}
	}
	const more = userevent.FlagMore
	for name, c := range map[string]struct {
		updates []update
		want    map[int]uint64 // by bucket
	}{
		"a bucket that was not used before": {
			[]update{event(5, 0, 10, 7, 8), event(6, 0, 9, 1, 7, 8, 1)}, map[int]uint64{9: 1, 12: 1},
		},
		"the first of two events was lost": {
			[]update{event(5, 0, 138, 7), event(6, more, 10, 30, 1), event(6, 0, 138, 8)}, map[int]uint64{138: 1},
		},
		"the second was": {
			[]update{event(5, more, 10, 30), event(6, more, 10, 31), event(6, 0, 138, 8), event(7, more, 10, 31), event(7, 0, 138, 9)},
			map[int]uint64{10: 1, 138: 1},
		},
		"both came": {
			[]update{event(5, more, 10, 30), event(5, 0, 138, 8), event(6, more, 10, 30), event(6, 0, 138, 8, 4)}, map[int]uint64{},
		},
		"only zeros before": {
			[]update{event(5, 0, 0), event(6, 0, 3, 2)}, map[int]uint64{3: 2},
		},
		"an earlier one came later": {
			[]update{event(6, 0, 10, 9, 9, 1), event(5, 0, 10, 8, 9)}, map[int]uint64{10: 1},
		},
		"the first one came last": {
			[]update{event(6, 0, 10, 9, 9), event(1, 0, 10, 1)}, map[int]uint64{10: 9, 11: 9},
		},
	} {
		for _, stage := range []string{perProcess, perService} {
			r := later(t, stage).deliver(true, number(2))
			for _, u := range c.updates {
				r.deliver(true, u)
			}
			counted := map[int]uint64{}
			for i, n := range r.histograms["h"].Buckets {
				if n > 0 {
					counted[i] = n
				}
			}
			assert.Equal(t, c.want, counted, "%s, %s", name, stage)
			assert.Empty(t, r.skips(), name)
		}
	}
}

func TestProcessThatIsFoundDeadCountsFromWhatWasHeard(t *testing.T) {
	for _, stage := range []string{perProcess, perService} {
		t.Run(stage, func(t *testing.T) {
			r := later(t, stage)
			r.handle(late(0, 5, 100))
			r.proc.End(shop)
			r.deliver(false, late(0, 6, 104))
			r.deliver(true)
			r.deliver(true)
			assert.Equal(t, map[string]uint64{"c0": 4}, r.counters)
		})
	}
}

func TestWhatWasToldOfAGoneThreadIsNotToldAgainOfItsProcess(t *testing.T) {
	gone := func(tid int32, number, value uint64) update {
		return update{tid: shop + 50 + tid, number: number, value: value}
	}
	r := later(t, perProcess)
	r.deliver(true, gone(0, 1, 10)).deliver(true) // to its end
	r.deliver(true, gone(1, 2, 12)).deliver(true, update{number: 3, value: 15}).deliver(true)
	assert.Equal(t, map[string]uint64{"requests": 15}, r.counters)
	assert.EqualValues(t, 15, r.collect()[0].Counters["requests"])
}

// Two collectors, one after the other, hear what one thread writes, with gaps. Together they tell what was counted, less what
// came between the last update that the first one delivered and the first one that the second heard.
func TestTwoRunsTellEverythingOnceButForTheGapBetweenThem(t *testing.T) {
	const series = 6
	record := func(s uint32) []byte {
		if s%2 == 0 {
			return counter(fmt.Sprintf("s%d", s))
		}
		return segmenttest.Histogram(0, fmt.Sprintf("s%d", s)).Append(nil)
	}
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		stage := []string{perProcess, perService}[seed%2]
		count := [series]uint64{}
		number := [series]uint64{}
		buckets := [series][20]uint64{}
		next := func() update {
			s := random.Uint32N(series)
			n := random.Uint64N(20)
			count[s] += n
			number[s]++
			u := update{series: s, number: number[s], value: count[s], record: record(s)}
			if s%2 == 1 {
				buckets[s][random.IntN(20)] += n
				low, high := 0, 20
				for low < high && buckets[s][low] == 0 {
					low++
				}
				for high > low && buckets[s][high-1] == 0 {
					high--
				}
				u.value, u.first, u.buckets = bits(float64(count[s])), low, append([]uint64(nil), buckets[s][low:high]...)
			}
			return u
		}
		var missing [series]uint64
		heard := func(r *run, n int) (first map[uint32]uint64) {
			first = map[uint32]uint64{}
			for range n {
				u := next()
				if random.IntN(4) == 0 {
					continue // lost
				}
				if _, ok := first[u.series]; !ok {
					first[u.series] = count[u.series]
					if u.number == 1 {
						first[u.series] = 0
					}
				}
				r.handle(u)
				if random.IntN(5) == 0 {
					r.deliver(random.IntN(3) > 0)
				}
			}
			return first
		}
		one, two := later(t, stage), later(t, stage)
		firstOfOne := heard(one, random.IntN(60))
		one.deliver(true)
		var toldByOne [series]uint64 // as a running total
		for s := range uint32(series) {
			if first, ok := firstOfOne[s]; ok {
				missing[s] = first
				key := fmt.Sprintf("s%d", s)
				toldByOne[s] = first + one.counters[key] + one.histograms[key].Count
			}
		}
		firstOfTwo := heard(two, random.IntN(60))
		for s := range uint32(series) { // makes up for what was lost
			u := next()
			for u.series != s {
				if random.IntN(2) == 0 {
					if _, ok := firstOfTwo[u.series]; !ok {
						firstOfTwo[u.series] = count[u.series]
						if u.number == 1 {
							firstOfTwo[u.series] = 0
						}
					}
					two.handle(u)
				}
				u = next()
			}
			if _, ok := firstOfTwo[s]; !ok {
				firstOfTwo[s] = count[s]
				if u.number == 1 {
					firstOfTwo[s] = 0
				}
			}
			two.handle(u)
			two.deliver(true)
			key := fmt.Sprintf("s%d", s)
			if first := firstOfTwo[s]; first > 0 {
				missing[s] += first - toldByOne[s]
			}
			told := one.counters[key] + one.histograms[key].Count + two.counters[key] + two.histograms[key].Count
			require.Equal(t, count[s], told+missing[s], "series %d of seed %d, %s", s, seed, stage)
			if s%2 == 1 {
				require.EqualValues(t, one.histograms[key].Count+two.histograms[key].Count, one.histograms[key].Sum+two.histograms[key].Sum, "series %d of seed %d, %s", s, seed, stage)
			}
		}
	}
}
