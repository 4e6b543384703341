package probe

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestATracepointOfOurHeader(t *testing.T) {
	for _, of := range []string{"target", "target-fixed", "target-static"} {
		t.Run(of, func(t *testing.T) {
			f := start(t, `
- metric: {name: requests, type: counter}
  usdt: {binary: '${`+of+`}', provider: app, name: request}
  value: arg1
  attributes: {route: {arg: 0, type: string}, constant: {arg: 2}}
`)
			run(t, of, "requests", "300")
			require.Equal(t, map[string]uint64{
				"requests{constant=-1,route=/}": 100, "requests{constant=-1,route=/cart}": 200, "requests{constant=-1,route=/pay}": 300,
			}, only(t, f.collect()).Counters)
		})
	}
}

func TestATracepointOfSeveralPlaces(t *testing.T) {
	f := start(t, `
- metric: {name: n, type: counter}
  usdt: {binary: '${target}', provider: app, name: twice}
- metric: {name: sum, type: counter}
  usdt: {binary: '${target}', provider: app, name: twice}
  value: arg0
`)
	run(t, "target", "twice", "10")
	require.Equal(t, map[string]uint64{"n": 15, "sum": 45 + 500}, only(t, f.collect()).Counters)
}

func TestOperandsOfTracepointsWhereverTheyAre(t *testing.T) {
	const at = "  usdt: {binary: '${target}', provider: app, name: operands}\n"
	f := start(t, `
- metric: {name: register, type: updowncounter}
  value: arg0
`+at+`
- metric: {name: part, type: updowncounter}
  value: arg1
`+at+`
- metric: {name: memory, type: counter}
  value: arg2
`+at+`
- metric: {name: indexed, type: counter}
  value: arg3
`+at+`
- metric: {name: constant, type: updowncounter}
  value: arg4
`+at+`
- metric: {name: text, type: counter}
  attributes: {at: {arg: 5, type: string}, index: {arg: 3}, constant: {arg: 4, type: u8}}
`+at)
	run(t, "target", "operands", "8")
	p := only(t, f.collect())
	assert.EqualValues(t, -5*8, p.UpDownCounters["register"])
	assert.EqualValues(t, (256-5)*8, p.UpDownCounters["part"])
	assert.EqualValues(t, 8<<20, p.Counters["memory"])
	assert.EqualValues(t, 2*(10+20+30+40), p.Counters["indexed"])
	assert.EqualValues(t, -7*8, p.UpDownCounters["constant"])
	for _, index := range []string{"10", "20", "30", "40"} {
		assert.EqualValues(t, 2, p.Counters["text{at=here,constant=249,index="+index+"}"])
	}
}

func TestASemaphoreIsUpWhileAProbeIsAttached(t *testing.T) {
	before := spawn(t, "target", "wait", "0", "guarded", "3", "semaphore", "0", "wait", "0", "guarded", "3", "semaphore", "0", "wait", "0")
	f := start(t, `
- metric: {name: n, type: counter}
  usdt: {binary: '${target}', provider: app, name: guarded}
- metric: {name: sum, type: counter}
  usdt: {binary: '${target}', provider: app, name: guarded}
  value: arg0
`)
	before.release()
	before.says("semaphore 1")
	before.says("waiting")
	later := spawn(t, "target", "wait", "0", "guarded", "5", "wait", "0", "semaphore", "0", "wait", "0")
	later.goOn()
	r := f.collect()
	assert.Equal(t, map[string]uint64{"n": 3, "sum": 3}, of(r, before.pid).Counters)
	assert.Equal(t, map[string]uint64{"n": 5, "sum": 10}, of(r, later.pid).Counters)
	require.NoError(t, f.Shutdown(t.Context()))
	for _, p := range []*running{before, later} {
		p.release()
		p.says("semaphore 0")
	}
}

func TestHostTracepointsThatThereAreNot(t *testing.T) {
	for _, c := range []struct{ point, says string }{
		{"provider: app, name: reqest", "request"},
		{"provider: ap, name: request", "app"},
	} {
		assert.Contains(t, refused(t, "- {metric: {name: n, type: counter}, usdt: {binary: '${target}', "+c.point+"}}"), c.says)
	}
	assert.Contains(t, refused(t, "- {metric: {name: n, type: counter}, usdt: {binary: '${cart}', provider: app, name: request}}"), "no tracepoints")
}
