package aggregate

import "github.com/hotpath-metrics/hotpath/internal/emit"

// beyond is what a total has beyond its series' bases.
func beyond(s *emit.Series, total uint64) uint64 {
	for _, b := range s.Bases {
		total = grown(total, b.Total)
	}
	return total
}

// histogramBeyond is the same of a histogram: value itself, or what it writes into v.
func histogramBeyond(s *emit.Series, value, v *emit.HistogramValue) *emit.HistogramValue {
	for _, b := range s.Bases {
		if b.ZeroCount == 0 && len(b.Buckets) == 0 {
			continue
		}
		if value != v {
			v.Sum, v.ZeroCount, *v.Buckets = value.Sum, value.ZeroCount, *value.Buckets
			value = v
		}
		v.Sum -= b.Sum
		v.ZeroCount = grown(v.ZeroCount, b.ZeroCount)
		for i, n := range b.Buckets {
			v.Buckets[b.First+i] = grown(v.Buckets[b.First+i], n)
		}
	}
	return value
}
