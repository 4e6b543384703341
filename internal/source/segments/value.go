package segments

import (
	"math"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// part is where one segment keeps a series.
type part struct {
	from *Segment
	slot int
}

// Total implements [merge.Part].
func (p part) Total() uint64 { return p.from.stripes[p.slot] }

// Gauge implements [merge.Part]. The segment that started last has the most recent one.
func (p part) Gauge() (value float64, recent int64, ok bool) {
	bits := p.from.shared[p.slot]
	return math.Float64frombits(bits), p.from.header.StartTime, bits != layout.GaugeUnset
}

// Histogram implements [merge.Part].
func (p part) Histogram(*[layout.HistogramBuckets]uint64) emit.HistogramValue {
	words := p.from.stripes[p.slot:][:layout.HistogramWords]
	return emit.HistogramValue{
		Sum:       math.Float64frombits(words[layout.HistogramSum]),
		ZeroCount: words[layout.HistogramZero],
		Buckets:   (*[layout.HistogramBuckets]uint64)(words[layout.HistogramFirstBucket:]),
	}
}
