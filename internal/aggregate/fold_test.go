package aggregate

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

func TestFold(t *testing.T) {
	version := emit.Attribute{Key: "service.version", Type: emit.AttributeString, Str: "2"}
	tests := []struct {
		name      string
		limit     int
		processes map[string]*emit.Process
		steps     []step
	}{
		{
			name: "processes of a service add up, from the earliest start",
			processes: map[string]*emit.Process{
				"a": running("shop", 7, 20), "b": running("shop", 7, 10),
			},
			steps: []step{
				{given: "a requests=5 latency=2 | b requests=3 latency=1", want: "shop/7[10] requests=8 latency=3"},
				{given: "a requests=6 latency=2 | b requests=3 latency=4", want: "shop/7[10] requests=9 latency=6"},
			},
		},
		{
			name: "other owners and other resources are other services",
			processes: map[string]*emit.Process{
				"a": running("shop", 7, 10), "b": running("shop", 8, 20), "c": running("shop", 7, 30, version),
			},
			steps: []step{
				{
					given: "a requests=1 | b requests=2 | c requests=4",
					want:  "shop/7[10] requests=1 | shop/8[20] requests=2 | shop/7[30] requests=4",
				},
			},
		},
		{
			name: "what the dead counted stays",
			processes: map[string]*emit.Process{
				"a": running("shop", 7, 10), "b": running("shop", 7, 120),
			},
			steps: []step{
				{given: "a requests=5 latency=2", want: "shop/7[10] requests=5 latency=2"},
				{given: "a final requests=7 latency=3", want: "shop/7[10] requests=7 latency=3"},
				{given: "a gone requests latency", want: "shop/7[10] requests=7 latency=3"},
				{given: "", want: "shop/7[10] requests=7 latency=3"},
				{given: "b requests=1 latency=1", want: "shop/7[10] requests=8 latency=4"},
			},
		},
		{
			name: "fractions add up as integers do",
			processes: map[string]*emit.Process{
				"a": running("shop", 7, 10), "b": running("shop", 7, 20), "c": seen(running("shop", 7, 5)),
			},
			steps: []step{
				{given: "a seconds=0.5 load=1.5 | b seconds=0.25 load=-0.5", want: "shop/7[10] seconds=0.75 load=1"},
				{given: "a seconds=0.25 load=1.5 | b seconds=0.5 load=0.5", want: "shop/7[10] seconds=1 load=2"},
				{given: "a final seconds=0.5 load=1.5 | b seconds=0.5 load=0.5 | c seconds=8 load=2", want: "shop/7[10] seconds=1.25 load=2.5"},
				{given: "a gone seconds load | b seconds=0.5 load=0.5 | c seconds=8.5 load=2", want: "shop/7[10] seconds=1.75 load=2.5"},
			},
		},
		{
			name:      "a start that was delivered stays",
			processes: map[string]*emit.Process{"a": running("shop", 7, 20), "b": running("shop", 7, 10)},
			steps: []step{
				{given: "a requests=5", want: "shop/7[20] requests=5"},
				{given: "a requests=5 | b requests=1", want: "shop/7[20] requests=6"},
			},
		},
		{
			name:      "a start that was refused does not",
			processes: map[string]*emit.Process{"a": running("shop", 7, 20), "b": running("shop", 7, 10)},
			steps: []step{
				{given: "a requests=5", want: "shop/7[20] requests=5", refused: true},
				{given: "a requests=5 | b requests=1", want: "shop/7[10] requests=6"},
			},
		},
		{
			name:      "levels are those of the live, and end with the last of them",
			processes: map[string]*emit.Process{"a": running("shop", 7, 10), "b": running("shop", 7, 20)},
			steps: []step{
				{given: "a queue=5 heat=40 | b queue=-2 heat=30", want: "shop/7[10] queue=3 heat=30"},
				{given: "a queue=4 heat=41 | b final queue=9 heat=99", want: "shop/7[10] queue=4 heat=41"},
				{given: "a queue=4 heat=41 | b gone queue heat", want: "shop/7[10] queue=4 heat=41"},
				{given: "a final queue=4 heat=41", want: "shop/7 gone queue heat", refused: true},
				{given: "a final queue=4 heat=41", want: "shop/7 gone queue heat"},
				{given: "a gone queue heat", want: ""},
			},
		},
		{
			name:      "levels end while totals go on",
			processes: map[string]*emit.Process{"a": running("shop", 7, 10), "b": running("shop", 7, 125)},
			steps: []step{
				{given: "a requests=1 queue=5", want: "shop/7[10] requests=1 queue=5"},
				{given: "a final requests=2 queue=5", want: "shop/7[10] requests=2 | shop/7 gone queue"},
				{given: "a gone requests queue", want: "shop/7[10] requests=2"},
				{given: "b queue=1", want: "shop/7[10] requests=2 queue@120=1"},
			},
		},
		{
			name:      "levels of a process that is found dead never lived",
			processes: map[string]*emit.Process{"a": running("shop", 7, 10)},
			steps: []step{
				{given: "a final requests=2 queue=5 heat=1", want: "shop/7[10] requests=2"},
				{given: "a gone requests queue heat", want: "shop/7[10] requests=2"},
			},
		},
		{
			name: "what an earlier run may have delivered is a baseline",
			processes: map[string]*emit.Process{
				"a": seen(running("shop", 7, 10)), "b": running("shop", 7, 105), "c": seen(running("shop", 7, 11)),
			},
			steps: []step{
				{
					given: "a requests=5 latency=3 queue=2 | b requests=1 | c final requests=9",
					want:  "shop/7[100] requests=1 latency=0 queue=2",
				},
				{
					given: "a requests=7 latency=4 queue=2 bytes=3 | b requests=1 | c gone requests",
					want:  "shop/7[100] requests=3 latency=1 queue=2 bytes=3",
				},
			},
		},
		{
			name:      "a process that is found dead, and may have been delivered, adds nothing however often it is refused",
			processes: map[string]*emit.Process{"a": seen(running("shop", 7, 10)), "b": running("shop", 7, 20)},
			steps: []step{
				{given: "a final requests=5 latency=3", want: "", refused: true},
				{given: "a final requests=5 latency=3", want: ""},
				{given: "a gone requests latency | b requests=1", want: "shop/7[20] requests=1"},
			},
		},
		{
			name:      "a baseline stays where it was when the first delivery is refused",
			processes: map[string]*emit.Process{"a": seen(running("shop", 7, 10))},
			steps: []step{
				{given: "a requests=5", want: "shop/7[100] requests=0", refused: true},
				{given: "a requests=7", want: "shop/7[100] requests=2"},
			},
		},
		{
			name:      "final values that were refused are counted once",
			processes: map[string]*emit.Process{"a": running("shop", 7, 10), "b": running("shop", 7, 20)},
			steps: []step{
				{given: "a requests=5 latency=1 | b requests=1", want: "shop/7[10] requests=6 latency=1"},
				{given: "a final requests=8 latency=2 | b requests=1", want: "shop/7[10] requests=9 latency=2", refused: true},
				{given: "a final requests=8 latency=2 | b requests=2", want: "shop/7[10] requests=10 latency=2", refused: true},
				{given: "a final requests=8 latency=2 | b requests=2", want: "shop/7[10] requests=10 latency=2"},
				{given: "a gone requests latency | b requests=2", want: "shop/7[10] requests=10 latency=2", refused: true},
				{given: "a gone requests latency | b requests=2", want: "shop/7[10] requests=10 latency=2"},
			},
		},
		{
			name:      "a total that falls takes nothing away and counts on from there",
			processes: map[string]*emit.Process{"a": running("shop", 7, 10)},
			steps: []step{
				{given: "a requests=5 latency=5", want: "shop/7[10] requests=5 latency=5"},
				{given: "a requests=2 latency=2", want: "shop/7[10] requests=5 latency=5"},
				{given: "a requests=3 latency=3", want: "shop/7[10] requests=6 latency=6"},
			},
		},
		{
			name:      "a histogram's sum waits for its count",
			processes: map[string]*emit.Process{"a": running("shop", 7, 10)},
			steps: []step{
				{given: "a latency=0/8", want: "shop/7[10] latency=0"},
				{given: "a latency=1/8", want: "shop/7[10] latency=1/8"},
			},
		},
		{
			name:  "beyond the limit, the series that were left first end",
			limit: 1,
			processes: map[string]*emit.Process{
				"a": running("shop", 7, 10), "b": running("shop", 7, 11), "c": running("shop", 7, 12), "d": running("shop", 7, 13),
			},
			steps: []step{
				{
					given: "a requests:a=1 | b requests:b=2 | c requests:c=3",
					want:  "shop/7[10] requests:a=1 requests:b=2 requests:c=3",
				},
				{
					given: "a gone requests:a | b requests:b=2 | c requests:c=3",
					want:  "shop/7[10] requests:a=1 requests:b=2 requests:c=3",
				},
				{
					given:   "b gone requests:b | c requests:c=3",
					want:    "shop/7[10] requests:b=2 requests:c=3 | shop/7 gone requests:a",
					refused: true,
				},
				{
					given: "d requests:a=4 | c requests:c=3", // back before its end was told
					want:  "shop/7[10] requests:a=5 requests:b=2 requests:c=3",
				},
				{
					given: "d gone requests:a | c requests:c=3",
					want:  "shop/7[10] requests:a=5 requests:c=3 | shop/7 gone requests:b",
				},
				{
					given: "c requests:c=4",
					want:  "shop/7[10] requests:a=5 requests:c=4",
				},
			},
		},
		{
			name:      "a service that nobody belongs to ends at the limit, and begins anew",
			limit:     1,
			processes: map[string]*emit.Process{"a": running("shop", 7, 10), "b": running("cron", 7, 20), "c": running("shop", 7, 145)},
			steps: []step{
				{given: "a requests=1 | b requests=2", want: "shop/7[10] requests=1 | cron/7[20] requests=2"},
				{given: "a gone requests | b requests=2", want: "shop/7[10] requests=1 | cron/7[20] requests=2"},
				{given: "b gone requests", want: "shop/7 gone requests | cron/7[20] requests=2"},
				{given: "", want: "cron/7[20] requests=2"},
				{given: "c requests=1", want: "cron/7[20] requests=2 | shop/7[145] requests=1"},
			},
		},
		{
			name:  "a series that comes back after its end starts after it",
			limit: 1,
			processes: map[string]*emit.Process{
				"a": running("shop", 7, 10), "b": running("shop", 7, 11), "c": running("shop", 7, 12), "d": running("shop", 7, 13),
			},
			steps: []step{
				{
					given: "a requests:a=1000 latency=9 | b requests:b=2 | c",
					want:  "shop/7[10] requests:a=1000 requests:b=2 latency=9",
				},
				{
					given: "a gone requests:a latency | b requests:b=2 | c latency=1",
					want:  "shop/7[10] requests:a=1000 requests:b=2 latency=10",
				},
				{
					given: "b gone requests:b | c latency=1",
					want:  "shop/7[10] requests:b=2 latency=10 | shop/7 gone requests:a",
				},
				{
					given:   "d requests:a=5 | c latency=1",
					want:    "shop/7[10] requests:b=2 requests:a@130=5 latency=10",
					refused: true,
				},
				{
					given: "d requests:a=6 | c latency=2",
					want:  "shop/7[10] requests:b=2 requests:a@130=6 latency=11",
				},
				{
					given: "d gone requests:a | c latency=2",
					want:  "shop/7[10] requests:a@130=6 latency=11 | shop/7 gone requests:b",
				},
				{
					given: "c gone latency",
					want:  "shop/7[10] latency=11 | shop/7 gone requests:a@130",
				},
			},
		},
		{
			name:  "a service that begins anew starts after its end, whenever its processes did",
			limit: 1,
			processes: map[string]*emit.Process{
				"a": running("shop", 7, 10), "b": running("cron", 7, 20), "c": running("shop", 7, 11), "d": seen(running("shop", 7, 12)),
			},
			steps: []step{
				{given: "a requests=1000 | b requests=2", want: "shop/7[10] requests=1000 | cron/7[20] requests=2"},
				{given: "a gone requests | b requests=2", want: "shop/7[10] requests=1000 | cron/7[20] requests=2"},
				{given: "b gone requests", want: "shop/7 gone requests | cron/7[20] requests=2"},
				{given: "d requests=5", want: "cron/7[20] requests=2 | shop/7[130] requests=0"},
				{given: "c requests=1 | d requests=5", want: "cron/7[20] requests=2 | shop/7[130] requests=1"},
			},
		},
		{
			name:      "an end that was refused moves no start",
			processes: map[string]*emit.Process{"a": running("shop", 7, 10), "b": running("shop", 7, 11)},
			steps: []step{
				{given: "a queue=5 requests=1", want: "shop/7[10] queue=5 requests=1"},
				{given: "a final queue=5 requests=1", want: "shop/7[10] requests=1 | shop/7 gone queue", refused: true},
				{given: "b queue=1 bytes=2", want: "shop/7[10] queue=1 requests=1 bytes=2"},
			},
		},
		{
			name:      "a process that turns unreadable while it lives leaves its totals and ends its levels",
			processes: map[string]*emit.Process{"a": running("shop", 7, 10), "b": running("shop", 7, 11)},
			steps: []step{
				{
					given: "a requests=5 latency=2 queue=3 heat=1 | b requests=1 queue=1",
					want:  "shop/7[10] requests=6 latency=2 queue=4 heat=1",
				},
				{
					given:   "a gone requests latency queue heat | b requests=2 queue=1",
					want:    "shop/7[10] requests=7 latency=2 queue=1 | shop/7 gone heat",
					refused: true,
				},
				{
					given: "a gone requests latency queue heat | b requests=3 queue=1",
					want:  "shop/7[10] requests=8 latency=2 queue=1 | shop/7 gone heat",
				},
				{given: "b requests=3 queue=2", want: "shop/7[10] requests=8 latency=2 queue=2"},
				{given: "b gone requests queue", want: "shop/7[10] requests=8 latency=2 | shop/7 gone queue"},
			},
		},
		{
			name:      "a series that ended leaves its total to the others, and what it counted in it",
			processes: map[string]*emit.Process{"a": running("shop", 7, 10), "b": running("shop", 7, 20)},
			steps: []step{
				{
					given: "a requests=5 latency=2 seconds=0.5 queue=3 load=0.5 heat=1 | b requests=1 latency=1 seconds=1 queue=1 load=1 heat=2",
					want:  "shop/7[10] requests=6 latency=3 seconds=1.5 queue=4 load=1.5 heat=2",
				},
				{
					given:   "a requests=5 | b requests! latency! seconds! queue! load! heat!",
					want:    "shop/7[10] requests=6 latency=3 seconds=1.5 queue=3 load=0.5 heat=1",
					refused: true,
				},
				{
					given: "a requests=6 | b requests! latency! seconds! queue! load! heat!",
					want:  "shop/7[10] requests=7 latency=3 seconds=1.5 queue=3 load=0.5 heat=1",
				},
				{given: "b requests=2 queue=7", want: "shop/7[10] requests=9 latency=3 seconds=1.5 queue=10 load=0.5 heat=1"},
				{given: "b gone requests queue", want: "shop/7[10] requests=9 latency=3 seconds=1.5 queue=3 load=0.5 heat=1"},
			},
		},
		{
			name:      "levels that nobody has any more end with their last series, and begin anew after it",
			processes: map[string]*emit.Process{"a": running("shop", 7, 10)},
			steps: []step{
				{given: "a requests=5 queue=3 heat=1", want: "shop/7[10] requests=5 queue=3 heat=1"},
				{given: "a requests! queue! heat!", want: "shop/7[10] requests=5 | shop/7 gone queue heat", refused: true},
				{given: "a requests! queue! heat!", want: "shop/7[10] requests=5 | shop/7 gone queue heat"},
				{given: "a", want: "shop/7[10] requests=5"},
				{given: "a requests=1 queue=2", want: "shop/7[10] requests=6 queue@130=2"},
				{given: "a final requests=2 queue!", want: "shop/7[10] requests=7 | shop/7 gone queue@130"},
			},
		},
		{
			name:      "a series that is first seen ended never was",
			processes: map[string]*emit.Process{"a": running("shop", 7, 10), "b": seen(running("shop", 7, 11))},
			steps: []step{
				{given: "a requests! queue! | b requests!", want: ""},
				{given: "a requests=1 | b requests=4 bytes!", want: "shop/7[10] requests=5"},
			},
		},
		{
			name:      "series that ended count against the limit as those of processes do",
			limit:     1,
			processes: map[string]*emit.Process{"a": running("shop", 7, 10)},
			steps: []step{
				{given: "a requests:a=1 requests:b=2 requests:c=3", want: "shop/7[10] requests:a=1 requests:b=2 requests:c=3"},
				{given: "a requests:a! requests:b=2 requests:c=3", want: "shop/7[10] requests:a=1 requests:b=2 requests:c=3"},
				{given: "a requests:b! requests:c=3", want: "shop/7[10] requests:b=2 requests:c=3 | shop/7 gone requests:a"},
				{given: "a requests:a=7 requests:c=3", want: "shop/7[10] requests:c=3 requests:b=2 requests:a@130=7"},
			},
		},
		{
			name:      "a process that was never seen alive and is gone adds nothing",
			processes: map[string]*emit.Process{"a": running("shop", 7, 10)},
			steps:     []step{{given: "a gone requests queue", want: ""}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			limit := tt.limit
			if limit == 0 {
				limit = 100
			}
			var f *Fold
			play(t, tt.processes, func(next emit.Sink) (stage, func(int64), func()) {
				f = NewFold(next, limit, 100)
				return f, f.Begin, f.End
			}, tt.steps)
			require.LessOrEqual(t, f.retired.len, limit)
		})
	}
}

// What dead processes leave behind is one total for each series, however many processes came and went.
func TestFoldForgetsProcesses(t *testing.T) {
	s := &scene{processes: map[string]*emit.Process{}, series: map[string]*emit.Series{}}
	f := NewFold(s, 10, 100)
	var now int64
	for i := range 1000 {
		name := fmt.Sprint(i)
		s.processes[name] = running("shop", 7, int64(i+1))
		for _, given := range []string{name + " requests=1 queue=1", name + " final requests=2 queue=1", name + " gone requests queue"} {
			now++
			f.Begin(now)
			s.hand(t, f, given)
			f.End()
			f.Commit()
		}
	}
	s.said = nil
	f.Begin(now + 1)
	f.End()
	require.Equal(t, "shop/7[1] requests=2000", s.heard())
	require.Empty(t, f.members)
	require.Equal(t, 1, f.retired.len)
	require.Len(t, f.order[0].families, 1)
}
