package page_test

import (
	"testing"

	"github.com/hotpath-metrics/hotpath/internal/source/userevents/page"
)

// full is a sub-buffer of 4 KiB of equal small events, as a busy writer fills it.
func full(words int) ([]byte, int) {
	s := subBuffer{time: 1 << 50}
	n := (4096 - 16) / (4 + 8 + 4*words)
	for range n {
		s.words(head(uint32(2+words), 300)).record(1500, 4711, make([]uint32, words)...)
	}
	return s.bytes(), n
}

// BenchmarkCapturedUpdates adds up the numbers of hotpath's own events in a page that a kernel gave out.
func BenchmarkCapturedUpdates(b *testing.B) {
	sub := capture(b, "state")
	var p page.Page
	var sum, events uint64
	b.ReportAllocs()
	for b.Loop() {
		p.Reset(sub)
		for p.Next() {
			sum += updateNumber(p.Record)
			events++
		}
	}
	if sum != events*27/2 {
		b.Fatal(sum, events)
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds()/1e6, "Mevents/s")
}

// BenchmarkEvents counts the events of a page by their format, as a handler of a counter does.
func BenchmarkEvents(b *testing.B) {
	for _, c := range []struct {
		name  string
		words int
	}{{"16-bytes", 1}, {"32-bytes", 5}, {"96-bytes", 21}} {
		b.Run(c.name, func(b *testing.B) {
			sub, n := full(c.words)
			var counts [4096]uint64
			var p page.Page
			events := 0
			b.ReportAllocs()
			for b.Loop() {
				p.Reset(sub)
				for p.Next() {
					counts[p.ID&4095] += uint64(ne.Uint32(p.Record[8:])) + 1
				}
				if p.Err() != nil {
					b.Fatal(p.Err())
				}
				events += n
			}
			if counts[1500] != uint64(events) {
				b.Fatalf("%d of %d events", counts[1500], events)
			}
			b.ReportMetric(float64(events)/b.Elapsed().Seconds()/1e6, "Mevents/s")
		})
	}
}
