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
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
	"github.com/hotpath-metrics/hotpath/internal/source/uring/uringtest"
)

// idleSeries keeps the names of series, of which each takes some 400 bytes with any source, from hiding what a connection takes.
const idleSeries = 10

func init() {
	roles["thousand"] = thousand
}

// thousand are so many clients in one process, each with some series of which it has told a value, that do nothing any more.
func thousand(args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	records := make([]segmenttest.Record, idleSeries)
	words := make([]uringtest.Word, idleSeries)
	for i := range records {
		records[i] = segmenttest.Counter(uint64(i+1), "requests", segmenttest.Int("i", int64(i)))
		words[i] = uringtest.Word{Index: int32(i + 1), Value: 1}
	}
	clients := make([]*uringtest.Client, n)
	for i := range clients {
		h := me()
		h.ID = uint64(i)
		h.Instance = [16]byte{byte(i), byte(i >> 8)}
		if clients[i], err = uringtest.Connect(args[0], h, records...); err != nil {
			return err
		}
		if err := clients[i].Tell(words...); err != nil {
			return err
		}
	}
	fmt.Println("idle")
	_, _ = os.Stdin.Read(make([]byte, 1))
	return nil
}

func needDescriptors(t testing.TB, n uint64) {
	t.Helper()
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	limit.Cur = limit.Max
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	if limit.Max < n {
		t.Skipf("needs %d descriptors", n)
	}
}

func status(t testing.TB, key string) (n int) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			n, err = strconv.Atoi(strings.Fields(rest)[0])
			require.NoError(t, err)
		}
	}
	return n
}

func TestThousandIdleClientsTakeLittleMemoryAndNoTime(t *testing.T) {
	const clients = 1000
	needDescriptors(t, 12*clients)
	f := setUp(t)
	for range 2 {
		f.collect()
	}
	debug.FreeOSMemory()
	before := status(t, "VmRSS")
	p := sibling(t, "thousand", f.cfg.Socket, strconv.Itoa(clients))
	p.expect("idle")
	f.eventually(func(h *hub) bool {
		n := 0
		for _, c := range h.clients {
			if c.declared() == idleSeries && c.ring != nil {
				n++
			}
		}
		return n == clients
	}, "all are there")
	assert.Len(t, f.collect().Processes, clients)
	f.collect() // rings in which nothing came are left alone
	debug.FreeOSMemory()
	grown := status(t, "VmRSS") - before
	t.Logf("%d KiB for %d clients with %d series each (now anonymous %d, shared %d, files %d)", grown, clients, idleSeries, status(t, "RssAnon"), status(t, "RssShmem"), status(t, "RssFile"))

	// The waiting thread sleeps.
	var start, end unix.Rusage
	require.NoError(t, unix.Getrusage(unix.RUSAGE_SELF, &start))
	turns := f.turns()
	time.Sleep(3 * time.Second)
	require.NoError(t, unix.Getrusage(unix.RUSAGE_SELF, &end))
	assert.Equal(t, turns, f.turns(), "wake-ups")
	used := time.Duration(end.Utime.Nano() + end.Stime.Nano() - start.Utime.Nano() - start.Stime.Nano())
	t.Logf("%v of CPU in 3 s", used)
	assert.Less(t, used, 100*time.Millisecond)
	if !raceDetector {
		assert.Less(t, grown, 40<<10)
	}
}

func (f *fixture) turns() (n uint64) {
	f.inside(func(h *hub) { n = h.turns })
	return n
}
