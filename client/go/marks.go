//go:build linux && (amd64 || arm64)

package hotpath

import (
	"math/bits"
	"sync/atomic"
)

// marks are a bit for each of many words: anybody sets them, and one goroutine at a time takes them. Two
// more layers have a bit for each 64 of the layer below, so that a few marks among many words are found at once.
type marks [3][]atomic.Uint64

func newMarks(words int) *marks {
	m := new(marks)
	for layer := range m {
		words = (words + 63) / 64
		m[layer] = make([]atomic.Uint64, words)
	}
	return m
}

// set marks word i. All three layers are looked at even where the first is set: whoever set it may not have come
// to the others yet. What was stored before by an atomic operation is seen by the one who takes the mark.
func (m *marks) set(i uint32) {
	for layer := range m {
		bit := uint64(1) << (i & 63)
		i /= 64
		if w := &m[layer][i]; w.Load()&bit == 0 {
			w.Or(bit)
		}
	}
}

// any reports whether a word is marked.
func (m *marks) any() bool {
	for i := range m[2] {
		if m[2][i].Load() != 0 {
			return true
		}
	}
	return false
}

// take takes the marks of words from one on and hands these over, in order, until that returns false: then the word's mark is set
// again. It reports whether it came to the end.
func (m *marks) take(from uint32, do func(i uint32) bool) bool {
	for i := range m[2] {
		if m[2][i].Load() != 0 && !m.takeOf(2, uint32(i), from, do) {
			return false
		}
	}
	return true
}

// takeOf takes the marks under a word of a layer. A bit is cleared before what is below it is looked at: whoever
// marks something there meanwhile sets it again. One that is also for words that are passed over stays.
func (m *marks) takeOf(layer int, at, from uint32, do func(i uint32) bool) bool {
	w := &m[layer][at]
	for set := w.Load(); set != 0; set &= set - 1 {
		i := at*64 + uint32(bits.TrailingZeros64(set))
		first, next := i<<(6*layer), (i+1)<<(6*layer)
		if next <= from {
			continue
		}
		if first >= from {
			w.And(^(set & -set))
		}
		if layer > 0 {
			if !m.takeOf(layer-1, i, from, do) {
				return false
			}
		} else if !do(i) {
			m.set(i)
			return false
		}
	}
	return true
}
