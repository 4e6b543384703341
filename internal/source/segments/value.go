package segments

import (
	"math"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// part is where one segment keeps a series, or what was recorded of it into the segment's rings.
type part struct {
	from     *Segment
	slot     int
	recorded *recorded // nil where the slot counts
}

// Total implements [merge.Part].
func (p part) Total() uint64 {
	if p.recorded != nil {
		return p.recorded.value
	}
	return p.from.stripes[p.slot]
}

// Gauge implements [merge.Part]. What was recorded last is the most recent, and if nothing was what the segment has that started last:
// nobody knows when it was set.
func (p part) Gauge() (value float64, recent int64, ok bool) {
	if p.recorded != nil {
		return p.recorded.gauge()
	}
	bits := p.from.shared[p.slot]
	return math.Float64frombits(bits), p.from.header.StartTime, bits != layout.GaugeUnset
}

// Histogram implements [merge.Part].
func (p part) Histogram(buckets *[layout.HistogramBuckets]uint64) emit.HistogramValue {
	if p.recorded != nil {
		return p.recorded.histogram(buckets)
	}
	words := p.from.stripes[p.slot:][:layout.HistogramWords]
	return emit.HistogramValue{
		Sum:       math.Float64frombits(words[layout.HistogramSum]),
		ZeroCount: words[layout.HistogramZero],
		Buckets:   (*[layout.HistogramBuckets]uint64)(words[layout.HistogramFirstBucket:]),
	}
}
