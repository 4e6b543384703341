package probe

import (
	"fmt"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
)

const overflow = "{otel.metric.overflow=true}"

func counted(p *emittest.Process) (sum uint64) {
	for _, n := range p.Counters {
		sum += n
	}
	return sum
}

func TestAFloodOfSeriesIsFoldedAndLeavesRoomForOthers(t *testing.T) {
	const maxSeries = 1000
	different := 1_000_000
	if testing.Short() {
		different = 20_000
	}
	f := start(t, fmt.Sprintf(`
- metric: {name: n, type: counter}
  uprobe: {binary: '${target}', symbol: text}
  attributes: {s: {arg: 0, type: string}}
  max_series: %d
`, maxSeries))
	flood := spawn(t, "target", "strings", fmt.Sprint(different), "wait", "0")
	beside := spawn(t, "target", "strings", "10", "wait", "0")
	r := f.collect()
	p, q := of(r, flood.pid), of(r, beside.pid)
	assert.EqualValues(t, different, counted(p))
	assert.LessOrEqual(t, len(p.Counters), maxSeries)
	assert.Greater(t, len(p.Counters), maxSeries/3)
	assert.EqualValues(t, different-len(p.Counters)+1, p.Counters["n"+overflow])
	assert.Len(t, q.Counters, 10)
	assert.NotContains(t, q.Counters, "n"+overflow)
	assert.Empty(t, f.tel.skipped)
}

func TestHostProcessesThatEndLeaveTheirRoom(t *testing.T) {
	f := start(t, `
- metric: {name: n, type: counter}
  uprobe: {binary: '${target}', symbol: text}
  attributes: {s: {arg: 0, type: string}}
  max_series: 100
`)
	sizes := map[int]bool{}
	for range 5 {
		run(t, "target", "strings", "1000")
		for _, p := range f.collect().Processes {
			if p.Info.State != emit.Gone {
				sizes[len(p.Counters)] = true
				assert.EqualValues(t, 1000, counted(p))
			}
		}
	}
	assert.Len(t, sizes, 1, "the same for each")
	assert.Empty(t, f.tel.skipped)
}

func TestHostHistogramsAreFoldedIntoOne(t *testing.T) {
	f := start(t, `
- metric: {name: n, type: histogram}
  uprobe: {binary: '${target}', symbol: raw}
  value: arg0
  attributes: {v: {arg: 0}}
  max_series: 20
`)
	run(t, "target", "count", "1000")
	p := only(t, f.collect())
	var count uint64
	var sum float64
	for _, h := range p.Histograms {
		count, sum = count+h.Count, sum+h.Sum
	}
	assert.EqualValues(t, 1000, count)
	assert.EqualValues(t, 999*1000/2, sum)
	assert.Less(t, len(p.Histograms), 21)
	assert.Contains(t, p.Histograms, "n"+overflow)
	assert.Empty(t, f.tel.skipped)
}

func TestHostWhatNotEvenTheOverflowHasRoomForIsCounted(t *testing.T) {
	f := start(t, `
- metric: {name: n, type: histogram}
  uprobe: {binary: '${target}', symbol: raw}
  value: arg0
  max_series: 1
`)
	var values []int64
	for i := range 62 {
		values = append(values, 1<<i, 1<<i+1<<i/4) // two buckets of each power
	}
	run(t, "target", raws(values...)...)
	p := only(t, f.collect())
	assert.Positive(t, f.skipped("series_limit"))
	assert.EqualValues(t, len(values), int64(p.Histograms["n"].Count)+f.skipped("series_limit"))
}

func TestProcessesBeyondTheLimitAreCountedAndTheOthersExact(t *testing.T) {
	for _, mode := range []string{modeAggregate, modeEvents} {
		t.Run(mode, func(t *testing.T) {
			limits := ample
			limits.Processes = 2
			f := startWithin(t, limits, `
- metric: {name: n, type: counter}
  uprobe: {binary: '${target}', symbol: do_work}
  mode: `+mode+`
`)
			one, two := spawn(t, "target", "work", "3", "wait", "0", "work", "3", "wait", "0"), spawn(t, "target", "work", "5", "wait", "0")
			run(t, "target", "work", "7")
			one.goOn()
			r := f.collect()
			require.Len(t, r.Processes, 2)
			assert.EqualValues(t, 6, of(r, one.pid).Counters["n"])
			assert.EqualValues(t, 5, of(r, two.pid).Counters["n"])
			assert.EqualValues(t, 7, f.skipped("process_limit"))
			one.finish()
			f.collect()
			f.collect()
			again := spawn(t, "target", "work", "9", "wait", "0")
			require.EqualValues(t, 9, of(f.collect(), again.pid).Counters["n"], "the one that ended left its room")
		})
	}
}

// Nobody accepts what is handed over, and processes come and go.
func TestHostProcessesThatEndUndeliveredLoseNothingWithinTheLimitAndAreCountedBeyond(t *testing.T) {
	limits := ample
	limits.Processes = 3
	f := startWithin(t, limits, `
- metric: {name: n, type: counter}
  uprobe: {binary: '${target}', symbol: do_work}
  attributes: {s: {arg: 1, type: string}}
`)
	for range 15 {
		run(t, "target", "work", "10")
		f.hand()
	}
	var delivered uint64
	r := f.collect()
	for round := 0; round < 6; round++ {
		for _, p := range r.Processes {
			if p.Info.State == emit.Final {
				delivered += counted(p)
			}
		}
		r = f.collect()
	}
	assert.EqualValues(t, 150, int64(delivered)+f.skipped("process_limit"))
	assert.GreaterOrEqual(t, delivered, uint64(60))
	assert.Empty(t, f.processes)
	p := f.probes[0]
	assert.Empty(t, p.reader.entries)
	var key []byte
	require.ErrorIs(t, p.reader.values.NextKey(nil, &key), ebpf.ErrKeyNotExist)
}

func TestCallsBeyondTheLimitAreCounted(t *testing.T) {
	const half = 8192 / 2 // is for other processes
	f := start(t, replaced(durations, "nested"))
	run(t, "target", "nested", "9999")
	p := only(t, f.collect())
	assert.EqualValues(t, 10_000, p.Counters["calls"])
	assert.EqualValues(t, 64, p.Histograms["d"].Count)
	assert.EqualValues(t, 10_000-half, f.skipped("call_limit"))
	run(t, "target", "nested", "9")
	f.collect()
	assert.EqualValues(t, 10_000-half, f.skipped("call_limit"), "they end with their process")
}
