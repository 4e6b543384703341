package aggregate

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

func TestDelta(t *testing.T) {
	timed := running("shop", 7, 10)
	timed.Time = 105
	tests := []struct {
		name      string
		processes map[string]*emit.Process
		steps     []step
	}{
		{
			name:      "each delivery carries what came since the last one",
			processes: map[string]*emit.Process{"a": running("shop", 7, 10)},
			steps: []step{
				{given: "a requests=5 latency=2/6", want: "shop[10-10] requests=5 latency=2/6"},
				{given: "a requests=8 latency=3/7", want: "shop[10-110] requests=3 latency=1"},
				{given: "a requests=9 latency=3/7", want: "shop[10-120] requests=1"},
			},
		},
		{
			name:      "what was refused is part of the next delivery",
			processes: map[string]*emit.Process{"a": running("shop", 7, 10)},
			steps: []step{
				{given: "a requests=5 latency=2", want: "shop[10-10] requests=5 latency=2"},
				{given: "a requests=8 latency=3", want: "shop[10-110] requests=3 latency=1", refused: true},
				{given: "a requests=9 latency=3", want: "shop[10-110] requests=4 latency=1", refused: true},
				{given: "a requests=9 latency=5", want: "shop[10-110] requests=4 latency=3"},
				{given: "a requests=9 latency=6", want: "shop[10-140] latency=1"},
			},
		},
		{
			name:      "a process that is not in an accepted delivery keeps its interval and its counts",
			processes: map[string]*emit.Process{"a": running("shop", 7, 10)},
			steps: []step{
				{given: "a requests=5", want: "shop[10-10] requests=5"},
				{given: "a requests=8", want: "shop[10-110] requests=3", refused: true},
				{given: "", want: ""},
				{given: "a requests=9", want: "shop[10-110] requests=4"},
			},
		},
		{
			name:      "of fractions only what came is told, and of levels with fractions what they are",
			processes: map[string]*emit.Process{"a": running("shop", 7, 10)},
			steps: []step{
				{given: "a seconds=0.5 load=0.5", want: "shop[10-10] seconds=0.5 load=0.5"},
				{given: "a seconds=0.75 load=0.5", want: "shop[10-110] seconds=0.25 load=0.5", refused: true},
				{given: "a seconds=1.5 load=0.25", want: "shop[10-110] seconds=1 load=0.25"},
				{given: "a seconds=1.5", want: ""},
				{given: "a seconds=0.5", want: ""},
				{given: "a seconds=0.75", want: "shop[10-150] seconds=0.25"},
				{given: "a gone seconds load", want: "shop gone load"},
			},
		},
		{
			name:      "a series is told once though it is zero, and again only when it grows",
			processes: map[string]*emit.Process{"a": running("shop", 7, 10)},
			steps: []step{
				{given: "a requests=0 latency=0", want: "shop[10-10] requests=0 latency=0", refused: true},
				{given: "a requests=0 latency=0", want: "shop[10-10] requests=0 latency=0"},
				{given: "a requests=0 latency=0", want: ""},
				{given: "a requests=1 latency=1", want: "shop[10-130] requests=1 latency=1"},
			},
		},
		{
			name:      "levels stay what they are, and only they are ended",
			processes: map[string]*emit.Process{"a": running("shop", 7, 10)},
			steps: []step{
				{given: "a requests=5 queue=3 heat=20", want: "shop[10-10] requests=5 queue=3 heat=20"},
				{given: "a requests=5 queue=3 heat=20", want: "shop[10-110] queue=3 heat=20"},
				{given: "a final requests=6 queue=2 heat=20", want: "shop[10-120] requests=1 queue=2 heat=20"},
				{given: "a gone requests queue heat", want: "shop gone queue heat", refused: true},
				{given: "a gone requests queue heat", want: "shop gone queue heat"},
			},
		},
		{
			name:      "what an earlier run may have delivered is a baseline",
			processes: map[string]*emit.Process{"a": seen(running("shop", 7, 10))},
			steps: []step{
				{given: "a requests=5 latency=2", want: "shop[10-100] requests=0 latency=0", refused: true},
				{given: "a requests=7 latency=2 bytes=4", want: "shop[10-100] requests=2 latency=0 bytes=4"},
				{given: "a requests=7 latency=3 bytes=4", want: "shop[10-120] latency=1"},
			},
		},
		{
			name:      "a total that falls adds nothing and counts on from there",
			processes: map[string]*emit.Process{"a": running("shop", 7, 10)},
			steps: []step{
				{given: "a requests=5 latency=5", want: "shop[10-10] requests=5 latency=5"},
				{given: "a requests=2 latency=2", want: ""},
				{given: "a requests=3 latency=3", want: "shop[10-120] requests=1 latency=1"},
			},
		},
		{
			name:      "a histogram's sum waits for its count",
			processes: map[string]*emit.Process{"a": running("shop", 7, 10)},
			steps: []step{
				{given: "a latency=0/4", want: "shop[10-10] latency=0"},
				{given: "a latency=1/4", want: "shop[10-110] latency=1/4"},
				{given: "a latency=1/9", want: ""},
				{given: "a latency=2/9", want: "shop[10-130] latency=1/5"},
			},
		},
		{
			name:      "a sum that is infinite adds nothing",
			processes: map[string]*emit.Process{"a": running("shop", 7, 10)},
			steps: []step{
				{given: "a latency=1/1", want: "shop[10-10] latency=1"},
				{given: "a latency=2/Inf", want: "shop[10-110] latency=1/0"},
				{given: "a latency=3/5", want: "shop[10-120] latency=1/0"},
				{given: "a latency=4/6", want: "shop[10-130] latency=1"},
			},
		},
		{
			name:      "a process that turns unreadable while it lives ends its levels and is forgotten",
			processes: map[string]*emit.Process{"a": running("shop", 7, 10), "b": running("shop", 7, 10)},
			steps: []step{
				{given: "a requests=5 latency=2 queue=3 heat=20", want: "shop[10-10] requests=5 latency=2 queue=3 heat=20"},
				{given: "a gone requests latency queue heat", want: "shop gone queue heat", refused: true},
				{given: "a gone requests latency queue heat", want: "shop gone queue heat"},
				{given: "b requests=7 queue=3", want: "shop[10-10] requests=7 queue=3"},
			},
		},
		{
			name:      "of series that ended only levels are told, and equal ones begin anew",
			processes: map[string]*emit.Process{"a": running("shop", 7, 10)},
			steps: []step{
				{given: "a requests=5 latency=2 seconds=0.5 load=1 queue=3 heat=20", want: "shop[10-10] requests=5 latency=2 seconds=0.5 load=1 queue=3 heat=20"},
				{given: "a bytes=1 requests! latency! seconds! load! queue! heat!", want: "shop[10-110] bytes=1 load! queue! heat!", refused: true},
				{given: "a bytes=2 requests! latency! seconds! load! queue! heat!", want: "shop[10-110] bytes=2 load! queue! heat!"},
				{given: "a requests=1 latency=1 seconds=0.25", want: "shop[10-130] requests=1 latency=1 seconds=0.25"},
				{given: "a requests=3 latency=1", want: "shop[10-140] requests=2"},
			},
		},
		{
			name:      "an interval ends when the values were right",
			processes: map[string]*emit.Process{"a": timed},
			steps: []step{
				{given: "a requests=1", want: "shop[10-10] requests=1"},
				{given: "a requests=2", want: "shop[10-105] requests=1"},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			play(t, tt.processes, func(next emit.Sink) (stage, func(int64), func()) {
				d := NewDelta(next, 100)
				return d, d.Begin, func() {}
			}, tt.steps)
		})
	}
}

