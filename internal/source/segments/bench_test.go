package segments

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/quota"
	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
	"github.com/hotpath-metrics/hotpath/internal/source"
)

// BenchmarkDrain reads and aggregates measurements of a counter and of a histogram with two attributes each, of which there are so many sets.
func BenchmarkDrain(b *testing.B) {
	for name, sets := range map[string]int{"10 sets": 10, "1000 sets": 1000, "more sets than there is room for": 50000} {
		b.Run(name, func(b *testing.B) {
			dir, err := os.MkdirTemp("/dev/shm", "hotpath-bench-")
			if err != nil {
				b.Skipf("needs tmpfs at /dev/shm: %v", err)
			}
			defer os.RemoveAll(dir)
			s := recording(1)
			s.RingWords = 1 << 19
			live, err := segmenttest.Publish(dir, "a", s.Bytes())
			require.NoError(b, err)
			defer live.Die()
			set := New(Limits{
				Limits:      quota.Limits{Segments: 1, SegmentsPerUID: 1, Series: 1 << 20, SeriesPerUID: 1 << 20, SeriesPerSegment: 10000},
				SegmentSize: 64 << 20,
			}, zap.NewNop(), source.Ignored{})
			defer set.Close()
			fd, err := unix.Open(live.Path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			require.NoError(b, err)
			var st unix.Stat_t
			require.NoError(b, unix.Fstat(fd, &st))
			seg, err := set.Admit(fd, &st, st.Uid, &origin{})
			require.NoError(b, err)
			written, measurements := live.Ring(0), 0
			for ; written.Head.Load() < 1<<18; measurements += 2 {
				method, code := str("method", "GET"), segmenttest.Int("code", int64(measurements/2%sets))
				written.Record(calls.Of(1, method, code))
				written.Record(latency.OfDouble(float64(1+measurements%100)/1000, 0, method, code))
			}
			set.DrainRings()
			b.ReportAllocs()
			for b.Loop() {
				seg.recorded.rings[0] = segment.Position{}
				set.DrainRings()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*measurements), "ns/measurement")
		})
	}
}
