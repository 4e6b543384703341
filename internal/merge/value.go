package merge

import "github.com/hotpath-metrics/hotpath/internal/emit"

func (e *entry[P]) total() uint64 {
	total := e.part.Total()
	for _, p := range e.more {
		total += p.Total()
	}
	return total
}

// newest is the most recent of the gauges that were set.
func (e *entry[P]) newest() (value float64, ok bool) {
	value, recent, ok := e.part.Gauge()
	for _, p := range e.more {
		if v, r, set := p.Gauge(); set && (!ok || r > recent) {
			value, recent, ok = v, r, true
		}
	}
	return value, ok
}

// histogram adds up all parts, in scratch if there are several.
func (e *entry[P]) histogram(scratch *Scratch) emit.HistogramValue {
	h := e.part.Histogram(&scratch.sum)
	if len(e.more) == 0 {
		return h
	}
	if h.Buckets != &scratch.sum {
		scratch.sum = *h.Buckets
		h.Buckets = &scratch.sum
	}
	for _, p := range e.more {
		other := p.Histogram(&scratch.part)
		h.Sum += other.Sum
		h.ZeroCount += other.ZeroCount
		for i, n := range other.Buckets {
			scratch.sum[i] += n
		}
	}
	return h
}
