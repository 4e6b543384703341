package uring

import (
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// soakEnv is how long the soak takes, as in 5m.
const soakEnv = "HOTPATH_TEST_SOAK"

// taken is what clients take of the machine, in KiB but for descriptors.
type taken struct {
	rss, descriptors               int
	slab, unreclaimed, kernelStack int
	requests, pids                 int // objects of the kernel's, where it tells
	messages                       int64
}

func (f *fixture) taken() taken {
	f.Helper()
	debug.FreeOSMemory()
	meminfo := fields(f, "/proc/meminfo")
	objects := fields(f, "/proc/slabinfo")
	return taken{
		rss: status(f, "VmRSS"), descriptors: openDescriptors(), messages: f.tel.read.Load(),
		slab: meminfo["Slab:"], unreclaimed: meminfo["SUnreclaim:"], kernelStack: meminfo["KernelStack:"],
		requests: objects["io_kiocb"], pids: objects["pid"],
	}
}

func (n taken) String() string {
	return fmt.Sprintf("RSS %d KiB, %d descriptors, slab %d KiB, of it unreclaimable %d, kernel stacks %d; io_kiocb %d, pid %d; %d messages",
		n.rss, n.descriptors, n.slab, n.unreclaimed, n.kernelStack, n.requests, n.pids, n.messages)
}

// fields has the first number of each line, by the line's first word. Not everybody may read slabinfo.
func fields(t testing.TB, path string) map[string]int {
	t.Helper()
	b, err := os.ReadFile(path)
	if !os.IsPermission(err) && !os.IsNotExist(err) {
		require.NoError(t, err)
	}
	found := map[string]int{}
	for line := range strings.Lines(string(b)) {
		if words := strings.Fields(line); len(words) > 1 {
			found[words[0]], _ = strconv.Atoi(words[1])
		}
	}
	return found
}

func TestSoak(t *testing.T) {
	length, err := time.ParseDuration(os.Getenv(soakEnv))
	if err != nil {
		t.Skipf("takes as long as %s says", soakEnv)
	}
	f := setUp(t)
	const programs = 20
	running := make([]*program, programs)
	last := values{}
	var early, late taken
	began := time.Now()
	for n := 0; time.Since(began) < length; n++ {
		if old := running[n%programs]; old != nil {
			old.kill()
		}
		running[n%programs] = sibling(t, "count", f.cfg.Socket, "quiet")
		time.Sleep(200 * time.Millisecond)
		last.take(f)
		if n%50 == 49 {
			late = f.taken()
			t.Logf("%v: %d processes so far: %v", time.Since(began).Round(time.Second), n+1, late)
			if early == (taken{}) {
				early = late
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
	require.NotEqual(t, early, late, "it was too short")
	end := f.taken()
	t.Logf("after the end: %v", end)
	assert.Less(t, late.rss, early.rss+early.rss/4)
	assert.LessOrEqual(t, late.descriptors, early.descriptors+4*programs/2, "how many are there differs by what ends just now")
	// What others on the machine do is in these as well.
	assert.Less(t, late.unreclaimed, early.unreclaimed+64<<10)
	assert.Less(t, late.kernelStack, early.kernelStack+8<<10)
	assert.Less(t, late.requests, early.requests+20_000)
	assert.Empty(t, f.tel.Skipped())
}
