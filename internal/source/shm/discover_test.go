package shm

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
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
)

func TestEverythingThatIsNoSegmentIsCountedByReasonOnceAndTheRestGoesOn(t *testing.T) {
	put := func(offset int, value uint64) []byte {
		b := requests(1).Bytes()
		segmenttest.Put(b, offset, value)
		return b
	}
	outside := filepath.Join(tmpfs(t), "file")
	require.NoError(t, os.WriteFile(outside, requests(1).Bytes(), 0o600))
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
			b := requests(1).Bytes()
			segmenttest.Put(b, segmenttest.CatalogueOffset, 0)
			return publish(t, p, b)
		}, "catalogue"},
		"unsorted slots": {func(p string) error {
			s := requests(1)
			s.Records = append(s.Records, segmenttest.Counter(9, "b"), segmenttest.Counter(8, "c"))
			return publish(t, p, s.Bytes())
		}, "overlap"},
		"2^32 series": {func(p string) error {
			b := requests(1).Bytes()
			segmenttest.Put(b, layout.OffCatalogueUsed, 32<<32)
			return publish(t, p, b)
		}, "bounds"},
		"sparse and huge": {func(p string) error { return giant(t, p, 8<<20) }, "sparse"},
		"too large":       {func(p string) error { return giant(t, p, 1<<40) }, "too_large"},
		"tiny stripes":    {func(p string) error { return tiny(t, p) }, "sparse"},
	} {
		t.Run(name, func(t *testing.T) {
			f := setUp(t)
			good := requests(2)
			good.PID = 43
			f.publish("good", good)
			require.NoError(t, tt.make(filepath.Join(f.dir, "bad")))
			f.noticed()
			for range 3 {
				assert.Equal(t, map[string]uint64{"requests": 0}, f.one().counters)
				f.src.Commit()
			}
			assert.Equal(t, map[string]int64{tt.reason: 1}, f.tel.skips())
			assert.Equal(t, 1, f.logs.Len(), "%v", f.logs.All())
			assert.Equal(t, []string{"bad", "good"}, f.names())
			assert.Len(t, f.src.readers, 1, "no descriptor is spent on it")
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
	s := requests(1)
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
	b := requests(1).Bytes()
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

func TestHolesPunchedIntoASegmentLaterMakeItSparse(t *testing.T) {
	f := setUp(t)
	s := requests(1)
	s.StripeCount, s.StripesUsed = 64, 64
	s.Records[1].Slot = segmenttest.StripeSize/8 - 1
	live := f.publish("a", s)
	for range 2 {
		assert.Equal(t, map[string]uint64{"requests": 0}, f.one().counters)
	}
	fd, err := unix.Open(live.Path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE,
		segmenttest.StripesOffset, 64*segmenttest.StripeSize))
	f.collect()
	assert.Equal(t, map[string]int64{"sparse": 1}, f.tel.skips())
}

func TestGiantCostsNoMemoryAndNoTime(t *testing.T) {
	f := setUp(t)
	require.NoError(t, giant(t, filepath.Join(f.dir, "giant"), 1<<40))
	f.noticed()
	f.collect()
	assert.Less(t, f.tel.bytes, int64(4096))
	assert.Less(t, cap(f.src.buffers.arena), 4096)
}

func TestSegmentTruncatedUnderTheReaderIsSkipped(t *testing.T) {
	for name, size := range map[string]int64{
		"to nothing": 0, "in the header": 100, "before the stripes": segmenttest.StripesOffset, "in a stripe": segmenttest.StripesOffset + 8,
	} {
		t.Run(name, func(t *testing.T) {
			f := setUp(t)
			live := f.publish("a", requests(1))
			f.one()
			require.NoError(t, os.Truncate(live.Path, size))
			f.collect()
			assert.Equal(t, map[string]int64{"truncated": 1}, f.tel.skips())
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
	f.publish("good", requests(1))
	f.start()
	for range 3 {
		assert.Equal(t, map[string]uint64{"requests": 0}, f.one().counters)
		f.src.Commit()
	}
	assert.Equal(t, map[string]int64{"magic": files}, f.tel.skips())
	assert.EqualValues(t, files, f.tel.states["skipped"])
	assert.Len(t, f.src.readers, 1)

	start := time.Now()
	f.one()
	assert.Less(t, time.Since(start), time.Second, "a scan of them all takes longer where it matters")
}

func TestFloodOfNamesThatOverflowsTheQueueIsFoundByAScan(t *testing.T) {
	f := setUp(t)
	f.publish("a", requests(1))
	other := requests(2)
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
	require.NoError(t, os.WriteFile(path, counting(requests(1), 4), 0o600))
	assert.Equal(t, map[string]uint64{"requests": 4}, f.one().counters)
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
	for name, limits := range map[string]func(*Limits){
		"segments":         func(l *Limits) { l.Segments = 2 },
		"segments per uid": func(l *Limits) { l.SegmentsPerUID = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			f := unstarted(t)
			limits(&f.limits)
			f.renew()
			f.start()
			var lives []*segmenttest.Live
			for i := range 3 {
				s := requests(uint64(i))
				s.PID = uint64(100 + i)
				lives = append(lives, f.publish(fmt.Sprint(i), s))
			}
			for range 3 {
				assert.Len(t, f.collect(), 2)
				f.src.Commit()
			}
			assert.Equal(t, map[string]int64{"limit": 1}, f.tel.skips())
			lives[0].Die()
			for range 2 {
				f.collect() // Final, then Gone
				f.src.Commit()
			}
			assert.Len(t, f.collect(), 2)
			assert.Equal(t, []string{"1", "2"}, f.names())
			assert.Equal(t, map[string]int64{"limit": 1}, f.tel.skips())
		})
	}
}

func TestSeriesBeyondALimitAreLeftOut(t *testing.T) {
	for name, tt := range map[string]struct {
		limits  func(*Limits)
		series  int
		skipped map[string]int64
		waiting map[string]int64
	}{
		"in a segment": {func(l *Limits) { l.SeriesPerSegment = 2 }, 4, map[string]int64{"limit": 2}, map[string]int64{}},
		"in all":       {func(l *Limits) { l.Series = 2 }, 2, map[string]int64{"limit": 1}, map[string]int64{"limit": 1}},
		"of a uid":     {func(l *Limits) { l.SeriesPerUID = 4 }, 4, map[string]int64{"limit": 2}, map[string]int64{}},
	} {
		t.Run(name, func(t *testing.T) {
			f := unstarted(t)
			tt.limits(&f.limits)
			f.renew()
			f.start()
			var lives []*segmenttest.Live
			for i := range 2 {
				s := requests(uint64(i))
				s.PID = uint64(100 + i)
				s.Records = append(s.Records[:2:2], segmenttest.Counter(2, "b"), segmenttest.Counter(3, "c"))
				lives = append(lives, f.publish(fmt.Sprint(i), s))
			}
			for range 3 {
				series := 0
				for _, p := range f.collect() {
					series += len(p.counters)
				}
				assert.Equal(t, tt.series, series)
				f.src.Commit()
			}
			assert.Equal(t, tt.skipped, f.tel.series)
			assert.Equal(t, tt.waiting, f.tel.skips())

			lives[0].Die()
			for range 2 {
				f.collect()
				f.src.Commit()
			}
			assert.NotEmpty(t, f.one().counters, "what waited is delivered when there is room")
		})
	}
}

func TestLongSeriesTakeMoreOfALimit(t *testing.T) {
	for name, limits := range map[string]func(*Limits){
		"series":             func(l *Limits) { l.Series = 9 },
		"series per uid":     func(l *Limits) { l.SeriesPerUID = 9 },
		"series per segment": func(l *Limits) { l.SeriesPerSegment = 9 },
	} {
		t.Run(name, func(t *testing.T) {
			f := unstarted(t)
			limits(&f.limits)
			f.renew()
			f.start()
			s := requests(1)
			s.Records = s.Records[:1:1]
			for i := range 5 {
				s.Records = append(s.Records, segmenttest.Counter(uint64(1+i), "long", segmenttest.Int("i", int64(i)),
					segmenttest.Str("k", strings.Repeat("v", 1000)), segmenttest.Str("l", strings.Repeat("v", 1000))))
			}
			live := f.publish("a", s)
			assert.Len(t, f.one().order, 3, "each counts as two more for its 2 KiB")
			assert.Equal(t, map[string]int64{"limit": 2}, f.tel.series)
			f.src.Commit()
			live.Die()
			for range 2 {
				f.collect()
				f.src.Commit()
			}
			assert.Zero(t, f.src.series)
			assert.Empty(t, f.src.owners)
		})
	}
}

func TestSeriesLeftOutForALimitAreLoggedOnceASegment(t *testing.T) {
	f := unstarted(t)
	f.limits.SeriesPerSegment = 1
	f.renew()
	f.start()
	for i := range 2 {
		s := requests(uint64(i))
		s.PID = uint64(100 + i)
		s.Records = append(s.Records, segmenttest.Counter(2, "b"))
		live := f.publish(fmt.Sprint(i), s)
		f.collect()
		live.Add(segmenttest.Counter(3, "c"))
	}
	f.collect()
	assert.Equal(t, map[string]int64{"limit": 4}, f.tel.series)
	assert.Equal(t, 2, f.logs.Len(), "%v", f.logs.All())
	for i, entry := range f.logs.All() {
		assert.Contains(t, entry.Message, "limit")
		assert.Equal(t, fmt.Sprint(i), entry.ContextMap()["name"])
	}
}

func TestSegmentThatWaitsForRoomForSeriesIsLoggedOnce(t *testing.T) {
	f := unstarted(t)
	f.limits.Series = 1
	f.renew()
	f.start()
	f.publish("0", requests(0))
	s := requests(1)
	s.PID = 43
	f.publish("1", s)
	for range 3 {
		f.one()
	}
	assert.Equal(t, map[string]int64{"limit": 1}, f.tel.skips())
	assert.Equal(t, 1, f.logs.Len(), "%v", f.logs.All())
}

func TestExhaustedDescriptorsStopNothingElse(t *testing.T) {
	f := setUp(t)
	f.publish("a", requests(1))
	var old unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	other := requests(2)
	other.PID = 43
	hidden, err := segmenttest.Publish(f.dir, ".hidden", other.Bytes())
	require.NoError(t, err)
	t.Cleanup(hidden.Die)

	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: old.Max}))
	renamed := os.Rename(hidden.Path, filepath.Join(f.dir, "b"))
	var s sink
	require.Eventually(t, func() bool { return f.tel.skips()["fd_limit"] == 1 }, 10*time.Second, time.Millisecond)
	collected := f.src.Collect(context.Background(), &s)
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &old))

	require.NoError(t, renamed)
	require.NoError(t, collected)
	assert.Len(t, s.processes, 1)
	assert.Len(t, f.collect(), 2)
	assert.Equal(t, map[string]int64{"fd_limit": 1}, f.tel.skips())
}

