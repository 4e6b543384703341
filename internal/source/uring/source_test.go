package uring

import (
	"context"
	"math"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
	"github.com/hotpath-metrics/hotpath/internal/source/uring/uringtest"
)

func TestEveryKindIsDelivered(t *testing.T) {
	f := setUp(t)
	h := anyone()
	c := f.connect(h, requests, segmenttest.UpDownCounter(2, "open"), segmenttest.Gauge(1, "level"), segmenttest.Gauge(2, "never"),
		segmenttest.Histogram(8, "latency"), segmenttest.Counter(528, "late"))
	words := append(uringtest.Histogram(8, bits(3.5), 2, map[int]uint64{0: 1, 511: 7}),
		uringtest.Word{Index: 1, Value: 5}, uringtest.Word{Index: 2, Value: math.MaxUint64},
		uringtest.Word{Index: uringtest.Shared + 1, Value: bits(-2.5)}, uringtest.Word{Index: 528, Value: 1 << 60})
	require.NoError(t, c.Tell(words...))
	r := f.collect()
	require.Len(t, r.Processes, 1)
	p := r.Processes[0]
	assert.Equal(t, map[string]uint64{"requests": 5, "late": 1 << 60}, p.Counters)
	assert.Equal(t, map[string]int64{"open": -1}, p.UpDownCounters)
	assert.Equal(t, map[string]float64{"level": -2.5}, p.Gauges)
	latency := p.Histograms["latency"]
	assert.Equal(t, 3.5, latency.Sum)
	assert.EqualValues(t, 2, latency.Zero)
	assert.EqualValues(t, []uint64{1, 7}, []uint64{latency.Buckets[0], latency.Buckets[511]})
	assert.Equal(t, emit.Live, p.Info.State)
	assert.EqualValues(t, len(words), f.tel.read.Load())
	assert.Equal(t, strconv.Itoa(os.Getpid()), p.Resource["process.pid"])
	assert.Equal(t, "uring.test", p.Resource["process.executable.name"])
	assert.Equal(t, "shop", p.Resource["service.name"])
	assert.Empty(t, f.tel.Skipped())
}

func TestValuesNeverGoBackAndSeriesMayComeLater(t *testing.T) {
	f := setUp(t)
	c := f.connect(anyone(), requests)
	for n := range uint64(20) {
		require.NoError(t, c.Send(uringtest.Series(segmenttest.Counter(n+2, "later"+strconv.Itoa(int(n))))))
		require.NoError(t, c.Tell(uringtest.Word{Index: 1, Value: n + 1}, uringtest.Word{Index: int32(n) + 2, Value: n}))
		f.eventually(func(h *hub) bool { return f.only(h).declared() == int(n)+2 }, "the series arrives")
		p := f.collect().Processes[0]
		assert.Equal(t, n+1, p.Counters["requests"])
		for i := range n + 1 {
			assert.Equal(t, i, p.Counters["later"+strconv.Itoa(int(i))])
		}
	}
}

// only is the one client.
func (f *fixture) only(h *hub) *client {
	for _, c := range h.clients {
		return c
	}
	return &client{image: &image{}}
}

// declared is how many series a client has.
func (c *client) declared() (n int) {
	for at := c.image.resource; at < c.image.used; n++ {
		r, _, err := nextRecord(c.image.memory[int64(c.image.catalogue.offset)+at : int64(c.image.catalogue.offset)+c.image.used])
		if err != nil {
			panic(err)
		}
		at += int64(len(r.bytes))
	}
	return n
}

func TestWordThatComesBeforeItsSeriesCounts(t *testing.T) {
	f := setUp(t)
	c := f.connect(anyone(), requests)
	require.NoError(t, c.Tell(uringtest.Word{Index: 700, Value: 7}, uringtest.Word{Index: uringtest.Shared + 9, Value: bits(9)}))
	f.eventually(func(h *hub) bool { return h.read == 2 }, "it is read")
	require.NoError(t, c.Send(uringtest.Series(segmenttest.Counter(700, "early"), segmenttest.Gauge(9, "level"))))
	f.eventually(func(h *hub) bool { return f.only(h).declared() == 3 }, "the series arrive")
	p := f.collect().Processes[0]
	assert.EqualValues(t, 7, p.Counters["early"])
	assert.Equal(t, 9.0, p.Gauges["level"])
}

func TestCountersOfTheClientItselfAreReported(t *testing.T) {
	f := setUp(t)
	c := f.connect(anyone(), requests)
	for i, n := range []uint64{1, 20, 300, 4000} {
		require.NoError(t, c.Tell(uringtest.Word{Index: uringtest.Counter + int32(i), Value: n}))
	}
	f.collect()
	assert.Equal(t, map[string]int64{"refused": 1, "folded": 20, "unplaced": 300, "rejected": 4000}, f.tel.Client)
}

