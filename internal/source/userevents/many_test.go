package userevents

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/userevent"

	"github.com/hotpath-metrics/hotpath/internal/kerneltest"
)

func TestUserEventsAsManyAsTheHostTakes(t *testing.T) {
	kerneltest.Need(t)
	// The kernel's default, 32768, takes minutes on an emulated processor: HOTPATH_TEST_EVENTS asks for it.
	most := 5000
	if n, err := strconv.Atoi(os.Getenv("HOTPATH_TEST_EVENTS")); err == nil {
		most = n
	}
	const limit = "/proc/sys/kernel/user_events_max"
	before, err := os.ReadFile(limit)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(limit, []byte(strconv.Itoa(most)), 0))
	t.Cleanup(func() { assert.NoError(t, os.WriteFile(limit, before, 0)) })
	began := time.Now()
	var fds [2]int // a few events, and the rest
	for i := range fds {
		fd, err := userevent.Open()
		require.NoError(t, err)
		fds[i] = fd
	}
	t.Cleanup(func() {
		unix.Close(fds[1])
		// While hundreds of events are on their way out, no trace buffer of any program may be resized: the kernel
		// (6.12) does both in one work queue, and one waits for the other for good.
		require.Eventually(t, func() bool { return !strings.Contains(registered(t), "hp_many") }, 10*time.Minute, time.Second)
	})
	n := 0
	for ; ; n++ {
		fd := fds[1]
		if n < 10 {
			fd = fds[0]
		}
		err := hold(fd, fmt.Sprintf("hp_many_%d u64 n", n))
		if errors.Is(err, unix.EMFILE) {
			break
		}
		require.NoError(t, err)
	}
	t.Logf("%d events registered in %v", n, time.Since(began))
	require.Greater(t, n, most-100)

	began = time.Now()
	f := start(t, testConfig(countEntry("hp_many_1234", ""), countEntry("hp_wanted", "")))
	f.mu.Lock()
	t.Logf("started in %v, the next scan is in %v", time.Since(began), f.trace.wait)
	assert.Equal(t, 1, f.logs.FilterMessageSnippet("Cannot register").Len(), "no room for hotpath's own")
	assert.Len(t, f.trace.bound, 1)
	f.mu.Unlock()

	unix.Close(fds[0]) // makes room
	var w *writer
	eventually(t, func() (ok bool) {
		var err error
		w, err = newWriter("hp_wanted u64 n", 0)
		return err == nil
	})
	defer w.close()
	require.NoError(t, w.listened(30*time.Second))
	w.numbers(t, 1, 2)
	assert.EqualValues(t, 2, f.collect().Total("hp_wanted"))
	eventually(t, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.trace.registry.complete()
	})

	f.mu.Lock()
	defer f.mu.Unlock()
	began = time.Now()
	require.NoError(t, f.trace.scan())
	t.Logf("a scan takes %v", time.Since(began))
}

// To try whether nobody else has an event takes some 30 ms, for which nothing is read.
func TestUserEventsThatAreQuietAreTriedAFewAtATime(t *testing.T) {
	kerneltest.Need(t)
	const events = 100
	fd, err := userevent.Open()
	require.NoError(t, err)
	defer unix.Close(fd)
	for i := range events {
		require.NoError(t, hold(fd, fmt.Sprintf("hp_quiet_%d u64 n", i)))
	}
	f := start(t, testConfig(countEntry("hp_quiet_*", "")))
	f.mu.Lock()
	defer f.mu.Unlock()
	require.Len(t, f.trace.bound, 1+events)
	for _, b := range f.trace.bound {
		b.quiet = time.Now().Add(-time.Hour)
	}
	tried := func() (n int) {
		for _, b := range f.trace.bound {
			if b.backoff > silence {
				n++
			}
		}
		return n
	}
	require.NoError(t, f.trace.releaseOrphans())
	first := tried()
	assert.Positive(t, first)
	assert.Less(t, first, events/2)
	require.NoError(t, f.trace.releaseOrphans())
	assert.Greater(t, tried(), first, "others have their turn")
	assert.Len(t, f.trace.bound, 1+events)
}
