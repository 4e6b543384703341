package segments

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/quota"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
	"github.com/hotpath-metrics/hotpath/internal/source/segments/segmentstest"
)

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
			f := setUp(t, tt.limits)
			var lives []*segmenttest.Live
			for i := range 2 {
				s := segmentstest.Requests(uint64(i))
				s.PID = uint64(100 + i)
				s.Records = append(s.Records[:2:2], segmenttest.Counter(2, "b"), segmenttest.Counter(3, "c"))
				lives = append(lives, f.publish(fmt.Sprint(i), s))
			}
			for range 3 {
				series := 0
				for _, p := range f.collect() {
					series += len(p.Counters)
				}
				assert.Equal(t, tt.series, series)
				f.set.Commit()
			}
			assert.Equal(t, tt.skipped, f.tel.Series)
			assert.Equal(t, tt.waiting, f.tel.Skipped())

			lives[0].Die()
			for range 2 {
				f.collect()
				f.set.Commit()
			}
			assert.NotEmpty(t, f.one().Counters, "what waited is delivered when there is room")
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
			f := setUp(t, limits)
			s := segmentstest.Requests(1)
			s.Records = s.Records[:1:1]
			for i := range 5 {
				s.Records = append(s.Records, segmenttest.Counter(uint64(1+i), "long", segmenttest.Int("i", int64(i)),
					segmenttest.Str("k", strings.Repeat("v", 1000)), segmenttest.Str("l", strings.Repeat("v", 1000))))
			}
			live := f.publish("a", s)
			assert.Len(t, f.one().Order, 3, "each counts as two more for its 2 KiB")
			assert.Equal(t, map[string]int64{"limit": 2}, f.tel.Series)
			f.set.Commit()
			live.Die()
			for range 2 {
				f.collect()
				f.set.Commit()
			}
			assert.Equal(t, quota.New(f.set.limits.Limits), f.set.quota)
		})
	}
}

func TestSeriesLeftOutForALimitAreLoggedOnceASegment(t *testing.T) {
	f := setUp(t, func(l *Limits) { l.SeriesPerSegment = 1 })
	for i := range 2 {
		s := segmentstest.Requests(uint64(i))
		s.PID = uint64(100 + i)
		s.Records = append(s.Records, segmenttest.Counter(2, "b"))
		live := f.publish(fmt.Sprint(i), s)
		f.collect()
		live.Add(segmenttest.Counter(3, "c"))
	}
	f.collect()
	assert.Equal(t, map[string]int64{"limit": 4}, f.tel.Series)
	assert.Equal(t, 2, f.logs.Len(), "%v", f.logs.All())
	for i, entry := range f.logs.All() {
		assert.Contains(t, entry.Message, "limit")
		assert.Equal(t, fmt.Sprint(i), entry.ContextMap()["name"])
	}
}

func TestSegmentThatWaitsForRoomForSeriesIsLoggedOnce(t *testing.T) {
	f := setUp(t, func(l *Limits) { l.Series = 1 })
	f.publish("0", segmentstest.Requests(0))
	s := segmentstest.Requests(1)
	s.PID = 43
	f.publish("1", s)
	for range 3 {
		f.one()
	}
	assert.Equal(t, map[string]int64{"limit": 1}, f.tel.Skipped())
	assert.Equal(t, 1, f.logs.Len(), "%v", f.logs.All())
}

func TestHolesPunchedIntoASegmentLaterMakeItSparse(t *testing.T) {
	f := setUp(t)
	s := segmentstest.Requests(1)
	s.StripeCount, s.StripesUsed = 64, 64
	s.Records[1].Slot = segmenttest.StripeSize/8 - 1
	live := f.publish("a", s)
	for range 2 {
		assert.Equal(t, map[string]uint64{"requests": 0}, f.one().Counters)
	}
	fd, err := unix.Open(live.Path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE,
		segmenttest.StripesOffset, 64*segmenttest.StripeSize))
	f.collect()
	assert.Equal(t, map[string]int64{"sparse": 1}, f.tel.Skipped())
}