func TestSegmentsLeaveDescriptorsToTheRestOfTheCollector(t *testing.T) {
	f := unstarted(t)
	require.NoError(t, os.Mkdir(f.dir, 0o755))
	const segments = 150
	var lives []*segmenttest.Live
	for i := range segments {
		s := requests(uint64(i))
		s.PID = uint64(100 + i)
		lives = append(lives, f.publish(fmt.Sprint(i), s))
	}
	var old unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 128, Max: old.Max}))
	defer func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &old)) }()

	f.start()
	waiting := f.tel.skips()
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
	assert.Equal(t, waiting, f.tel.skips(), "each is counted once")
}

func TestDirectoryThatCannotBeListedIsWarnedAboutOnce(t *testing.T) {
	f := setUp(t)
	f.publish("a", requests(1))
	var old unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: old.Max}))
	f.src.rescan = true
	for range 3 {
		assert.NoError(t, f.src.Collect(context.Background(), &sink{}))
	}
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &old))
	assert.Equal(t, 1, f.logs.FilterMessageSnippet("Cannot list").Len())
	f.one()
	assert.False(t, f.src.rescan)
}

func TestHiddenNamesAreNotSegments(t *testing.T) {
	f := setUp(t)
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, ".a"), requests(1).Bytes(), 0o600))
	f.restart()
	assert.Empty(t, f.collect())
	assert.Empty(t, f.tel.skips())
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
