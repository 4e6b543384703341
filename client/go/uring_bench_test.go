//go:build linux && (amd64 || arm64)

package hotpath

import (
	"sync/atomic"
	"testing"
)

// BenchmarkTold is an update of one series that a Collector is told of, in all that it costs the process.
func BenchmarkTold(b *testing.B) {
	for _, c := range []struct{ name, batch, polled string }{
		{"batch=1", "1", "0"}, {"batch=64", "64", "0"}, {"sqpoll,batch=1", "1", "1"}, {"sqpoll,batch=64", "64", "1"},
	} {
		b.Run(c.name, func(b *testing.B) {
			l := newListener(b, 4096)
			client := l.client("HOTPATH_URING_BATCH", c.batch, "HOTPATH_URING_SQPOLL", c.polled)
			client.counter("first")
			l.knows("first")
			benchmarkUpdates(b, client)
		})
	}
	b.Run("nobody there", func(b *testing.B) {
		needUring(b)
		benchmarkUpdates(b, fresh(map[string]string{"HOTPATH_TRANSPORT": "io_uring", "HOTPATH_SOCKET": "/nowhere"}))
	})
}

// BenchmarkToldOfManySeries has a series in each message, 64 of them in a batch.
func BenchmarkToldOfManySeries(b *testing.B) {
	l := newListener(b, 65536)
	client := l.client()
	var counters [64]Counter
	for i := range counters {
		counters[i] = client.counter("adds", WithAttributes(Int("i", int64(i))))
	}
	l.knows("adds{i=63}")
	i := 0
	for b.Loop() {
		counters[i%64].Add(1)
		i++
	}
}

// BenchmarkMessage is what the kernel takes for a message, single and 64 in one call, with nothing around it.
func BenchmarkMessage(b *testing.B) {
	for _, batch := range []uint32{1, 64} {
		b.Run(map[uint32]string{1: "single", 64: "of 64"}[batch], func(b *testing.B) {
			l := &link{}
			if err := l.newRings(4096, false); err != nil {
				b.Skip("needs io_uring: ", err)
			}
			defer l.sending.close()
			defer l.target.close()
			n := uint32(0)
			for b.Loop() {
				n++
				l.free = 64
				l.put(7, uint64(n))
				if n%batch == 0 {
					l.post()
					atomic.StoreUint32(l.target.cqHead, atomic.LoadUint32(l.target.cqTail))
				}
			}
			if l.err != nil {
				b.Fatal(l.err)
			}
		})
	}
}

// BenchmarkNop is a bare io_uring_enter of a NOP whose completion is taken: what no single message can be faster than.
func BenchmarkNop(b *testing.B) {
	r, err := newRing(ringParameters{submissions: 1})
	if err != nil {
		b.Skip("needs io_uring: ", err)
	}
	defer r.close()
	n := uint32(0)
	for b.Loop() {
		r.submissions[0] = submission{}
		n++
		atomic.StoreUint32(r.sqTail, n)
		if _, errno := r.enter(1, 0); errno != 0 {
			b.Fatal(errno)
		}
		atomic.StoreUint32(r.cqHead, n)
	}
}

// BenchmarkOurs is what it takes to know a descriptor's file again.
func BenchmarkOurs(b *testing.B) {
	r, err := newRing(ringParameters{submissions: 1})
	if err != nil {
		b.Skip("needs io_uring: ", err)
	}
	defer r.close()
	for b.Loop() {
		if !r.ours() {
			b.Fatal("it is another's")
		}
	}
}
