package shm

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
	"github.com/hotpath-metrics/hotpath/internal/source/segments/segmentstest"
)

func TestEverythingThatIsNoSegmentIsCountedByReasonOnceAndTheRestGoesOn(t *testing.T) {
	put := func(offset int, value uint64) []byte {
		b := segmentstest.Requests(1).Bytes()
		segmenttest.Put(b, offset, value)
		return b
	}
	outside := filepath.Join(tmpfs(t), "file")
	require.NoError(t, os.WriteFile(outside, segmentstest.Requests(1).Bytes(), 0o600))
	for name, tt := range map[string]struct {
		make   func(path string) error
		reason string
	}{
		"fifo":      {func(p string) error { return unix.Mkfifo(p, 0o666) }, "fifo"},
		"symlink":   {func(p string) error { return os.Symlink(outside, p) }, "symlink"},
		"directory": {func(p string) error { return os.Mkdir(p, 0o755) }, "directory"},
		"hard link": {func(p string) error { return os.Link(outside, p) }, "hard_link"},
		"socket": {func(p string) error {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: p})
			if err == nil {
				l.SetUnlinkOnClose(false)
				l.Close()
			}
			return err
		}, "socket"},
		"empty":         {func(p string) error { return place(p, nil) }, "truncated"},
		"another magic": {func(p string) error { return place(p, put(0, 7)) }, "magic"},
		"newer major":   {func(p string) error { return publish(t, p, put(layout.OffMajor, 2)) }, "version"},
		"short":         {func(p string) error { return publish(t, p, put(0, magicWord())[:600]) }, "truncated"},
		"too many stripes": {
			func(p string) error { return publish(t, p, put(layout.OffStripeCount, 5000)) }, "stripes",
		},
		"catalogue past the end": {
			func(p string) error { return publish(t, p, put(layout.OffCatalogueOffset, 1<<40)) }, "bounds",
		},
		"overlapping areas": {
			func(p string) error { return publish(t, p, put(layout.OffSharedOffset, segmenttest.CatalogueOffset)) }, "overlap",
		},
		"cyclic catalogue": {func(p string) error {
			b := segmentstest.Requests(1).Bytes()
			segmenttest.Put(b, segmenttest.CatalogueOffset, 0)
			return publish(t, p, b)
		}, "catalogue"},
		"unsorted slots": {func(p string) error {
			s := segmentstest.Requests(1)
			s.Records = append(s.Records, segmenttest.Counter(9, "b"), segmenttest.Counter(8, "c"))
			return publish(t, p, s.Bytes())
		}, "overlap"},
		"2^32 series": {func(p string) error {
			b := segmentstest.Requests(1).Bytes()
			segmenttest.Put(b, layout.OffCatalogueUsed, 32<<32)
			return publish(t, p, b)
		}, "bounds"},
		"sparse and huge": {func(p string) error { return giant(t, p, 8<<20) }, "sparse"},
		"too large":       {func(p string) error { return giant(t, p, 1<<40) }, "too_large"},
		"tiny stripes":    {func(p string) error { return tiny(t, p) }, "sparse"},
	} {
		t.Run(name, func(t *testing.T) {
			f := setUp(t)
			good := segmentstest.Requests(2)
			good.PID = 43
			f.publish("good", good)
			require.NoError(t, tt.make(filepath.Join(f.dir, "bad")))
			f.noticed()
			for range 3 {
				assert.Equal(t, map[string]uint64{"requests": 0}, f.one().Counters)
				f.src.Commit()
			}
			assert.Equal(t, map[string]int64{tt.reason: 1}, f.tel.Skipped())
			assert.Equal(t, 1, f.logs.Len(), "%v", f.logs.All())
			assert.Equal(t, []string{"bad", "good"}, f.names())
			assert.Equal(t, 1, f.src.set.Len(), "no descriptor is spent on it")
		})
	}
}

