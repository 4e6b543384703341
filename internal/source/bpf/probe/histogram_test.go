package probe

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/internal/aggregate"
)

// The events of a probe, of which package aggregate makes a histogram, are the oracle.
func TestTheKernelsBucketsAreThoseOfEvents(t *testing.T) {
	values := []int64{0, 1, 2, 3, 1023, 1024, 1025, 1<<31 - 1, 1 << 34, 1<<34 + 1, 1 << 55}
	for range 50 {
		values = append(values, rand.Int64()>>(8+rand.IntN(55))) // the sum of all is in bounds
	}
	scales := []string{"1", "1.0e-9", "1024", "0.5", "0.1", "1.0e-300", "1.0e+40"}
	if testing.Short() {
		scales = scales[:2]
	}
	yaml := ""
	for i, scale := range scales {
		for _, mode := range []string{modeAggregate, modeEvents} {
			yaml += fmt.Sprintf("- metric: {name: n%d.%s, type: histogram}\n  value: arg0\n  scale: %s\n  mode: %s\n", i, mode, scale, mode) + onRaw
		}
	}
	f, p := recorded(t, yaml, values...)
	for i, scale := range scales {
		want, got := p.Histograms[fmt.Sprintf("n%d.events", i)], p.Histograms[fmt.Sprintf("n%d.aggregate", i)]
		require.EqualValues(t, len(values), want.Count, scale)
		require.Equal(t, want.Buckets, got.Buckets, scale)
		require.Equal(t, want.Zero, got.Zero, scale)
		require.InEpsilon(t, want.Sum, got.Sum, 1e-12, scale)
	}
	require.Empty(t, f.tel.skipped)
}

func TestDurationsAreInTheBucketsOfTheirSeconds(t *testing.T) {
	f := start(t, `
- metric: {name: d, type: histogram, unit: s}
  uprobe: {binary: '${target}', symbol: slow}
  value: duration
`)
	run(t, "target", "slow", "2000", "slow", "2000", "slow", "50000")
	h := only(t, f.collect()).Histograms["d"]
	require.EqualValues(t, 3, h.Count)
	assert.Greater(t, h.Sum, 0.054)
	assert.Less(t, h.Sum, 1.0)
	below, _ := segment.BucketIndex(0.0019)
	for _, n := range h.Buckets[:below] {
		assert.Zero(t, n)
	}
}

// maxRecorded is the largest value that probe.bpf.c records (SUM_MAX).
const maxRecorded = 1 << 62

// checkThresholds says that a value's bucket is the last whose threshold it reaches.
func checkThresholds(t *testing.T, scale aggregate.Scale, all *[segment.HistogramBuckets]uint64, v uint64) {
	t.Helper()
	scaled := scale.Double(float64(v))
	if v == 0 || v > maxRecorded || scaled == 0 || math.IsInf(scaled, 0) {
		return
	}
	want, _ := segment.BucketIndex(scaled)
	got := 0
	for step := segment.HistogramBuckets / 2; step > 0; step /= 2 { // as probe.bpf.c does
		if all[got+step] <= v {
			got += step
		}
	}
	require.Equal(t, want, got, "%d, scaled %v", v, scaled)
}

func TestHostThresholdsAreThoseOfTheScaledBuckets(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, factor := range []float64{1, 1e-9, 1e-6, 1e-3, 1024, 0.5, 0.1, 3, 1e9, 1e-30, 1e30, math.SmallestNonzeroFloat64, math.MaxFloat64} {
		scale := aggregate.NewScale(factor)
		all := thresholds(scale)
		for i, at := range all {
			if i > 0 {
				require.GreaterOrEqual(t, at, all[i-1], factor)
			}
			checkThresholds(t, scale, &all, at)
			checkThresholds(t, scale, &all, at-1)
		}
		for range 5000 {
			checkThresholds(t, scale, &all, random.Uint64()>>random.IntN(64))
		}
	}
}

func FuzzThresholds(f *testing.F) {
	f.Add(1e-9, uint64(1500))
	f.Add(1024.0, uint64(1<<40))
	f.Fuzz(func(t *testing.T, factor float64, v uint64) {
		if math.IsNaN(factor) || math.IsInf(factor, 0) || factor <= 0 {
			return
		}
		scale := aggregate.NewScale(factor)
		all := thresholds(scale)
		checkThresholds(t, scale, &all, v)
	})
}

func BenchmarkThresholds(b *testing.B) {
	for b.Loop() {
		thresholds(aggregate.NewScale(1e-9))
	}
}
