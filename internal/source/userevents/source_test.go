package userevents

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
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

func TestUserEventsRegisteredBeforeDuringAndAfterStartAreHeard(t *testing.T) {
	kerneltest.Need(t)
	before := register(t, "hp_before u64 n", 0)
	require.ErrorIs(t, before.write(word(1)), unix.EBADF, "nobody listens yet")

	declared := countEntry("hp_declared", "n")
	declared.Fields = "u64 n"
	f := start(t, testConfig(countEntry("hp_b*", "n"), countEntry("hp_during", "n"), declared))
	before.numbers(t, 1, 2, 4)
	register(t, "hp_declared u64 n", 0).numbers(t, 8, 16)
	during := register(t, "hp_during u64 n", 0)
	require.NoError(t, during.listened(10*time.Second))
	during.numbers(t, 32, 64)

	got := f.collect()
	assert.EqualValues(t, 7, got.Total("hp_b*"))
	assert.EqualValues(t, 24, got.Total("hp_declared"))
	assert.EqualValues(t, 96, got.Total("hp_during"))
	require.Len(t, got.Processes, 1)
	assert.Equal(t, strconv.Itoa(os.Getpid()), got.Processes[0].Resource["process.pid"])
	assert.EqualValues(t, 7, f.tel.read)
	assert.Empty(t, f.tel.skipped)
}

func TestUserEventsOfAllFormatsOfANameAreHeard(t *testing.T) {
	kerneltest.Need(t)
	f := start(t, testConfig(countEntry("hp_multi", "n")))
	first := register(t, "hp_multi u64 n", userevent.FlagMultiFormat)
	second := register(t, "hp_multi u32 other; u64 n", userevent.FlagMultiFormat)
	eventually(t, func() bool { return first.write(word(1)) == nil && second.write(make([]byte, 12)) == nil })
	f.collect()
	first.numbers(t, 10)
	require.NoError(t, second.write(append(make([]byte, 4), word(100)...)))
	got := f.collect().Total("hp_multi")
	assert.Greater(t, got, uint64(110))
	assert.Less(t, got, uint64(1000))
}

func TestUserEventsStaleInstanceIsTakenOverWithWhatItRecorded(t *testing.T) {
	kerneltest.Need(t)
	w := register(t, "hp_stale u64 n", 0)
	dead := child(t, "collector")
	require.NoError(t, w.listened(10*time.Second))
	require.NoError(t, dead.Process.Kill())
	_ = dead.Wait()
	w.numbers(t, 1, 2, 3)
	stranger := register(t, "hp_stranger u64 n", 0)
	require.NoError(t, os.WriteFile(instances+testInstance+"/events/user_events/hp_stranger/enable", []byte("1"), 0))

	f := start(t, testConfig(countEntry("hp_stale", "")))
	assert.EqualValues(t, 3, f.collect().Total("hp_stale"), "events of the time without a collector")
	assert.ErrorIs(t, stranger.write(word(1)), unix.EBADF, "what no ingest takes is disabled")
	w.numbers(t, 4)
	assert.EqualValues(t, 4, f.collect().Total("hp_stale"))
	assert.Equal(t, 1, f.logs.FilterMessageSnippet("Took over").Len())
}

func TestUserEventsStaleInstanceWithOtherSettingsIsTakenOver(t *testing.T) {
	kerneltest.Need(t)
	require.NoError(t, os.Mkdir(instances+testInstance, 0o700))
	for file, value := range map[string]string{"trace_clock": "global", "buffer_size_kb": "8", "buffer_subbuf_size_kb": "64", "tracing_on": "0"} {
		require.NoError(t, os.WriteFile(filepath.Join(instances, testInstance, file), []byte(value), 0))
	}
	w := register(t, "hp_other u64 n", 0)
	f := start(t, testConfig(countEntry("hp_other", "n")))
	w.numbers(t, 1, 2)
	assert.EqualValues(t, 3, f.collect().Total("hp_other"))
}

