package segment

import "math"

const (
	mantissaBits = 52
	mantissaMask = 1<<mantissaBits - 1

	// bucketsFrom are the bits of 2^-30, where the first bucket begins, and
	// bucketsSpan how far away those of 2^34 are, where the last one ends.
	bucketsFrom = (1023 + HistogramOffset>>HistogramScale) << mantissaBits
	bucketsSpan = (HistogramBuckets >> HistogramScale) << mantissaBits
)

// octave holds the mantissas of the largest doubles up to 2^(1/8) ... 2^(7/8).
// The k-th of these bounds lies within the k-th eighth of [1, 2), so an eighth holds one bound
// at most; in the last one there is none.
var octave = [8]uint64{
	0x172b83c7d517a, 0x306fe0a31b715, 0x4bfdad5362a27, 0x6a09e667f3bcc,
	0x8ace5422aa0db, 0xae89f995ad3ad, 0xd5818dcfba487, 1 << mantissaBits,
}

// BucketIndex is the bucket, from 0 to [HistogramBuckets]-1, of a value. Values
// of 2^-30 or less are clamped into the first and values above 2^34 into the
// last. The caller deals with zero, negative values, NaN and infinities: they come out as clamped.
func BucketIndex(value float64) (index int, clamped bool) {
	// A bound belongs to the bucket below it. One bit less, it lies there.
	above := math.Float64bits(value) - 1 - bucketsFrom
	if above >= bucketsSpan {
		if value > 1 {
			return HistogramBuckets - 1, true
		}
		return 0, true
	}
	eighth := above >> (mantissaBits - HistogramScale)
	// The difference is negative, and its top bit 1, before the bound.
	return int(eighth + 1 - (above&mantissaMask-octave[eighth&7])>>63), false
}

// BucketUpperBound is the largest double in a bucket from 0 to [HistogramBuckets]-1:
// that next to 2^((index+HistogramOffset+1)/8), from below where it is irrational.
func BucketUpperBound(index int) float64 {
	next := uint64(index + 1)
	bits := uint64(bucketsFrom) + next>>HistogramScale<<mantissaBits
	if k := next & 7; k != 0 {
		bits += octave[k-1]
	}
	return math.Float64frombits(bits)
}
