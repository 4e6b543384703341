package probe

import (
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// Whoever is faster than the reader must not hold up the collection, of all sources.
func TestHostAFloodOfEventsHoldsNoCollectionUp(t *testing.T) {
	f := startWithin(t, Limits{Processes: 1, Series: 1000, SeriesPerUID: 1000}, "- metric: {name: n, type: counter}\n  mode: events\n"+onRaw)
	f.mu.Lock()
	for !f.table.Full() {
		f.table.Process(emit.Process{})
	}
	f.mu.Unlock()
	flood := exec.Command(program("target"), "count", "1000000000")
	require.NoError(t, flood.Start())
	defer func() { _, _ = flood.Process.Kill(), flood.Wait() }()
	for range 3 {
		time.Sleep(200 * time.Millisecond)
		f.hand() // comes back
	}
	assert.Positive(t, f.skipped(processLimit))
}