// place makes a file that appears whole.
func place(path string, b []byte) error {
	temporary := filepath.Join(filepath.Dir(path), ".temporary")
	if err := os.WriteFile(temporary, b, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

func magicWord() uint64 {
	return uint64(layout.Magic[0]) | uint64('O')<<8 | uint64('T')<<16 | uint64('P')<<24 | uint64('A')<<32 |
		uint64('T')<<40 | uint64('H')<<48 | uint64('\n')<<56
}

// publish makes a live file, which is not removed for being bad.
func publish(t *testing.T, path string, b []byte) error {
	live, err := segmenttest.Publish(filepath.Dir(path), filepath.Base(path), b)
	if err == nil {
		t.Cleanup(live.Die)
	}
	return err
}

// giant is a file of which next to nothing exists, and that claims to have a counter at the end of a stripe.
func giant(t *testing.T, path string, stripe uint64) error {
	s := segmentstest.Requests(1)
	s.Records[1].Slot = stripe/8 - 1
	b := s.Bytes()
	segmenttest.Put(b, layout.OffStripeSize, stripe)
	segmenttest.Put(b, layout.OffFileSize, segmenttest.StripesOffset+2*stripe)
	live, err := segmenttest.Publish(filepath.Dir(path), ".growing", b)
	if err != nil {
		return err
	}
	t.Cleanup(live.Die)
	if err := os.Truncate(live.Path, segmenttest.StripesOffset+2*int64(stripe)); err != nil {
		return err
	}
	return os.Rename(live.Path, path)
}

// tiny is a file with as many stripes as there may be, of which next to nothing exists.
func tiny(t *testing.T, path string) error {
	b := segmentstest.Requests(1).Bytes()
	const size = segmenttest.StripesOffset + layout.MaxStripes*segment.PageSize
	segmenttest.Put(b, layout.OffStripeSize, segment.PageSize)
	segmenttest.Put(b, layout.OffStripeCount, layout.MaxStripes)
	segmenttest.Put(b, layout.OffStripesUsed, layout.MaxStripes)
	segmenttest.Put(b, layout.OffFileSize, size)
	live, err := segmenttest.Publish(filepath.Dir(path), ".growing", b)
	if err != nil {
		return err
	}
	t.Cleanup(live.Die)
	if err := os.Truncate(live.Path, size); err != nil {
		return err
	}
	return os.Rename(live.Path, path)
}

func TestGiantCostsNoMemoryAndNoTime(t *testing.T) {
	f := setUp(t)
	require.NoError(t, giant(t, filepath.Join(f.dir, "giant"), 1<<40))
	f.noticed()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f.collect()
	runtime.ReadMemStats(&after)
	assert.Less(t, f.tel.Bytes, int64(4096))
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

func TestSegmentTruncatedUnderTheReaderIsSkipped(t *testing.T) {
	for name, size := range map[string]int64{
		"to nothing": 0, "in the header": 100, "before the stripes": segmenttest.StripesOffset, "in a stripe": segmenttest.StripesOffset + 8,
	} {
		t.Run(name, func(t *testing.T) {
			f := setUp(t)
			live := f.publish("a", segmentstest.Requests(1))
			f.one()
			require.NoError(t, os.Truncate(live.Path, size))
			f.collect()
			assert.Equal(t, map[string]int64{"truncated": 1}, f.tel.Skipped())
			live.Die()
			f.collect()
			assert.Empty(t, f.names())
		})
	}
}

func TestTwentyThousandBadFilesCostLittleAtEachCollection(t *testing.T) {
	f := unstarted(t)
	require.NoError(t, os.Mkdir(f.dir, 0o755))
	const files = 20_000
	for i := range files {
		require.NoError(t, os.WriteFile(filepath.Join(f.dir, fmt.Sprint(i)), []byte("no segment at all"), 0o600))
	}
	f.publish("good", segmentstest.Requests(1))
	f.start()
	for range 3 {
		assert.Equal(t, map[string]uint64{"requests": 0}, f.one().Counters)
		f.src.Commit()
	}
	assert.Equal(t, map[string]int64{"magic": files}, f.tel.Skipped())
	assert.EqualValues(t, files, f.tel.States["skipped"])
	assert.Equal(t, 1, f.src.set.Len())

	start := time.Now()
	f.one()
	assert.Less(t, time.Since(start), time.Second, "a scan of them all takes longer where it matters")
}

func TestFloodOfNamesThatOverflowsTheQueueIsFoundByAScan(t *testing.T) {
	f := setUp(t)
	f.publish("a", segmentstest.Requests(1))
	other := segmentstest.Requests(2)
	other.PID = 43
	f.src.mu.Lock() // the queue is not read meanwhile
	live, err := segmenttest.Publish(f.dir, ".hidden", other.Bytes())
	require.NoError(t, err)
	t.Cleanup(live.Die)
	for i := range 40_000 {
		name := filepath.Join(f.dir, fmt.Sprint(".", i%2))
		require.NoError(t, os.WriteFile(name, nil, 0o600))
		require.NoError(t, os.Remove(name))
	}
	require.NoError(t, os.Rename(live.Path, filepath.Join(f.dir, "b")))
	f.src.mu.Unlock()
	require.Eventually(t, func() bool { return len(f.collect()) == 2 }, 10*time.Second, time.Millisecond)
}

func TestBadFileThatBecomesASegmentIsRead(t *testing.T) {
	f := setUp(t)
	path := f.write("a", []byte("no segment"))
	f.collect()
	require.NoError(t, os.WriteFile(path, counting(segmentstest.Requests(1), 4), 0o600))
	assert.Equal(t, map[string]uint64{"requests": 4}, f.one().Counters)
	assert.Empty(t, f.src.skipped)
}

func TestNamesOfFilesThatAreGoneAreForgotten(t *testing.T) {
	f := setUp(t)
	path := f.write("a", []byte("no segment"))
	assert.Len(t, f.src.skipped, 1)
	require.NoError(t, os.Remove(path))
	f.collect()
	assert.Empty(t, f.src.skipped)
}

func TestSegmentsBeyondALimitWaitForRoom(t *testing.T) {
	for name, limits := range map[string]func(*segments.Limits){
		"segments":         func(l *segments.Limits) { l.Segments = 2 },
		"segments per uid": func(l *segments.Limits) { l.SegmentsPerUID = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			f := unstarted(t)
			limits(&f.limits)
			f.renew()
			f.start()
			var lives []*segmenttest.Live
			for i := range 3 {
				s := segmentstest.Requests(uint64(i))
				s.PID = uint64(100 + i)
				lives = append(lives, f.publish(fmt.Sprint(i), s))
			}
			for range 3 {
				assert.Len(t, f.collect(), 2)
				f.src.Commit()
			}
			assert.Equal(t, map[string]int64{"limit": 1}, f.tel.Skipped())
			lives[0].Die()
			for range 2 {
				f.collect() // Final, then Gone
				f.src.Commit()
			}
			assert.Len(t, f.collect(), 2)
			assert.Equal(t, []string{"1", "2"}, f.names())
			assert.Equal(t, map[string]int64{"limit": 1}, f.tel.Skipped())
		})
	}
}

func TestExhaustedDescriptorsStopNothingElse(t *testing.T) {
	f := setUp(t)
	f.publish("a", segmentstest.Requests(1))
	var old unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	other := segmentstest.Requests(2)
	other.PID = 43
	hidden, err := segmenttest.Publish(f.dir, ".hidden", other.Bytes())
	require.NoError(t, err)
	t.Cleanup(hidden.Die)

	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: old.Max}))
	renamed := os.Rename(hidden.Path, filepath.Join(f.dir, "b"))
	var s segmentstest.Sink
	require.Eventually(t, func() bool { return f.tel.Skipped()["fd_limit"] == 1 }, 10*time.Second, time.Millisecond)
	collected := f.src.Collect(context.Background(), &s)
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &old))

	require.NoError(t, renamed)
	require.NoError(t, collected)
	assert.Len(t, s.Processes, 1)
	assert.Len(t, f.collect(), 2)
	assert.Equal(t, map[string]int64{"fd_limit": 1}, f.tel.Skipped())
}