func TestDeltaForgetsWhatIsGone(t *testing.T) {
	told := step{given: "a requests=5 latency=1", want: "shop[10-10] requests=5 latency=1"}
	for _, refused := range []bool{true, false} {
		var d *Delta
		play(t, map[string]*emit.Process{"a": running("shop", 7, 10)}, func(next emit.Sink) (stage, func(int64), func()) {
			d = NewDelta(next, 100)
			return d, d.Begin, func() {}
		}, []step{told, {given: "a gone requests latency", refused: refused}})
		if refused {
			require.Len(t, d.processes, 1)
		} else {
			require.Empty(t, d.processes)
		}
	}
}

func TestDeltaForgetsTheSeriesThatEnd(t *testing.T) {
	var d *Delta
	play(t, map[string]*emit.Process{"a": running("shop", 7, 10)}, func(next emit.Sink) (stage, func(int64), func()) {
		d = NewDelta(next, 100)
		return d, d.Begin, func() {}
	}, []step{
		{given: "a requests=5 latency=1 seconds=1 bytes=2", want: "shop[10-10] requests=5 latency=1 seconds=1 bytes=2"},
		{given: "a requests! latency! seconds! bytes=2", want: ""},
	})
	for _, in := range d.processes {
		require.Len(t, in.counters, 1)
		require.Empty(t, in.hists)
	}
}

