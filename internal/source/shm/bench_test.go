package shm

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
	"github.com/hotpath-metrics/hotpath/internal/source/segments/segmentstest"
)

// publishMany makes 1,000 live segments of 100 counters in two stripes, ten instruments of ten series.
func publishMany(b *testing.B) (*source, func()) {
	dir := filepath.Join(tmpfs(b), "hotpath")
	cfg := DefaultConfig()
	cfg.Directory = dir
	s := New(cfg, wide, zap.NewNop(), segmentstest.NewTelemetry()).(*source)
	require.NoError(b, s.Start(context.Background(), nil))
	var lives []*segmenttest.Live
	for i := range 1000 {
		records := []segmenttest.Record{segmenttest.Resource(segmenttest.Str("service.name", "bench"))}
		for n := range 100 {
			records = append(records, segmenttest.Counter(uint64(1+n), fmt.Sprint("requests", n/10), segmenttest.Int("shard", int64(n%10))))
		}
		live, err := segmenttest.Publish(dir, fmt.Sprint(i), segmenttest.Segment{
			PID: uint64(1 + i), ID: uint64(i), StripesUsed: 2, Records: records,
		}.Bytes())
		require.NoError(b, err)
		lives = append(lives, live)
	}
	require.NoError(b, s.Collect(context.Background(), emittest.Discard{}))
	s.mu.Lock()
	s.scan() // whatever the watch has not told yet
	s.mu.Unlock()
	require.NoError(b, s.Collect(context.Background(), emittest.Discard{}))
	require.Equal(b, 1000, s.set.Len())
	return s, func() {
		for _, l := range lives {
			l.Die()
		}
		require.NoError(b, s.Shutdown(context.Background()))
	}
}

// BenchmarkCollect reads everything, and hands it to nobody.
func BenchmarkCollect(b *testing.B) {
	s, end := publishMany(b)
	defer end()
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		require.NoError(b, s.Collect(context.Background(), emittest.Discard{}))
		s.Commit()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100_000, "ns/series")
}

// BenchmarkCollectAndBuild makes pdata of what was read.
func BenchmarkCollectAndBuild(b *testing.B) {
	s, end := publishMany(b)
	defer end()
	builder := emit.NewBuilder("1", pmetric.AggregationTemporalityCumulative)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		builder.Begin(1000)
		require.NoError(b, s.Collect(context.Background(), builder))
		if _, points := builder.Take(); points != 100_000 {
			b.Fatal(points)
		}
		s.Commit()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100_000, "ns/series")
}

// BenchmarkBuildFromSlice makes the same pdata of values that are at hand: the
// budget of BenchmarkCollectAndBuild is twice its time.
func BenchmarkBuildFromSlice(b *testing.B) {
	values := make([]int64, 100)
	b.ReportAllocs()
	for b.Loop() {
		batch := pmetric.NewMetrics()
		batch.ResourceMetrics().EnsureCapacity(1000)
		for i := range 1000 {
			rm := batch.ResourceMetrics().AppendEmpty()
			rm.Resource().Attributes().PutStr("service.name", "bench")
			rm.Resource().Attributes().PutStr("service.instance.id", "00000000-0000-0000-0000-000000000000")
			rm.Resource().Attributes().PutStr("process.executable.name", "shm.test")
			rm.Resource().Attributes().PutInt("process.pid", int64(i))
			sm := rm.ScopeMetrics().AppendEmpty()
			sm.Scope().SetName("bench")
			sm.Metrics().EnsureCapacity(10)
			for n := range 10 {
				m := sm.Metrics().AppendEmpty()
				m.SetName("requests")
				m.SetUnit("1")
				sum := m.SetEmptySum()
				sum.SetIsMonotonic(true)
				sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
				sum.DataPoints().EnsureCapacity(10)
				for k := range 10 {
					point := sum.DataPoints().AppendEmpty()
					point.SetStartTimestamp(1000)
					point.SetTimestamp(2000)
					point.SetIntValue(values[n*10+k])
					point.Attributes().PutInt("shard", int64(k))
				}
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100_000, "ns/series")
}
