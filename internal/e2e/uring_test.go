package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// throughRings is the transport of clients that post each update, and the receiver that takes them.
func throughRings(t *testing.T) (env []string, receiver string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "hotpath-e2e-") // shorter than that of t: a socket's path has 107 bytes
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "socket")
	return []string{"HOTPATH_TRANSPORT=io_uring", "HOTPATH_URING_BATCH=1", "HOTPATH_SOCKET=" + socket},
		"{collection_interval: 200ms, io_uring: {socket: " + socket + "}}"
}

func TestRingsValuesCanBeReadBackFromVictoriaMetrics(t *testing.T) {
	env, receiver := throughRings(t)
	v := startVictoria(t)
	startCollector(t, settings{receiver: receiver, endpoint: v.url + "/opentelemetry/v1/metrics"}.yaml())
	checkValues(t, v, map[string]*client{
		"values": startThrough(t, env, cProgram(t, "values")),
		"app":    startThrough(t, env, goApp().use(t), "values"),
	})
}

// Whoever counts tells a new Collector everything again.
func TestRingsAreExactAfterTheCollectorWasKilled(t *testing.T) {
	env, receiver := throughRings(t)
	countThroughKills(t, env, receiver, func(i int) {
		if i >= 14 { // a client comes back step by step, with updates, once a second at most
			time.Sleep(500 * time.Millisecond)
		}
	})
}
