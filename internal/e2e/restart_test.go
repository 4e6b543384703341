package e2e

import (
	"os"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"
)

// The Collector is killed ten times while clients start, fork, end and are killed, and the
// backend refuses each seventh request. At the end the last values of every process are what it counted.
func TestKilledCollectorLosesNothing(t *testing.T) {
	const kills = 10
	b := startBackend(t, eachSeventh)
	dir, ledger := directory(t), newLedger(t)
	yaml := settings{receiver: reading(dir, "100ms"), endpoint: b.endpoint()}.yaml()

	clients := []*client{startC(t, dir, "churn", ledger), startGo(t, dir, "churn", ledger)}
	collector := startCollector(t, yaml)
	for i := range kills {
		clients = append(clients, startC(t, dir, "churn", ledger))
		time.Sleep(time.Duration(500+i*77) * time.Millisecond)
		collector.kill()
		// What happens while no Collector runs is not lost either.
		if i%2 == 0 {
			clients[0].kill()
		} else {
			clients[0].finish()
		}
		clients = clients[1:]
		if i == kills/2 {
			clients = append(clients, startGo(t, dir, "churn", ledger))
		}
		time.Sleep(100 * time.Millisecond)
		collector = startCollector(t, yaml)
	}
	for _, c := range clients {
		c.finish()
	}
	eventually(t, time.Minute, "directory without segments", func() bool { return len(segments(t, dir)) == 0 })
	b.rounds(1) // more than the last process' end isn't to come
	collector.terminate()

	requests, refused := b.counts()
	entries := readLedger(t, ledger)
	t.Logf("%d processes, %d requests, %d of them refused", len(entries), requests, refused)
	if len(entries) < 100 || refused < 5 {
		t.Errorf("too little happened: %d processes, %d refused requests", len(entries), refused)
	}
	checkTallies(t, lastValues(t, b), entries)
}

// segments are the files of clients in the directory.
func segments(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasPrefix(f.Name(), ".") {
			names = append(names, f.Name())
		}
	}
	return names
}

// tally is what the backend knows of a process.
type tally struct{ counted, recorded, level uint64 }

// checkTallies compares the last values of each process with what it noted.
func checkTallies(t *testing.T, got map[int64]tally, entries map[int64]entry) {
	t.Helper()
	var killed, idle int
	var sum uint64
	for pid, e := range entries {
		g, known := got[pid]
		delete(got, pid)
		most := e
		switch e.state {
		case stateIdle:
			idle++
			if known {
				t.Errorf("process %d never counted, and was delivered", pid)
			}
		case stateRunning: // killed in the middle of something
			killed++
			most.counted, most.recorded, most.level = e.counted+1, e.recorded+1, e.level+3
		}
		if g.counted < e.counted || g.counted > most.counted || g.recorded < e.recorded || g.recorded > most.recorded ||
			g.level < e.level || g.level > most.level {
			t.Errorf("process %d counted %+v, delivered is %+v", pid, e, g)
		}
		sum += g.counted
	}
	for pid, g := range got {
		t.Errorf("process %d is unknown, and was delivered: %+v", pid, g)
	}
	t.Logf("%d adds, %d processes killed, %d that never counted", sum, killed, idle)
	if killed == 0 || idle == 0 {
		t.Errorf("%d processes were killed, %d idle", killed, idle)
	}
}

// seriesKey is a series of a process.
type seriesKey struct {
	who    who
	series string
}

// rising returns the last point of each series, and checks that no total fell, or began anew, on the way.
func rising(t *testing.T, b *backend) map[seriesKey]point {
	t.Helper()
	last := map[seriesKey]point{}
	for _, p := range b.points(func(p *point) bool { return !p.noValue }) {
		k := seriesKey{p.who, p.series}
		if before, ok := last[k]; ok && (p.time < before.time || p.start != before.start ||
			p.integer < before.integer || p.histogram.count < before.histogram.count) {
			t.Errorf("%v fell from %+v to %+v", k, before, p)
		}
		last[k] = p
	}
	return last
}

// lastValues sums up, by pid, the last value of each series that counts.
func lastValues(t *testing.T, b *backend) map[int64]tally {
	t.Helper()
	got := map[int64]tally{}
	for k, p := range rising(t, b) {
		g := got[k.who.pid]
		switch p.name {
		case "churn.done", "churn.late":
			g.counted += uint64(p.integer)
		case "churn.level":
			g.level += uint64(p.integer)
		case "churn.size":
			g.recorded += p.histogram.count
			if n := p.histogram.sum / 4; n != float64(p.histogram.count) && n != float64(p.histogram.count-1) {
				t.Errorf("%v: %d values of 4 have the sum %v", k, p.histogram.count, p.histogram.sum)
			}
		case "churn.speed":
			if p.kind != pmetric.MetricTypeGauge || p.double != 2.5 {
				t.Errorf("%v is %v", k, p.double)
			}
		default:
			t.Errorf("unknown series %v", k)
		}
		got[k.who.pid] = g
	}
	return got
}