func TestClientThatHangsUpComesBackToItsImage(t *testing.T) {
	f := setUp(t)
	h := anyone()
	c := f.connect(h, requests)
	for n := uint64(1); n < 6; n++ {
		require.NoError(t, c.Tell(uringtest.Word{Index: 1, Value: 10 * n}))
		c.Close() // what was posted is read first
		f.eventually(func(h *hub) bool { return f.only(h).connection == nil }, "its end is heard")
		p := f.collect().Processes
		require.Len(t, p, 1)
		assert.Equal(t, emit.Live, p[0].Info.State, "its process lives")
		assert.Equal(t, 10*n, p[0].Counters["requests"])
		h.Start = c.Hello.Start
		if h.Start == 0 {
			h.Start = uint64(p[0].Info.Start)
		}
		c = f.connect(h, requests, segmenttest.Counter(2, "more"))
		require.NoError(t, c.Tell(uringtest.Word{Index: 2, Value: n}))
		f.eventually(func(h *hub) bool { return f.only(h).declared() == 2 }, "it declares more")
		p = f.collect().Processes
		require.Len(t, p, 1)
		assert.Equal(t, map[string]uint64{"requests": 10 * n, "more": n}, p[0].Counters)
	}
	assert.Empty(t, f.tel.Skipped())
}

func TestClientThatStaysAwayIsFinalAndNamedOnce(t *testing.T) {
	f := setUp(t)
	h := anyone()
	h.Start = uint64(time.Now().UnixNano())
	c := f.connect(h, requests)
	require.NoError(t, c.Tell(uringtest.Word{Index: 1, Value: 5}))
	f.collect()
	c.Close()
	f.eventually(func(h *hub) bool { return f.only(h).connection == nil }, "its end is heard")
	f.inside(func(h *hub) { f.only(h).left = time.Now().Add(-2 * comeBack) })
	p := f.collect().Processes
	require.Len(t, p, 1)
	assert.Equal(t, emit.Final, p[0].Info.State)
	assert.EqualValues(t, 5, p[0].Counters["requests"])
	p = f.collect().Processes
	require.Len(t, p, 1)
	assert.Equal(t, emit.Gone, p[0].Info.State)
	assert.Empty(t, f.collect().Processes)

	// After all it comes back: what it tells was told before, but for what comes on top.
	c = f.connect(h, requests)
	f.eventually(func(h *hub) bool { return len(h.clients) == 1 }, "it is back")
	assert.Empty(t, f.collect().Processes, "it would go back to zero")
	require.NoError(t, c.Tell(uringtest.Word{Index: 1, Value: 6}, uringtest.Word{Index: uringtest.Complete}))
	p = f.collect().Processes
	require.Len(t, p, 1)
	assert.True(t, p[0].Info.Seen)
	assert.EqualValues(t, 6, p[0].Counters["requests"])
}

func TestRestartedCollectorDeliversNothingUntilAllWasToldAgain(t *testing.T) {
	f := setUp(t)
	h := anyone()
	h.Start = uint64(time.Now().Add(-time.Hour).UnixNano()) // it told an earlier collector
	c := f.connect(h, requests, segmenttest.Counter(2, "errors"))
	require.NoError(t, c.Tell(uringtest.Word{Index: 1, Value: 500}))
	f.eventually(func(h *hub) bool { return h.read == 1 }, "it is read")
	assert.Empty(t, f.collect().Processes, "errors would go back to zero")
	assert.EqualValues(t, 1, f.tel.States["skipped"])
	require.NoError(t, c.Tell(uringtest.Word{Index: 2, Value: 50}, uringtest.Word{Index: uringtest.Complete}))
	p := f.collect().Processes
	require.Len(t, p, 1)
	assert.Equal(t, map[string]uint64{"requests": 500, "errors": 50}, p[0].Counters)
	assert.EqualValues(t, h.Start, p[0].Info.Start)
	assert.True(t, p[0].Info.Seen)
	assert.Zero(t, f.tel.States["skipped"])
}

func TestNewCollectorOnTheSameSocketGoesOn(t *testing.T) {
	f := setUp(t)
	h := anyone()
	h.Start = uint64(time.Now().UnixNano())
	c := f.connect(h, requests)
	require.NoError(t, c.Tell(uringtest.Word{Index: 1, Value: 5}))
	assert.EqualValues(t, 5, f.collect().Total("requests"))
	require.NoError(t, f.Shutdown(context.Background()))
	_, err := c.Receive(uringtest.TypeReady)
	require.ErrorIs(t, err, os.ErrClosed, "the client hears of it")
	require.NoError(t, c.Flood(uringtest.Word{Index: 1, Value: 6}), "and may still post")

	f.begin()
	c = f.connect(h, requests)
	require.NoError(t, c.Tell(uringtest.Word{Index: 1, Value: 7}, uringtest.Word{Index: uringtest.Complete}))
	p := f.collect().Processes
	require.Len(t, p, 1)
	assert.EqualValues(t, 7, p[0].Counters["requests"])
	assert.EqualValues(t, h.Start, p[0].Info.Start, "it is no reset")
}

func TestSegmentsOfAProcessAreOneResource(t *testing.T) {
	f := setUp(t)
	a, b := anyone(), anyone()
	b.Instance = a.Instance
	ca, cb := f.connect(a, requests), f.connect(b, requests)
	require.NoError(t, ca.Tell(uringtest.Word{Index: 1, Value: 5}))
	require.NoError(t, cb.Tell(uringtest.Word{Index: 1, Value: 6}))
	p := f.collect().Processes
	require.Len(t, p, 1)
	assert.EqualValues(t, 11, p[0].Counters["requests"])
}

func TestRefusedDeliveryComesAgain(t *testing.T) {
	f := setUp(t)
	c := f.connect(anyone(), requests)
	require.NoError(t, c.Tell(uringtest.Word{Index: 1, Value: 5}))
	for range 3 { // without Commit
		r := &emittest.Recorder{}
		require.NoError(t, f.Collect(context.Background(), r))
		assert.EqualValues(t, 5, r.Total("requests"))
	}
}
