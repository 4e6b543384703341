package e2e

import (
	"path/filepath"
	"testing"
	"time"
)

// A series that is counted both ways, bound and by measurements, goes on in one total, though Collectors are killed between
// and what they had read of rings is there no more.
func TestMeasurementsAreExactAfterTheCollectorWasKilled(t *testing.T) {
	b := startBackend(t, eachSeventh)
	dir := directory(t)
	yaml := settings{receiver: reading(dir, "100ms"), endpoint: b.endpoint()}.yaml()
	clients := []*client{startC(t, dir, "commands"), startGo(t, dir, "commands")}
	var n int64
	steps := func() {
		for range 20 {
			n++
			for _, c := range clients {
				c.do("add", 10)
				c.do("with", 100)
				c.do("code", n%3)
			}
		}
	}
	check := func() {
		for _, c := range clients {
			what := "of " + filepath.Base(c.cmd.Path)
			b.await(20*time.Second, "both ways "+what, both(doneBy(c), withCode(nil)), counted(110*n))
			for code := range int64(3) {
				b.await(20*time.Second, "one way "+what, both(doneBy(c), withCode(code)), counted((n+(3-code)%3)/3))
			}
		}
	}
	for range 4 {
		steps() // nobody reads
		collector := startCollector(t, yaml)
		check()
		steps()
		check()
		collector.kill()
	}
	collector := startCollector(t, yaml)
	steps()
	check()
	for _, c := range clients {
		c.kill()
		eventually(t, 20*time.Second, "end of the series", func() bool { return len(b.points(endOf(c))) > 0 })
	}
	collector.terminate()
	rising(t, b)
}

// withCode wants series with this attribute, or without it if it is nil.
func withCode(code any) func(*point) bool {
	return func(p *point) bool { return p.attributes["code"] == code }
}
