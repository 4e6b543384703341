package e2e

import (
	"fmt"
	"testing"
	"time"
)

// Between two collections nothing wakes the Collector up, however much its clients count: it
// sleeps as well as one that has no hotpath receiver.
func TestNothingHappensBetweenCollections(t *testing.T) {
	b := startBackend(t, nil)
	dir := directory(t)
	clients := []*client{startC(t, dir, "commands"), startGo(t, dir, "commands")}
	for _, c := range clients {
		c.do("add", 1)
	}
	with := startCollector(t, settings{receiver: reading(dir, "1h"), endpoint: b.endpoint()}.yaml())
	without := startCollector(t, fmt.Sprintf(`
receivers:
  otlp: {protocols: {http: {endpoint: "127.0.0.1:%d"}}}
exporters:
  debug: {}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    metrics: {receivers: [otlp], exporters: [debug]}
`, freePort(t)))
	busy := startCollector(t, settings{receiver: reading(directory(t), "100ms"), endpoint: b.endpoint()}.yaml()) // shows that it can be seen
	for _, c := range clients {
		b.await(10*time.Second, "first collection", doneBy(c), counted(1))
	}
	time.Sleep(2 * time.Second) // the early collection, and what follows a start in any Go program

	const span = 5 * time.Second
	switchesWith, switchesWithout, switchesBusy := with.contextSwitches(), without.contextSwitches(), busy.contextSwitches()
	for begin := time.Now(); time.Since(begin) < span; time.Sleep(50 * time.Millisecond) {
		for _, c := range clients {
			c.do("repeat", 1_000_000)
			c.do("set", 1)
			c.do("record", 1)
		}
	}
	switchesWith = with.contextSwitches() - switchesWith
	switchesWithout = without.contextSwitches() - switchesWithout
	switchesBusy = busy.contextSwitches() - switchesBusy
	t.Logf("%d context switches in %v with hotpath, %d without, %d at ten collections a second", switchesWith, span, switchesWithout, switchesBusy)
	if switchesBusy < 40 {
		t.Errorf("ten collections a second show as %d context switches", switchesBusy)
	}
	if switchesWith > switchesWithout+10 {
		t.Errorf("%d context switches in %v with hotpath, %d without", switchesWith, span, switchesWithout)
	}
	if requests, _ := b.counts(); requests != 2 {
		t.Errorf("%d requests, not those of the start and of the early collection", requests)
	}
}
