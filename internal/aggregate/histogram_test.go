package aggregate

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/internal/emit"
)

type buckets = [segment.HistogramBuckets]uint64

func TestHistogramsOfDifferentSpansAddUp(t *testing.T) {
	var h histogram
	for _, b := range []buckets{{}, {200: 1, 202: 2}, {100: 3, 201: 1}, {511: 4}, {0: 5, 200: 1}, {}} {
		h.add(&emit.HistogramValue{Sum: 0.5, ZeroCount: 1, Buckets: &b})
	}
	got := emit.HistogramValue{Buckets: &buckets{7: 9}}
	h.get(&got)
	require.Equal(t, buckets{0: 5, 100: 3, 200: 2, 201: 1, 202: 2, 511: 4}, *got.Buckets)
	require.Equal(t, 3.0, got.Sum)
	require.EqualValues(t, 6, got.ZeroCount)
}

func TestGrowthIsPerBucket(t *testing.T) {
	var last histogram
	last.set(&emit.HistogramValue{Sum: 4, ZeroCount: 1, Buckets: &buckets{10: 2, 20: 5}})
	got := emit.HistogramValue{Buckets: new(buckets)}
	counted, changed := growth(&emit.HistogramValue{Sum: 6, ZeroCount: 3, Buckets: &buckets{9: 1, 10: 1, 20: 6, 30: 1}}, &last, &got)
	require.True(t, counted)
	require.True(t, changed)
	require.Equal(t, emit.HistogramValue{Sum: 2, ZeroCount: 2, Buckets: &buckets{9: 1, 20: 1, 30: 1}}, got)
}

func TestTotalsStopAtTheLargest(t *testing.T) {
	require.Equal(t, uint64(1<<64-1), add(1<<64-2, 5))
	require.EqualValues(t, 5, add(2, 3))
}
