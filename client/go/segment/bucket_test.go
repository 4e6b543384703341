package segment

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// atMost reports, exactly, whether v <= 2^(n/8): v^8 <= 2^n.
func atMost(v float64, n int) bool {
	power := new(big.Float).SetPrec(53 * 8).SetFloat64(v)
	for range 3 {
		power.Mul(power, power)
	}
	bound := new(big.Float).SetMantExp(big.NewFloat(1), n)
	return power.Cmp(bound) <= 0
}

func TestBucketsEndAtTheLargestDoubleUpToTheirBound(t *testing.T) {
	for i := range HistogramBuckets {
		bound, n := BucketUpperBound(i), i+HistogramOffset+1
		after := math.Nextafter(bound, math.Inf(1))
		if !atMost(bound, n) || atMost(after, n) {
			t.Errorf("bucket %d: upper bound %v is not the largest double <= 2^(%d/8)", i, bound, n)
		}
		if got, clamped := BucketIndex(bound); got != i || clamped {
			t.Errorf("BucketIndex(%v) = %d, %v; want %d, unclamped", bound, got, clamped, i)
		}
		want, wantClamped := i+1, false
		if i == HistogramBuckets-1 {
			want, wantClamped = i, true
		}
		if got, clamped := BucketIndex(after); got != want || clamped != wantClamped {
			t.Errorf("BucketIndex(%v) = %d, %v; want %d, %v", after, got, clamped, want, wantClamped)
		}
	}
}

func TestBucketsClampWhatLiesOutside(t *testing.T) {
	low, high := math.Ldexp(1, -30), math.Ldexp(1, 34)
	for _, c := range []struct {
		value   float64
		index   int
		clamped bool
	}{
		{low, 0, true},
		{math.Nextafter(low, 1), 0, false},
		{math.SmallestNonzeroFloat64, 0, true},
		{1e-300, 0, true},
		{1, 239, false},
		{high, 511, false},
		{math.Nextafter(high, math.Inf(1)), 511, true},
		{math.MaxFloat64, 511, true},
	} {
		if i, clamped := BucketIndex(c.value); i != c.index || clamped != c.clamped {
			t.Errorf("BucketIndex(%v) = %d, %v; want %d, %v", c.value, i, clamped, c.index, c.clamped)
		}
	}
	for _, v := range []float64{0, math.Copysign(0, -1), -1, -2e10, math.NaN(), math.Inf(1), math.Inf(-1)} {
		if _, clamped := BucketIndex(v); !clamped {
			t.Errorf("BucketIndex(%v) is not clamped", v)
		}
	}
}

func FuzzBucketIndexBracketsTheValue(f *testing.F) {
	for range 32 {
		f.Add(math.Ldexp(1+rand.Float64(), rand.IntN(70)-33))
	}
	f.Fuzz(func(t *testing.T, v float64) {
		i, clamped := BucketIndex(v)
		if i < 0 || i >= HistogramBuckets {
			t.Fatalf("BucketIndex(%v) = %d", v, i)
		}
		inside := v > math.Ldexp(1, -30) && v <= math.Ldexp(1, 34)
		if clamped == inside {
			t.Fatalf("BucketIndex(%v): clamped is %v", v, clamped)
		}
		if inside && (!atMost(v, i+HistogramOffset+1) || atMost(v, i+HistogramOffset)) {
			t.Fatalf("BucketIndex(%v) = %d: out of its bounds", v, i)
		}
	})
}

func BenchmarkBucketIndex(b *testing.B) {
	values := make([]float64, 1024)
	for i := range values {
		values[i] = rand.ExpFloat64()
	}
	sum := 0
	for i := 0; b.Loop(); i++ {
		index, _ := BucketIndex(values[i&1023])
		sum += index
	}
	if sum == 0 {
		b.Fatal("all in the first bucket")
	}
}