func TestSegmentsLeaveDescriptorsToTheRestOfTheCollector(t *testing.T) {
	f := unstarted(t)
	require.NoError(t, os.Mkdir(f.dir, 0o755))
	const segments = 150
	var lives []*segmenttest.Live
	for i := range segments {
		s := segmentstest.Requests(uint64(i))
		s.PID = uint64(100 + i)
		lives = append(lives, f.publish(fmt.Sprint(i), s))
	}
	var old unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 128, Max: old.Max}))
	defer func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &old)) }()

	f.start()
	waiting := f.tel.Skipped()
	assert.Greater(t, waiting["fd_limit"], int64(segments-96))
	assert.Less(t, waiting["fd_limit"], int64(segments-30))
	assert.Greater(t, len(f.collect()), 30)
	f.src.Commit()
	for range 30 { // an exporter's connections
		file, err := os.Open("/dev/null")
		require.NoError(t, err)
		defer file.Close()
	}

	finals := 0
	for _, l := range lives {
		l.Die()
	}
	for range 20 {
		for _, p := range f.collect() {
			if p.State == emit.Final {
				finals++
			}
		}
		f.src.Commit()
	}
	assert.Equal(t, segments, finals, "those that waited are taken as descriptors come back")
	assert.Empty(t, f.names())
	assert.Equal(t, waiting, f.tel.Skipped(), "each is counted once")
}

func TestDirectoryThatCannotBeListedIsWarnedAboutOnce(t *testing.T) {
	f := setUp(t)
	f.publish("a", segmentstest.Requests(1))
	var old unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: old.Max}))
	f.src.rescan = true
	for range 3 {
		assert.NoError(t, f.src.Collect(context.Background(), &segmentstest.Sink{}))
	}
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &old))
	assert.Equal(t, 1, f.logs.FilterMessageSnippet("Cannot list").Len())
	f.one()
	assert.False(t, f.src.rescan)
}

func TestHiddenNamesAreNotSegments(t *testing.T) {
	f := setUp(t)
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, ".a"), segmentstest.Requests(1).Bytes(), 0o600))
	f.restart()
	assert.Empty(t, f.collect())
	assert.Empty(t, f.tel.Skipped())
}

func TestParseEventsTakesWholeEventsOnly(t *testing.T) {
	encode := func(mask uint32, name string) []byte {
		b := make([]byte, 16)
		b[4], b[5], b[12] = byte(mask), byte(mask>>8), byte(len(name))
		return append(b, name...)
	}
	b := append(encode(unix.IN_CREATE, "a\x00\x00\x00"), encode(unix.IN_Q_OVERFLOW, "")...)
	b = append(b, encode(unix.IN_MOVED_TO, "bcd")...)
	b = append(b, encode(unix.IN_CREATE, ".hidden")...)
	b = append(b, encode(unix.IN_IGNORED, "")...)
	assert.Equal(t, []event{{name: "a"}, {lost: true}, {name: "bcd"}}, parseEvents(b))
	for n := range b {
		assert.LessOrEqual(t, len(parseEvents(b[:n])), 3)
	}
	assert.Empty(t, parseEvents(encode(unix.IN_CREATE, strings.Repeat("a", 200))[:100]))
}
