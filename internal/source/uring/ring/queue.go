package ring

import (
	"fmt"
	"sync/atomic"
	"unsafe"
)

// Entry is a completion, as the kernel lays it out (struct io_uring_cqe, linux/io_uring.h).
type Entry struct {
	Data  uint64 // user_data
	Res   int32
	Flags uint32
}

const entrySize = int(unsafe.Sizeof(Entry{}))

// queue is a completion queue in memory that others write to.
type queue struct {
	memory  []byte // nil while it is not mapped; otherwise of cqes+entries*entrySize bytes at least
	entries uint32 // a power of two
	head    uint32 // how far it was read: what stands in the memory is for the kernel, and never read
}

// word reads a word that anybody may change.
func (q *queue) word(offset uint32) uint32 {
	return atomic.LoadUint32((*uint32)(unsafe.Pointer(&q.memory[offset])))
}

// drain copies entries to batch before anybody looks at them, and tells the kernel that their places are free.
func (q *queue) drain(l *layout, batch []Entry) (int, error) {
	// Acquires what the kernel stored before it.
	n := q.word(l.tail) - q.head
	if n > q.entries {
		return 0, fmt.Errorf("%w: %d for %d", ErrForged, n, q.entries)
	}
	n = min(n, uint32(len(batch)))
	if n == 0 {
		return 0, nil
	}
	for i := range n {
		at := int(l.cqes) + int((q.head+i)&(q.entries-1))*entrySize
		batch[i] = *(*Entry)(unsafe.Pointer(&q.memory[at]))
	}
	q.head += n
	// Releases: the kernel writes there only after they were copied.
	atomic.StoreUint32((*uint32)(unsafe.Pointer(&q.memory[l.head])), q.head)
	return int(n), nil
}
