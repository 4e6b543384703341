package shm

import (
	"math"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// sum adds up all segments that have the series.
func (e *entry) sum() uint64 {
	total := e.from.stripes[e.slot]
	for _, m := range e.more {
		total += m.from.stripes[m.slot]
	}
	return total
}

// newest is the gauge of the segment that started last, among those that were set.
func (e *entry) newest() (value float64, ok bool) {
	bits := e.from.shared[e.slot]
	start := e.from.header.StartTime
	for _, m := range e.more {
		other := m.from.shared[m.slot]
		if other == layout.GaugeUnset {
			continue
		}
		if bits == layout.GaugeUnset || m.from.header.StartTime > start {
			bits, start = other, m.from.header.StartTime
		}
	}
	return math.Float64frombits(bits), bits != layout.GaugeUnset
}

// histogram adds up all segments, in scratch if there are several.
func (e *entry) histogram(scratch *[layout.HistogramBuckets]uint64) emit.HistogramValue {
	words := e.from.stripes[e.slot:][:layout.HistogramWords]
	h := emit.HistogramValue{
		Sum:       math.Float64frombits(words[layout.HistogramSum]),
		ZeroCount: words[layout.HistogramZero],
		Buckets:   (*[layout.HistogramBuckets]uint64)(words[layout.HistogramFirstBucket:]),
	}
	if len(e.more) == 0 {
		return h
	}
	*scratch = *h.Buckets
	h.Buckets = scratch
	for _, m := range e.more {
		words := m.from.stripes[m.slot:][:layout.HistogramWords]
		h.Sum += math.Float64frombits(words[layout.HistogramSum])
		h.ZeroCount += words[layout.HistogramZero]
		for i, n := range words[layout.HistogramFirstBucket:] {
			scratch[i] += n
		}
	}
	return h
}

// nameOnly hands over a series whose value does not matter any more.
func nameOnly(sink emit.Sink, s *emit.Series, scratch *[layout.HistogramBuckets]uint64) {
	switch s.Instrument.Kind {
	case emit.KindCounter:
		sink.Counter(s, 0)
	case emit.KindUpDownCounter:
		sink.UpDownCounter(s, 0)
	case emit.KindGauge:
		sink.Gauge(s, 0)
	case emit.KindHistogram:
		*scratch = [layout.HistogramBuckets]uint64{}
		sink.Histogram(s, &emit.HistogramValue{Buckets: scratch})
	}
}
