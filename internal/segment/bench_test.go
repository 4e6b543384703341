package segment_test

import (
	"fmt"
	"testing"

	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
)

// BenchmarkParse parses a catalogue of 1000 series: good ones, and ones that are left out since their keys do not ascend.
func BenchmarkParse(b *testing.B) {
	for _, bench := range []struct{ name, key string }{{"good", "route"}, {"left out", "zone"}} {
		b.Run(bench.name, func(b *testing.B) {
			records := []segmenttest.Record{segmenttest.Resource(segmenttest.Str("service.name", "shop"))}
			for i := range 1000 {
				records = append(records, segmenttest.Counter(uint64(1+i), "http.server.requests",
					segmenttest.Str(bench.key, fmt.Sprintf("/orders/%d", i)), segmenttest.Int("status", 200)))
			}
			catalogue := encode(records...)
			b.SetBytes(int64(len(catalogue)))
			b.ReportAllocs()
			for b.Loop() {
				c := segment.NewCatalogue(&testHeader)
				if err := c.Parse(catalogue, int64(len(catalogue)), manySeries); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
