package segments

import (
	"unsafe"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/segment"
)

// chunkSize is read at once, in bytes; it holds the largest record, and is a multiple of 64.
const chunkSize = 2 * layout.MaxRecord

// buffers are what readers copy into. Copies must be aligned like their source,
// or the kernel's copy tears words.
type buffers struct {
	chunk []uint64
	// arena holds the values of all segments of the process at hand.
	arena []uint64
	// words are those of a ring.
	words        []uint64
	measurements segment.Measurements
}

func newBuffers() *buffers { return &buffers{chunk: aligned(chunkSize / 8)} }

// aligned makes words whose first is at a multiple of 64 bytes.
func aligned(n int) []uint64 {
	words := make([]uint64, n+7)
	misplaced := uintptr(unsafe.Pointer(&words[0])) / 8 % 8
	return words[(8-misplaced)%8:][:n:n]
}

// reset makes room for n words.
func (b *buffers) reset(n int) {
	if n > cap(b.arena) {
		b.arena = aligned(n + n/4)
	}
	b.arena = b.arena[:0]
}

// ring makes room for n words of a ring.
func (b *buffers) ring(n int) []uint64 {
	if n > cap(b.words) {
		b.words = aligned(n + n/4)
	}
	return b.words[:n]
}

// take returns n words from the arena; the next begin on a cache line of their own.
func (b *buffers) take(n int) []uint64 {
	at := len(b.arena)
	b.arena = b.arena[:at+padded(n)]
	return b.arena[at:][:n:n]
}

func padded(n int) int { return (n + 7) &^ 7 }

// bytesOf is the memory of words, for the kernel to copy into.
func bytesOf(words []uint64) []byte {
	if len(words) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), len(words)*8)
}
