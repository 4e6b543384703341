package segments

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
	"github.com/hotpath-metrics/hotpath/internal/source/segments/segmentstest"
)

func TestNoWordIsTornUnderAWriterAtFullSpeed(t *testing.T) {
	f := setUp(t)
	const words = 2000
	s := segmentstest.Requests(1)
	s.Records = s.Records[:1]
	for i := range words {
		s.Records = append(s.Records, segmenttest.Record{Kind: 2, Slot: uint64(1 + i), Name: name(i)})
	}
	live := f.publish("a", s)
	f.one()

	var stop atomic.Bool
	var rounds uint64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := uint64(1); !stop.Load(); n++ {
			half := n * 0x9e3779b1 & 0xffffffff // all bytes change
			for i := range words {
				// Atomic for the race detector's sake; the store is a single instruction either way.
				(*atomic.Uint64)(unsafe.Pointer(live.Word(segmenttest.StripeWord(0, 1+i)))).Store(half<<32 | half)
			}
			rounds = n
			if n%64 == 0 {
				runtime.Gosched()
			}
		}
	}()
	var read, torn, changed int
	last := map[string]uint64{}
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		for key, v := range f.one().Counters {
			read++
			if v>>32 != v&0xffffffff {
				torn++
			}
			if last[key] != v {
				changed++
			}
			last[key] = v
		}
	}
	stop.Store(true)
	<-done
	require.Greater(t, changed, 10*words, "the writer ran meanwhile")
	assert.Zero(t, torn, "of %d words, %d changed, in %d rounds", read, changed, rounds)
}

func name(i int) string {
	return "n" + string([]byte{byte('a' + i/676), byte('a' + i/26%26), byte('a' + i%26)})
}

func TestBuffersAreAlignedToCacheLines(t *testing.T) {
	for n := 1; n < 200; n++ {
		require.Zero(t, uintptr(unsafe.Pointer(&aligned(n)[0]))%64)
	}
	b := newBuffers()
	b.reset(padded(3) + padded(9))
	for _, n := range []int{3, 9} {
		words := b.take(n)
		require.Len(t, words, n)
		require.Zero(t, uintptr(unsafe.Pointer(&words[0]))%64)
	}
}
