package uring

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
	"github.com/hotpath-metrics/hotpath/internal/source/uring/uringtest"
)

// BenchmarkReaper reads what many clients have posted, in batches of 64 each, as one turn does.
func BenchmarkReaper(b *testing.B) {
	const batch = 64
	for _, rings := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("rings=%d", rings), func(b *testing.B) {
			f := setUp(b)
			records := make([]segmenttest.Record, 100)
			for i := range records {
				records[i] = segmenttest.Counter(uint64(i+1), "requests", segmenttest.Int("i", int64(i)))
			}
			words := make([]uringtest.Word, batch)
			for i := range words {
				words[i] = uringtest.Word{Index: int32(i + 1), Value: 1}
			}
			clients := make([]*uringtest.Client, rings)
			for i := range clients {
				clients[i] = f.connect(anyone(), records...)
			}
			f.mu.Lock() // the waiting goroutine leaves the rings alone
			defer f.mu.Unlock()
			var took time.Duration
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				for _, c := range clients {
					require.NoError(b, c.Flood(words...))
				}
				before := f.hub.read
				b.StartTimer()
				began := time.Now()
				f.hub.drainAll(began)
				took += time.Since(began)
				if n := f.hub.read - before; n != int64(rings*batch) {
					b.Fatalf("read %d of %d", n, rings*batch)
				}
			}
			b.ReportMetric(float64(took.Nanoseconds())/float64(b.N)/float64(rings*batch), "ns/message")
		})
	}
}
