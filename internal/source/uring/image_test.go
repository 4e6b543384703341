package uring

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
	"github.com/hotpath-metrics/hotpath/internal/source/uring/ring"
)

func entriesOf(indexes ...int32) (batch []ring.Entry) {
	for i, index := range indexes {
		batch = append(batch, ring.Entry{Data: uint64(i + 1), Res: index})
	}
	return batch
}

func newTestImage(t testing.TB, limit int64) *image {
	t.Helper()
	h := anyone()
	h.Catalogue, h.Shared, h.Stripe = 4096, 8192, 1<<20
	said, err := parseHello(h.Bytes())
	require.NoError(t, err)
	m, fd, err := newImage(&said, 7, newMemory(limit))
	require.NoError(t, err)
	alive, err := segments.Alive(fd)
	require.NoError(t, err)
	assert.True(t, alive, "the mapping has the lock")
	t.Cleanup(func() {
		if m.memory != nil {
			m.close()
		}
		alive, err := segments.Alive(fd)
		require.NoError(t, err)
		assert.False(t, alive)
		m.abandon(fd)
		assert.Zero(t, m.budget.sum)
	})
	return m
}

func TestImageTakesMemoryOnlyForWhatIsUsed(t *testing.T) {
	m := newTestImage(t, 1<<20)
	assert.EqualValues(t, 2*pageSize, m.charged, "header and catalogue")
	require.NoError(t, m.append(record{bytes: segmenttest.Gauge(1, "g").Append(nil), kind: layout.KindGauge, end: 2}))
	assert.EqualValues(t, 3*pageSize, m.charged)
	assert.EqualValues(t, uint64(layout.GaugeUnset), m.shared.words[1])
	assert.EqualValues(t, uint64(layout.GaugeUnset), m.shared.words[511])
	var r received
	m.apply(entriesOf(3, 1<<29+1, 600, 1<<29+600, 511, 1<<30, 1<<30+3, 1<<30+4, 1<<30+5, -1, 1<<17, 1<<29+1024), &r)
	assert.EqualValues(t, []uint64{1, 3, 5}, []uint64{m.stripe.words[3], m.stripe.words[600], m.stripe.words[511]})
	assert.EqualValues(t, []uint64{2, 4}, []uint64{m.shared.words[1], m.shared.words[600]})
	assert.EqualValues(t, uint64(layout.GaugeUnset), m.shared.words[1023])
	assert.Equal(t, received{noWord: 4, complete: true}, r)
	assert.EqualValues(t, 6*pageSize, m.charged)
}

func TestImageKeepsToItsBudget(t *testing.T) {
	m := newTestImage(t, 4*pageSize)
	require.NoError(t, m.append(record{bytes: segmenttest.Counter(5000, "c").Append(nil), kind: layout.KindCounter, end: 5001}), "the record is there all the same")
	var r received
	m.apply(entriesOf(5000, 1, 2000), &r)
	assert.Equal(t, received{noMemory: 2}, r)
	assert.EqualValues(t, 2, m.stripe.words[1])
	assert.ErrorIs(t, m.append(record{bytes: make([]byte, 4096)}), segment.ErrBounds)
}

func BenchmarkApply(b *testing.B) {
	m := newTestImage(b, 1<<20)
	batch := make([]ring.Entry, 1024)
	for i := range batch {
		batch[i] = ring.Entry{Data: uint64(i), Res: int32(i * 7 % 2000)}
	}
	var r received
	b.ReportAllocs()
	for b.Loop() {
		m.apply(batch, &r)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1024, "ns/message")
}
