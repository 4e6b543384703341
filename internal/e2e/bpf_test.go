package e2e

import (
	"testing"
)

// inMemfds is the transport of clients that share nothing.
var inMemfds = []string{"HOTPATH_TRANSPORT=bpf"}

const findingMemfds = "{collection_interval: 200ms, bpf: {}}"

func TestMemfdsValuesCanBeReadBackFromVictoriaMetrics(t *testing.T) {
	v := startVictoria(t)
	startCollector(t, settings{receiver: findingMemfds, endpoint: v.url + "/opentelemetry/v1/metrics"}.yaml())
	checkValues(t, v, map[string]*client{
		"values": startThrough(t, inMemfds, cProgram(t, "values")),
		"app":    startThrough(t, []string{"HOTPATH_DIR=/nowhere"}, goApp().use(t), "values"), // has no other way
	})
}

// A memfd lives as long as its process or whoever reads it: a Collector that is killed changes nothing for the living.
func TestMemfdsAreExactAfterTheCollectorWasKilled(t *testing.T) {
	countThroughKills(t, inMemfds, findingMemfds, nil)
}