func TestDeltaForgetsTheSeriesThatAFoldEnds(t *testing.T) {
	var joined both
	play(t, map[string]*emit.Process{"a": running("shop", 7, 10), "b": running("shop", 7, 10)}, func(next emit.Sink) (stage, func(int64), func()) {
		d := NewDelta(next, 100)
		f := NewFold(d, 0, 100)
		joined = both{f, d}
		return joined, func(now int64) { f.Begin(now); d.Begin(now) }, f.End
	}, []step{
		{given: "a requests=5 | b latency=1", want: "shop/7[10-10] requests=5 latency=1"},
		{given: "a gone requests | b latency=1", want: ""}, // over the limit: forgotten
	})
	require.Len(t, joined.delta.processes, 1)
	for _, in := range joined.delta.processes {
		require.Empty(t, in.counters)
		require.Len(t, in.hists, 1)
	}
}

func TestDeltaForgetsAProcessThatAnotherContinues(t *testing.T) {
	var d *Delta
	play(t, map[string]*emit.Process{"a": running("shop", 7, 10)}, func(next emit.Sink) (stage, func(int64), func()) {
		d = NewDelta(next, 100)
		return d, d.Begin, func() {}
	}, []step{{given: "a requests=5", want: "shop[10-10] requests=5"}, {given: "a gone", want: ""}})
	require.Empty(t, d.processes)
}

// both is Fold before Delta, as the receiver joins them.
type both struct {
	*Fold
	delta *Delta
}

func (b both) Commit() {
	b.Fold.Commit()
	b.delta.Commit()
}

func TestDeltaOfFold(t *testing.T) {
	var joined both
	play(t, map[string]*emit.Process{
		"a": running("shop", 7, 10), "b": running("shop", 7, 115), "c": seen(running("shop", 7, 5)),
	}, func(next emit.Sink) (stage, func(int64), func()) {
		d := NewDelta(next, 100)
		f := NewFold(d, 0, 100)
		joined = both{f, d}
		return joined, func(now int64) { f.Begin(now); d.Begin(now) }, f.End
	}, []step{
		{given: "a requests=5 | c requests=9", want: "shop/7[10-10] requests=5"},
		{given: "a final requests=6 | b requests=2 | c requests=9", want: "shop/7[10-110] requests=3", refused: true},
		{given: "a final requests=6 | b requests=3 | c requests=10", want: "shop/7[10-110] requests=5"},
		{given: "a gone requests | b requests=3 | c requests=10", want: ""},
		{given: "b gone requests | c gone requests", want: ""}, // over the limit: forgotten
		{given: "", want: ""},
	})
	require.Empty(t, joined.services)
	require.Empty(t, joined.delta.processes)
}

func TestDeltaOfFoldGoesOnWhereAnEqualSeriesBeginsAnew(t *testing.T) {
	var joined both
	play(t, map[string]*emit.Process{"a": running("shop", 7, 10)}, func(next emit.Sink) (stage, func(int64), func()) {
		d := NewDelta(next, 100)
		f := NewFold(d, 10, 100)
		joined = both{f, d}
		return joined, func(now int64) { f.Begin(now); d.Begin(now) }, f.End
	}, []step{
		{given: "a requests=5 queue=1", want: "shop/7[10-10] requests=5 queue=1"},
		{given: "a requests! queue!", want: "shop/7 gone queue"},
		{given: "a requests=2", want: "shop/7[10-120] requests=2"},
	})
}

func TestDeltaOfFoldForgetsAServiceWhoseLastSeriesEndedBeforeItsLastProcess(t *testing.T) {
	var joined both
	play(t, map[string]*emit.Process{"a": running("shop", 7, 10)}, func(next emit.Sink) (stage, func(int64), func()) {
		d := NewDelta(next, 100)
		f := NewFold(d, 10, 100)
		joined = both{f, d}
		return joined, func(now int64) { f.Begin(now); d.Begin(now) }, f.End
	}, []step{
		{given: "a queue=5", want: "shop/7[10-10] queue=5"},
		{given: "a final queue=5", want: "shop/7 gone queue"},
		{given: "a gone queue", want: ""},
	})
	require.Empty(t, joined.services)
	require.Empty(t, joined.delta.processes)
}
