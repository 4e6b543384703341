package e2e

import (
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Workers of a prefork server come and go, and the backend refuses some requests. The totals of the
// service never fall, and at the end they are what all workers together did.
func TestTotalsOfAServiceAreExact(t *testing.T) {
	for _, temporality := range []string{"cumulative", "delta"} {
		t.Run(temporality, func(t *testing.T) {
			b := startBackend(t, eachSeventh)
			dir, ledger := directory(t), newLedger(t)
			collector := startCollector(t, settings{
				receiver: reading(dir, "100ms", "resource: {per: service}", "temporality: "+temporality),
				endpoint: b.endpoint(),
			}.yaml())
			master := startC(t, dir, "prefork", ledger)
			time.Sleep(5 * time.Second)
			master.finish()
			eventually(t, 10*time.Second, "directory without segments", func() bool { return len(segments(t, dir)) == 0 })
			collector.terminate()

			var want uint64
			entries := readLedger(t, ledger)
			for pid, e := range entries {
				if e.state != stateFinished {
					t.Errorf("worker %d did not finish", pid)
				}
				want += e.counted
			}
			requests, refused := b.counts()
			t.Logf("%d workers, %d requests to them; %d requests to the backend, %d of them refused", len(entries), want, requests, refused)
			if len(entries) < 10 || refused < 5 {
				t.Errorf("too little happened: %d workers, %d refused requests", len(entries), refused)
			}
			got := totalsOf(t, b, temporality == "delta")
			if got.counted != want || got.recorded != want {
				t.Errorf("workers counted %d, delivered is %+v", want, got)
			}
		})
	}
}

// totalsOf adds up what the backend accepted of the prefork server.
func totalsOf(t *testing.T, b *backend, delta bool) (got tally) {
	t.Helper()
	points := b.points(func(p *point) bool { return p.name == "web.requests" || p.name == "web.latency" })
	starts := map[string]pcommon.Timestamp{}
	for _, p := range points {
		if p.noValue {
			continue
		}
		if p.delta != delta || p.resource["service.name"] != "shop" || p.who != (who{}) {
			t.Fatalf("unexpected point %+v", p)
		}
		start, known := starts[p.name]
		if delta { // intervals follow each other
			if known && p.start < start {
				t.Errorf("%s: an interval begins at %d, the one before ended at %d", p.name, p.start, start)
			}
			starts[p.name] = p.time
			got.counted += uint64(p.integer)
			got.recorded += p.histogram.count
			continue
		}
		if known && p.start != start {
			t.Errorf("%s: the start went from %d to %d", p.name, start, p.start)
		}
		starts[p.name] = p.start
		if uint64(p.integer) < got.counted && p.name == "web.requests" || p.histogram.count < got.recorded && p.name == "web.latency" {
			t.Errorf("%s fell below %+v: %+v", p.name, got, p)
		}
		got.counted = max(got.counted, uint64(p.integer))
		got.recorded = max(got.recorded, p.histogram.count)
	}
	if last, ok := b.last(named("web.busy")); !ok || last.delta {
		t.Errorf("the updowncounter is %+v", last)
	}
	return got
}
