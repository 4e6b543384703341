package reading

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
)

func tmpfs(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "hotpath-test-")
	if err != nil {
		t.Skipf("needs tmpfs at /dev/shm: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// start watches a directory; processes of the host that keep segments in memfds are left out.
func start(t testing.TB, dir string) *Watch {
	w, err := Start(context.Background(), dir, Choice{Services: []string{"shop"}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.Close(context.Background())) })
	return w
}

func shop(pid, counters int) segmenttest.Segment {
	s := segmenttest.Segment{
		PID: uint64(pid), ID: uint64(pid), Instance: [16]byte{byte(pid), byte(pid >> 8), byte(pid >> 16)}, StartTime: time.Now().UnixNano(),
		Records: []segmenttest.Record{segmenttest.Resource(segmenttest.Str("service.name", "shop"))},
	}
	for i := range counters {
		s.Records = append(s.Records, segmenttest.Counter(uint64(1+i), "requests", segmenttest.Int("route", int64(i))))
	}
	return s
}

func TestWatchSeesWhatSegmentsInADirectoryCount(t *testing.T) {
	dir := tmpfs(t)
	live, err := segmenttest.Publish(dir, "a", shop(1, 1).Bytes())
	require.NoError(t, err)
	defer live.Die()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "other"), []byte("no segment at all"), 0o600))
	w := start(t, dir)
	first, err := w.Read(context.Background())
	require.NoError(t, err)
	assert.Equal(t, 1, first.Series())
	assert.Zero(t, first.Interval)
	live.Word(segmenttest.StripeWord(0, 1)).Store(20)
	time.Sleep(100 * time.Millisecond)
	second, err := w.Read(context.Background())
	require.NoError(t, err)
	got := second.Processes[0].Series[0]
	assert.EqualValues(t, 20, got.Counter)
	assert.InEpsilon(t, 20/second.Interval.Seconds(), got.Rate, 1e-9)
	assert.Contains(t, fmt.Sprint(second.Notes), "files that are not read: 1 (magic 1)")
}

func TestWatchSaysThatThereIsNoDirectoryAndWaitsForOne(t *testing.T) {
	dir := filepath.Join(tmpfs(t), "hotpath")
	w := start(t, dir)
	r, err := w.Read(context.Background())
	require.NoError(t, err)
	assert.Contains(t, fmt.Sprint(r.Notes), "No process has published anything yet")
	require.NoError(t, os.Mkdir(dir, 0o755))
	live, err := segmenttest.Publish(dir, "a", shop(1, 2).Bytes())
	require.NoError(t, err)
	defer live.Die()
	r, err = w.Read(context.Background())
	require.NoError(t, err)
	assert.Equal(t, 2, r.Series())
	assert.NotContains(t, fmt.Sprint(r.Notes), "No process")
}

const nobody = 65534

func TestOrdinaryUserSeesItsOwnAndHowToSeeTheRest(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	dir := tmpfs(t)
	require.NoError(t, os.Chmod(dir, os.ModeSticky|0o777))
	for i, uid := range []int{0, nobody} {
		live, err := segmenttest.Publish(dir, fmt.Sprint(uid), shop(1+i, 1).Bytes())
		require.NoError(t, err)
		defer live.Die()
		require.NoError(t, os.Chown(live.Path, uid, uid))
	}
	require.NoError(t, syscall.Setresuid(-1, nobody, -1))
	defer func() { require.NoError(t, syscall.Setresuid(-1, 0, -1)) }()
	w := start(t, dir)
	r, err := w.Read(context.Background())
	require.NoError(t, err)
	require.Len(t, r.Processes, 1)
	assert.EqualValues(t, nobody, r.Processes[0].Owner)
	assert.Equal(t, []string{"Not shown: segments of other users (1), segments in memfds; sudo hotpath top shows all"}, r.Notes)
}

func TestNothingIsLeftOpen(t *testing.T) {
	dir := tmpfs(t)
	live, err := segmenttest.Publish(dir, "a", shop(1, 1).Bytes())
	require.NoError(t, err)
	defer live.Die()
	open := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(names)
	}
	watch := func() {
		w, err := Start(context.Background(), dir, Choice{})
		require.NoError(t, err)
		_, err = w.Read(context.Background())
		require.NoError(t, err)
		require.NoError(t, w.Close(context.Background()))
	}
	watch() // the runtime and the BPF library keep some for themselves
	before := open()
	watch()
	assert.Equal(t, before, open())
}

func BenchmarkRead(b *testing.B) {
	for _, size := range []struct{ processes, counters int }{{100, 1000}, {10_000, 10}} {
		b.Run(fmt.Sprintf("%d processes with %d series", size.processes, size.counters), func(b *testing.B) {
			dir := tmpfs(b)
			for i := range size.processes {
				s := shop(1+i, size.counters)
				s.StripeCount = 1
				live, err := segmenttest.Publish(dir, fmt.Sprint(i), s.Bytes())
				require.NoError(b, err)
				defer live.Die()
			}
			w := start(b, dir)
			_, err := w.Read(context.Background()) // which tells who all of them are
			require.NoError(b, err)
			for b.Loop() {
				r, err := w.Read(context.Background())
				if err != nil || r.Series() != size.processes*size.counters {
					b.Fatal(err, r.Series())
				}
			}
		})
	}
}