func TestUserEventsSecondCollectorIsRefused(t *testing.T) {
	kerneltest.Need(t)
	first := start(t, testConfig(countEntry("hp_first", "n")))
	second := newFixture(t, testConfig())
	err := second.Start(context.Background(), nil)
	require.ErrorContains(t, err, "in use by another collector")
	require.ErrorContains(t, err, "user_events::instance")
	require.NoError(t, second.Shutdown(context.Background()))

	other := testConfig(countEntry("hp_first", "n"))
	other.Instance += "-2"
	beside := start(t, other)
	w := register(t, "hp_first u64 n", 0)
	require.NoError(t, w.listened(10*time.Second))
	eventually(t, func() bool {
		text, err := os.ReadFile(instances + other.Instance + "/set_event")
		return err == nil && strings.Contains(string(text), "hp_first")
	})
	w.numbers(t, 5)
	assert.EqualValues(t, 5, first.collect().Total("hp_first"))
	assert.EqualValues(t, 5, beside.collect().Total("hp_first"), "both hear everything")
}

func TestUserEventsWriterThatIsKilledLosesNothingItWrote(t *testing.T) {
	kerneltest.Need(t)
	f := start(t, testConfig(countEntry("hp_killed", "")))
	for range 3 {
		file := filepath.Join(t.TempDir(), "progress")
		require.NoError(t, os.WriteFile(file, make([]byte, 8), 0o600))
		before := f.collect().Total("hp_killed")
		w := child(t, "count", "hp_killed u64 n", file)
		time.Sleep(50 * time.Millisecond)
		require.NoError(t, w.Process.Kill())
		_ = w.Wait()
		progress, err := os.ReadFile(file)
		require.NoError(t, err)
		done := uint64(progress[0]) | uint64(progress[1])<<8 | uint64(progress[2])<<16 | uint64(progress[3])<<24
		require.Positive(t, done)
		got := f.collect()
		heard := got.Total("hp_killed") - before
		assert.GreaterOrEqual(t, heard, done)
		assert.LessOrEqual(t, heard, done+1, "the one that was being written")
	}
	assert.Empty(t, f.tel.dropped)
}

func TestUserEventsShutdownLeavesNothingEnabledOrRegistered(t *testing.T) {
	kerneltest.Need(t)
	declared := countEntry("hp_left", "n")
	declared.Fields = "u64 n"
	f := newFixture(t, testConfig(declared))
	require.NoError(t, f.Start(context.Background(), nil))
	require.Contains(t, registered(t), "hp_left")
	require.Contains(t, registered(t), userevent.Name)
	require.NoError(t, f.Shutdown(context.Background()))
	require.NoError(t, f.Shutdown(context.Background()))
	assert.NoDirExists(t, instances+testInstance)
	eventually(t, func() bool { // the kernel deletes them in a work queue
		names := registered(t)
		return !strings.Contains(names, "hp_left") && !strings.Contains(names, userevent.Name)
	})
	assert.ErrorIs(t, f.Collect(context.Background(), nil), errStopped)
}

func registered(t *testing.T) string {
	text, err := os.ReadFile("/sys/kernel/tracing/user_events_status")
	require.NoError(t, err)
	return string(text)
}

func TestUserEventsOptionalSourceTriesAgain(t *testing.T) {
	kerneltest.Need(t)
	first := newFixture(t, testConfig())
	require.NoError(t, first.Start(context.Background(), nil))
	cfg := testConfig(countEntry("hp_optional", "n"))
	cfg.Optional = true
	f := start(t, cfg)
	require.Error(t, f.Collect(context.Background(), nil))
	require.NoError(t, first.Shutdown(context.Background()))
	f.collect()
	w := register(t, "hp_optional u64 n", 0)
	require.NoError(t, w.listened(10*time.Second))
	w.numbers(t, 1)
	assert.EqualValues(t, 1, f.collect().Total("hp_optional"))
}

