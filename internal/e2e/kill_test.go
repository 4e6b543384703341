package e2e

import (
	"path/filepath"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"
)

// countThroughKills has a C and a Go program count while Collectors come and are killed, at times when nobody listens too. Each Collector has to
// deliver all of it, and each series ends when its program is killed, and begins once. Pause, if there is one, comes before each step but the
// first.
func countThroughKills(t *testing.T, env []string, receiver string, pause func(i int)) {
	t.Helper()
	b := startBackend(t, eachSeventh)
	yaml := settings{receiver: receiver, endpoint: b.endpoint()}.yaml()
	clients := []*client{
		startThrough(t, env, cProgram(t, "commands")),
		startThrough(t, env, goApp().use(t), "commands"),
	}
	n := 0
	steps := func(more int) {
		for i := range more {
			if n++; i > 0 && pause != nil {
				pause(i)
			}
			for _, c := range clients {
				c.do("add", 10)
				c.do("open", -2)
				c.do("set", float64(n)+0.5)
				c.do("record", float64(n%40))
			}
		}
	}
	for range 3 {
		steps(1) // nobody listens
		collector := startCollector(t, yaml)
		steps(20)
		for _, c := range clients {
			checkCommands(b, c, n)
		}
		steps(20)
		collector.kill()
	}
	collector := startCollector(t, yaml)
	steps(20)
	for _, c := range clients {
		checkCommands(b, c, n)
		c.kill()
		eventually(t, 20*time.Second, "end of the series", func() bool { return len(b.points(endOf(c))) > 0 })
	}
	collector.terminate()
	starts := map[who]uint64{}
	for _, p := range b.points(func(p *point) bool { return p.name == "job.done" && !p.noValue }) {
		if start, known := starts[p.who]; known && start != uint64(p.start) {
			t.Errorf("%v started at %d, and at %d", p.who, start, p.start)
		}
		starts[p.who] = uint64(p.start)
	}
}

// checkCommands waits for the totals of a client after n steps.
func checkCommands(b *backend, c *client, n int) {
	b.t.Helper()
	for name, holds := range map[string]func(point) bool{
		"job.done":  counted(10 * int64(n)),
		"job.open":  counted(-2 * int64(n)),
		"job.level": func(p point) bool { return p.double == float64(n)+0.5 },
		"job.size": func(p point) bool {
			var sum, zero int
			for i := 1; i <= n; i++ {
				sum += i % 40
				if i%40 == 0 {
					zero++
				}
			}
			return p.kind == pmetric.MetricTypeExponentialHistogram &&
				p.histogram.count == uint64(n) && p.histogram.zero == uint64(zero) && p.histogram.sum == float64(sum)
		},
	} {
		b.await(20*time.Second, name+" of "+filepath.Base(c.cmd.Path), both(from(c.pid()), named(name)), holds)
	}
}
