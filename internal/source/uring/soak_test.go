package uring

import (
	"os"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// soakEnv is how long the soak takes, as in 5m.
const soakEnv = "HOTPATH_TEST_SOAK"

func TestSoak(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv(soakEnv))
	if err != nil {
		t.Skipf("takes as long as %s says", soakEnv)
	}
	f := setUp(t)
	const programs = 20
	running := make([]*program, programs)
	last := values{}
	var early int
	began := time.Now()
	for n := 0; time.Since(began) < length; n++ {
		if old := running[n%programs]; old != nil {
			old.kill()
		}
		running[n%programs] = sibling(t, "count", f.cfg.Socket, "quiet")
		time.Sleep(200 * time.Millisecond)
		last.take(f)
		if n%50 == 49 {
			debug.FreeOSMemory()
			rss := status(t, "VmRSS")
			t.Logf("%v: %d processes so far, RSS %d KiB, %d descriptors, %s messages", time.Since(began).Round(time.Second), n+1, rss, openDescriptors(),
				strconv.FormatInt(f.tel.read.Load(), 10))
			if early == 0 {
				early = rss
			}
		}
	}
	for _, p := range running {
		if p != nil {
			p.kill()
		}
	}
	f.eventually(func(h *hub) bool { return len(h.clients) == 0 }, "all are gone")
	last.take(f)
	f.collect()
	debug.FreeOSMemory()
	require.NotZero(t, early, "it was too short")
	assert.Less(t, status(t, "VmRSS"), early+early/4)
	assert.Empty(t, f.tel.Skipped())
}
