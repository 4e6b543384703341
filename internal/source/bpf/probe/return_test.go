package probe

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
)

func TestReturnedValues(t *testing.T) {
	f, p := recorded(t, `
- metric: {name: sum, type: updowncounter}
  value: return
`+onRaw+`
- metric: {name: narrow, type: updowncounter}
  value: {return: true, type: s8}
`+onRaw+`
- metric: {name: last, type: gauge}
  value: {return: true, type: u64}
`+onRaw+`
- metric: {name: by, type: counter}
  value: {arg: 0, type: u16}
  attributes: {result: {return: true, type: s16}}
`+onRaw+`
- metric: {name: events, type: updowncounter}
  value: return
  mode: events
`+onRaw, 5, -300)
	assert.EqualValues(t, -295, p.UpDownCounters["sum"])
	assert.EqualValues(t, -295, p.UpDownCounters["events"])
	assert.EqualValues(t, 5-300+256, p.UpDownCounters["narrow"])
	assert.EqualValues(t, float64(1<<64-300), p.Gauges["last"])
	assert.Equal(t, map[string]uint64{"by{result=5}": 5, "by{result=-300}": 1<<16 - 300}, p.Counters)
	assert.Empty(t, f.tel.skipped)
}

func TestHostADurationByWhatTheFunctionTookAndReturned(t *testing.T) {
	f := start(t, `
- metric: {name: d, type: histogram, unit: s}
  uprobe: {binary: '${target}', symbol: do_work}
  value: duration
  attributes: {what: {arg: 1, type: string}, result: {return: true, type: s32}}
`)
	run(t, "target", "work", "600")
	p := only(t, f.collect())
	// Arguments are -1, 0, 1, 2, 3 and so on; of even calls, "even".
	for key, want := range map[string]uint64{
		"d{result=-2,what=even}": 1, "d{result=-1,what=odd}": 100, "d{result=0,what=even}": 100, "d{result=1,what=odd}": 100,
		"d{result=-1,what=even}": 100, "d{result=0,what=odd}": 100, "d{result=1,what=even}": 99,
	} {
		assert.Equal(t, want, p.Histograms[key].Count, key)
	}
	assert.Len(t, p.Histograms, 7)
}

const durations = `
- metric: {name: calls, type: counter}
  uprobe: {binary: '${target}', symbol: SYMBOL}
- metric: {name: d, type: histogram}
  uprobe: {binary: '${target}', symbol: SYMBOL}
  value: duration
`

func TestNestedCallsAreMatchedUpToTheKernelsDepth(t *testing.T) {
	f := start(t, replaced(durations, "nested"))
	run(t, "target", "nested", "40", "nested", "40")
	p := only(t, f.collect())
	assert.EqualValues(t, 82, p.Counters["calls"])
	assert.EqualValues(t, 82, p.Histograms["d"].Count)
	assert.Empty(t, f.tel.skipped)
	run(t, "target", "nested", "199", "nested", "3")
	p = latest(t, f.collect())
	assert.EqualValues(t, 204, p.Counters["calls"])
	assert.EqualValues(t, 64+4, p.Histograms["d"].Count)
}

func TestThreadsInAFunctionAtOnceAreMatched(t *testing.T) {
	f := start(t, replaced(durations, "do_work"))
	each := 5000
	if testing.Short() {
		each = 200
	}
	run(t, "target", "threads", fmt.Sprint(each)) // of eight
	p := only(t, f.collect())
	assert.EqualValues(t, 8*each, p.Histograms["d"].Count)
	assert.Empty(t, f.tel.skipped)
}

func TestAFunctionLeftByLongjmpIsNotCountedAndHarmsNoLaterCall(t *testing.T) {
	f := start(t, replaced(durations, "leaves"))
	run(t, "target", "jump", "1000", "jump", "1000")
	p := only(t, f.collect())
	assert.EqualValues(t, 2002, p.Counters["calls"])
	assert.EqualValues(t, 2, p.Histograms["d"].Count)
}

func TestAForkWithinAFunctionIsUnmatchedInTheChild(t *testing.T) {
	f := start(t, replaced(durations, "forks"))
	run(t, "target", "fork", "1", "fork", "1")
	r := f.collect()
	p := only(t, r)
	assert.EqualValues(t, 2, p.Counters["calls"])
	assert.EqualValues(t, 2, p.Histograms["d"].Count)
	assert.EqualValues(t, 2, f.skipped("unmatched"))
}

// Calls that their processes never leave would fill the table of calls for good.
func TestProcessesThatEndWithinAFunctionLeaveNoCalls(t *testing.T) {
	f := start(t, `
- metric: {name: d, type: histogram}
  uprobe: {binary: '${target}', symbol: ends}
  value: duration
`)
	calls := func() (n int) {
		var key, value []byte
		for all := f.probes[0].loaded.maps[probeMapCalls].Iterate(); all.Next(&key, &value); {
			n++
		}
		return n
	}
	run(t, "target", "ends", "100")
	require.Equal(t, 100, calls())
	require.Empty(t, f.collect().Processes)
	require.Zero(t, calls())
}

func TestHostReturnsOfGoAreRefused(t *testing.T) {
	for _, value := range []string{"duration", "return"} {
		said := refused(t, `
- metric: {name: n, type: histogram}
  uprobe: {binary: '${goserver}', symbol: 'main.(*server).handle'}
  single_step: true
  value: `+value)
		assert.Contains(t, said, "moves its stacks")
	}
}

func latest(t *testing.T, r *emittest.Recorder) *emittest.Process {
	t.Helper()
	require.NotEmpty(t, r.Processes)
	return r.Processes[len(r.Processes)-1]
}

func replaced(yaml, symbol string) string { return strings.ReplaceAll(yaml, "SYMBOL", symbol) }
