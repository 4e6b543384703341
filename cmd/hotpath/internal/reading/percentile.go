package reading

import (
	"math"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

// percentiles of a histogram of which zero values are zero. All values of a bucket lie between its bounds; how, nobody knows: they are taken to be
// spread evenly on a logarithmic scale, as the buckets are.
func percentiles(zero uint64, buckets []uint64, offset int) Percentiles {
	count := float64(zero)
	for _, n := range buckets {
		count += float64(n)
	}
	if count == 0 {
		return Percentiles{math.NaN(), math.NaN(), math.NaN()}
	}
	at := func(q float64) float64 { return quantile(q*count, zero, buckets, offset) }
	return Percentiles{at(0.50), at(0.90), at(0.99)}
}

func quantile(rank float64, zero uint64, buckets []uint64, offset int) float64 {
	rank -= float64(zero)
	if rank <= 0 {
		return 0
	}
	last := len(buckets) - 1
	for i, n := range buckets {
		if rank <= float64(n) || i == last {
			within := min(rank/float64(n), 1)
			return math.Exp2((float64(offset+i) + within) / (1 << segment.HistogramScale))
		}
		rank -= float64(n)
	}
	return 0
}
