package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// The totals are the Collector's: one that was killed takes them with it, and the next begins anew. The program notices nothing.
func TestProbesCountAnewAfterTheCollectorWasKilled(t *testing.T) {
	b := startBackend(t, eachSeventh)
	program := cProgram(t, "probed")
	yaml := settings{receiver: probing([]string{
		onFunction("name: app.work, type: counter", program, "work"),
		onFunction("name: app.nap, type: histogram", program, "nap", "value: duration"),
	}), endpoint: b.endpoint()}.yaml()
	c := startThrough(t, uncounted, program)
	work := both(from(c.pid()), named("app.work"))
	nap := both(from(c.pid()), named("app.nap"))
	starts := map[pcommon.Timestamp]bool{}
	var killed pcommon.Timestamp
	for run := 1; run <= 3; run++ {
		collector := startCollector(t, yaml)
		total := int64(0)
		for range 20 {
			c.do("work", run, "reading")
			total += int64(run)
			time.Sleep(30 * time.Millisecond)
		}
		c.do("nap", 2*run+1)
		b.await(20*time.Second, "total of this run", work, counted(total))
		b.await(20*time.Second, "naps of this run", nap, func(p point) bool { return p.histogram.count == uint64(2*run+1) })
		last, _ := b.last(work)
		if starts[last.start] || last.start <= killed {
			t.Errorf("run %d begins at %d, the one before was killed at %d", run, last.start, killed)
		}
		starts[last.start] = true
		collector.kill()
		killed = pcommon.NewTimestampFromTime(time.Now())
		c.do("work", 1000, "unseen")
		c.do("nap", 1)
		time.Sleep(time.Second) // first values begin a second before their collection
	}
	before := map[pcommon.Timestamp]int64{}
	for _, p := range b.points(work) {
		if !starts[p.start] || p.integer < before[p.start] {
			t.Errorf("%d fell to %d, in the run of %d", before[p.start], p.integer, p.start)
		}
		before[p.start] = p.integer
	}
	c.finish()
}

// Half of the processes kill themselves right after their last call, while the backend refuses each seventh request.
func TestShortProcessesUnderProbesAreExact(t *testing.T) {
	const processes, calls = 80, 50
	program := cProgram(t, "probed")
	for _, c := range []struct{ temporality, per, mode string }{
		{"cumulative", "process", "aggregate"},
		{"cumulative", "process", "events"},
		{"cumulative", "service", "events"},
		{"delta", "process", "events"},
		{"delta", "service", "aggregate"},
	} {
		t.Run(fmt.Sprintf("%s, per %s, %s", c.temporality, c.per, c.mode), func(t *testing.T) {
			b := startBackend(t, eachSeventh)
			collector := startCollector(t, settings{receiver: probing([]string{
				onFunction("name: app.work, type: counter", program, "work", byWhat, "mode: "+c.mode),
				onFunction("name: app.amount, type: histogram", program, "work", "value: {arg: 0, type: s32}", "mode: "+c.mode),
			}, "temporality: "+c.temporality, "resource: {per: "+c.per+"}"), endpoint: b.endpoint()}.yaml())
			steady, steps := startThrough(t, uncounted, program), 0
			step := func() {
				steady.do("work", 1, "steady")
				steps++
			}
			for i := range processes {
				step()
				how := []string{"killed", "ended"}[i%2]
				short := exec.Command(program, fmt.Sprint(calls), how)
				short.Env = append(os.Environ(), uncounted...)
				if err := short.Run(); (err != nil) != (how == "killed") {
					t.Fatal(err)
				}
				time.Sleep(30 * time.Millisecond)
			}
			requests, refused := b.counts()
			if refused < 5 {
				t.Errorf("too little happened: %d requests, %d of them refused", requests, refused)
			}
			b.answer(nil) // what is refused at the Collector's end goes with it
			eventually(t, 20*time.Second, "delivery of the rest", func() bool {
				step()
				requests, _ := b.counts()
				return requests > 3
			})
			collector.terminate()
			if ends := len(b.points(func(p *point) bool { return p.noValue })); c.temporality == "cumulative" && c.per == "process" && ends != 2*processes {
				t.Errorf("%d series ended, not 2 of each process", ends)
			}
			got := sumsOf(t, b, c.temporality == "delta", c.per == "service")
			want := map[string]sums{
				"app.work" + fmt.Sprint(map[string]any{"what": "killed"}): {integer: processes / 2 * calls},
				"app.work" + fmt.Sprint(map[string]any{"what": "ended"}):  {integer: processes / 2 * calls},
				"app.work" + fmt.Sprint(map[string]any{"what": "steady"}): {integer: int64(steps)},
				"app.amount" + fmt.Sprint(map[string]any{}): {
					count: uint64(processes*calls + steps), zero: uint64(processes + steps), sum: processes * calls * (calls - 1) / 2,
				},
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("delivered is\n%+v, not\n%+v", got, want)
			}
		})
	}
}

type sums struct {
	integer     int64
	count, zero uint64
	sum         float64
}

// sumsOf adds up what the backend accepted, by series: of totals the last of each process, of deltas all.
func sumsOf(t *testing.T, b *backend, delta, folded bool) map[string]sums {
	t.Helper()
	type key struct {
		who    who
		series string
	}
	last := map[key]point{}
	all := map[string]sums{}
	add := func(p point) {
		s := all[p.series]
		s.integer += p.integer
		s.count += p.histogram.count
		s.zero += p.histogram.zero
		s.sum += p.histogram.sum
		all[p.series] = s
	}
	for _, p := range b.points(func(p *point) bool { return !p.noValue }) {
		if p.delta != delta || (p.who == who{}) != folded || p.resource["service.name"] != "unknown_service" {
			t.Fatalf("unexpected point %+v", p)
		}
		k := key{p.who, p.series}
		before, known := last[k]
		switch {
		case known && delta && p.start < before.time:
			t.Errorf("%v: an interval begins at %d, the one before ended at %d", k, p.start, before.time)
		case known && !delta && (p.start != before.start || p.integer < before.integer || p.histogram.count < before.histogram.count):
			t.Errorf("%v fell from %+v to %+v", k, before, p)
		}
		last[k] = p
		if delta {
			add(p)
		}
	}
	if !delta {
		for _, p := range last {
			add(p)
		}
	}
	return all
}
