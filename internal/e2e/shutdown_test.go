package e2e

import (
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// SIGTERM ends the Collector with a last collection, long before the next one is due.
func TestTerminatedCollectorDeliversALastTime(t *testing.T) {
	b := startBackend(t, nil)
	dir := directory(t)
	early := startC(t, dir, "commands")
	early.do("add", 1)
	collector := startCollector(t, settings{receiver: reading(dir, "1h"), endpoint: b.endpoint()}.yaml())
	b.await(10*time.Second, "first collection", doneBy(early), counted(1))
	eventually(t, 10*time.Second, "early collection", func() bool { requests, _ := b.counts(); return requests == 2 })

	early.do("add", 10)
	late, dead := startGo(t, dir, "commands"), startC(t, dir, "commands")
	late.do("add", 100)
	dead.do("add", 1000)
	dead.kill()
	if requests, _ := b.counts(); requests != 2 {
		t.Errorf("%d requests within the interval", requests)
	}
	collector.terminate()

	for c, want := range map[*client]int64{early: 11, late: 100, dead: 1000} {
		if last, _ := b.last(doneBy(c)); last.integer != want {
			t.Errorf("%s: last value is %d, want %d", c.cmd.Path, last.integer, want)
		}
		ends := b.points(endOf(c))
		if ended := len(ends) > 0; ended != (c == dead) {
			t.Errorf("%s: %d series ended", c.cmd.Path, len(ends))
		}
	}
	if left := segments(t, dir); len(left) != 2 {
		t.Errorf("%v are left, want those of the two that live", left)
	}

	// The next Collector goes on with the same start, so nothing looks like a reset.
	startCollector(t, settings{receiver: reading(dir, "1h"), endpoint: b.endpoint()}.yaml())
	eventually(t, 10*time.Second, "delivery by the next Collector", func() bool { return len(b.points(doneBy(early))) > 2 })
	starts := map[pcommon.Timestamp]bool{}
	for _, p := range b.points(doneBy(early)) {
		starts[p.start] = true
	}
	if len(starts) != 1 {
		t.Errorf("the series starts at %v", starts)
	}
}
