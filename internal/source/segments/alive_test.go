package segments

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
)

// Readers of one segment, the Collector and whoever looks on, probe its lock whenever they like.
func TestReadersThatProbeAtOnceDoNotTakeEachOtherForTheWriter(t *testing.T) {
	dir := t.TempDir()
	live, err := segmenttest.Publish(dir, "live", segmenttest.Segment{}.Bytes())
	require.NoError(t, err)
	defer live.Die()
	dead, err := segmenttest.Publish(dir, "dead", segmenttest.Segment{}.Bytes())
	require.NoError(t, err)
	dead.Die()

	var probes sync.WaitGroup
	for range 4 {
		for name, want := range map[string]bool{"live": true, "dead": false} {
			fd, err := unix.Open(filepath.Join(dir, name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
			require.NoError(t, err)
			defer unix.Close(fd)
			probes.Go(func() {
				for range 20_000 {
					if got, err := Alive(fd); err != nil || got != want {
						assert.Equal(t, want, got, name)
						assert.NoError(t, err)
						return
					}
				}
			})
		}
	}
	probes.Wait()
}
