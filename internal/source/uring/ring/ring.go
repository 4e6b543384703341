// Package ring reads the completion queue of another process's io_uring. It never enters a ring and never submits to one.
//
// The memory of the queue is the other process's too, which may write into it whatever it likes, at any time. Nothing in it
// decides where anything is read or written here: places are the kernel's layout (kernel.go), the size is the one that was
// asked for, and how far the queue was read is remembered here (queue.go). A liar gets wrong numbers of its own.
package ring

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Errors of [Kernel.Take] and [Ring.Drain]. They say what is wrong with the other process's ring.
var (
	ErrNotRing = errors.New("not an io_uring")
	ErrSize    = errors.New("its completion queue cannot be mapped in the size that was asked for")
	ErrForged  = errors.New("its completion queue claims to hold more than it has room for")
)

// link is what the kernel calls a descriptor of a ring.
const link = "anon_inode:[io_uring]"

// offCQRing is where a ring's descriptor has the memory of its queues (IORING_OFF_CQ_RING, linux/io_uring.h).
const offCQRing = 0x8000000

// Ring is a ring of another process. It is not safe for concurrent use.
type Ring struct {
	fd     int
	layout *layout
	queue  queue
}

// Take takes a ring out of a process by its descriptor there: entries is how many completions its queue is to have. The caller
// needs the rights that ptrace(2) asks for (PTRACE_MODE_ATTACH_REALCREDS).
//
// What it took and is no ring it returns as other, which is -1 otherwise, for the caller to close: that may wait for as long as
// whoever serves the file pleases.
func (k *Kernel) Take(pidfd, fd int, entries uint32) (r *Ring, other int, err error) {
	own, err := unix.PidfdGetfd(pidfd, fd, 0)
	if err != nil {
		return nil, -1, fmt.Errorf("get descriptor %d: %w", fd, err)
	}
	name, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(own))
	if err != nil {
		return nil, own, fmt.Errorf("tell what descriptor %d is: %w", fd, err)
	}
	if name != link {
		return nil, own, fmt.Errorf("%w: descriptor %d is %q", ErrNotRing, fd, name)
	}
	r = &Ring{fd: own, layout: &k.layout, queue: queue{entries: entries}}
	if err := r.wake(); err != nil {
		unix.Close(own)
		return nil, -1, err
	}
	// What an honest client may have got wrong. It proves nothing.
	if claimed := r.queue.word(k.mask); claimed != entries-1 {
		r.Close()
		return nil, -1, fmt.Errorf("%w: %d for %d", ErrSize, claimed+1, entries)
	}
	r.queue.head = r.queue.word(k.head)
	return r, -1, nil
}

// FD is the ring's descriptor, to poll.
func (r *Ring) FD() int { return r.fd }

// Drain copies completions to batch, and frees their places. Zero means that the queue is empty.
func (r *Ring) Drain(batch []Entry) (int, error) {
	if err := r.wake(); err != nil {
		return 0, err
	}
	return r.queue.drain(r.layout, batch)
}

// Overflows says whether the ring itself says that the kernel holds completions that found no room.
func (r *Ring) Overflows() bool {
	return r.queue.memory != nil && r.queue.word(r.layout.sqFlags)&sqCQOverflow != 0
}

// Rest gives up the mapping until the next Drain: its pages count as this process's.
func (r *Ring) Rest() {
	if r.queue.memory != nil {
		_ = unix.Munmap(r.queue.memory)
		r.queue.memory = nil
	}
}

// wake maps the queue.
func (r *Ring) wake() error {
	if r.queue.memory != nil {
		return nil
	}
	size := int(r.layout.cqes) + int(r.queue.entries)*entrySize
	memory, err := unix.Mmap(r.fd, offCQRing, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil { // it may be in memory of its own (IORING_SETUP_NO_MMAP)
		return fmt.Errorf("%w: map %d entries: %w", ErrSize, r.queue.entries, err)
	}
	if !backed(memory) {
		_ = unix.Munmap(memory)
		return fmt.Errorf("%w: it is smaller than %d entries", ErrSize, r.queue.entries)
	}
	r.queue.memory = memory
	return nil
}

// backed says whether all of a queue's mapping can be read. Since Linux 6.10 the kernel maps as many pages as there are, and does not say that
// they are fewer: the rest is a deadly signal (SIGBUS). It maps them at once, from the first on, so that
// the last one tells. A system call that reads the memory and then refuses its other argument has the kernel try it.
func backed(memory []byte) bool {
	const noSuchHow, setSize = 99, 8
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, noSuchHow, uintptr(unsafe.Pointer(&memory[len(memory)-setSize])), 0, setSize, 0, 0)
	return !errors.Is(errno, unix.EFAULT)
}

// Close lets go of the ring.
func (r *Ring) Close() {
	r.Rest()
	unix.Close(r.fd)
	r.fd = -1
}