func TestUserEventsFloodIsBoundedAndOtherCPUsAreUnaffected(t *testing.T) {
	kerneltest.Need(t)
	if runtime.NumCPU() < 2 {
		t.Skip("needs two CPUs")
	}
	const flood, others = 100_000, 500
	cfg := testConfig(countEntry("hp_flood", ""), countEntry("hp_others", ""))
	cfg.BufferSizeKB = 64
	f := start(t, cfg)
	w, o := register(t, "hp_flood u64 n", 0), register(t, "hp_others u64 n", 0)
	require.NoError(t, w.listened(10*time.Second))
	require.NoError(t, o.listened(10*time.Second))
	f.collect()

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f.mu.Lock() // nobody reads
	onCPU(t, 0, func() { w.numbers(t, make([]uint64, flood)...) })
	onCPU(t, 1, func() { o.numbers(t, make([]uint64, others)...) })
	f.mu.Unlock()
	got := f.collect()
	heard := got.Total("hp_flood")
	lost := f.tel.dropped[0]
	assert.Positive(t, lost)
	assert.EqualValues(t, flood, int64(heard)+lost, "each event is heard or counted as lost")
	assert.EqualValues(t, others, got.Total("hp_others"))
	assert.Zero(t, f.tel.dropped[1])
	assert.EqualValues(t, int64(heard)+others, f.tel.read)

	// And while it is being read, for longer.
	stop := make(chan struct{})
	written := make(chan uint64)
	go func() {
		var n uint64
		for {
			select {
			case <-stop:
				written <- n
				return
			default:
				if errors.Is(w.write(word(n)), nil) {
					n++
				}
			}
		}
	}()
	for range 20 {
		time.Sleep(100 * time.Millisecond)
		f.collect()
	}
	close(stop)
	n := <-written
	heard = f.collect().Total("hp_flood")
	var dropped int64
	for _, d := range f.tel.dropped {
		dropped += d
	}
	assert.EqualValues(t, flood+n, int64(heard)+dropped)
	assert.Empty(t, f.tel.skipped)
	runtime.GC()
	runtime.ReadMemStats(&after)
	assert.Less(t, int64(after.HeapInuse)-int64(before.HeapInuse), int64(8<<20))
	t.Logf("%d written in 2 s while they were read: %d lost, %d heard", n, dropped-lost, heard)
}

func TestUserEventsCPUThatComesOnlineIsHeard(t *testing.T) {
	kerneltest.Need(t)
	const online = "/sys/devices/system/cpu/cpu1/online"
	if err := os.WriteFile(online, []byte("0"), 0); err != nil {
		t.Skipf("CPU 1 cannot be taken offline: %v", err)
	}
	t.Cleanup(func() { assert.NoError(t, os.WriteFile(online, []byte("1"), 0)) })
	f := start(t, testConfig(countEntry("hp_plug", "")))
	f.mu.Lock()
	absent := len(f.trace.absent)
	f.mu.Unlock()
	require.Equal(t, 1, absent, "the CPU has no buffer")
	w := register(t, "hp_plug u64 n", 0)
	require.NoError(t, w.listened(10*time.Second))
	onCPU(t, 0, func() { w.numbers(t, 1) })
	require.NoError(t, os.WriteFile(online, []byte("1"), 0))
	onCPU(t, 1, func() { w.numbers(t, 1, 2, 3) })
	assert.EqualValues(t, 4, f.collect().Total("hp_plug"))

	onCPU(t, 1, func() { w.numbers(t, 1) })
	require.NoError(t, os.WriteFile(online, []byte("0"), 0))
	assert.EqualValues(t, 5, f.collect().Total("hp_plug"), "what a CPU recorded before it went is heard")
	require.NoError(t, os.WriteFile(online, []byte("1"), 0))
	onCPU(t, 1, func() { w.numbers(t, 1) })
	assert.EqualValues(t, 6, f.collect().Total("hp_plug"))
	assert.Empty(t, f.tel.dropped)
}
