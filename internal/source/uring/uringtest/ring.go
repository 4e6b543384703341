// Package uringtest is a client of the source io_uring for tests: rings by bare system calls, and the messages of the socket. It is
// independent of the source and of hotpath's clients.
package uringtest

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Flags of Setup (linux/io_uring.h).
const (
	IOPoll       = 1 << 0
	SQPoll       = 1 << 1
	CQSize       = 1 << 3
	Disabled     = 1 << 6
	CQE32        = 1 << 11
	SingleIssuer = 1 << 12
	DeferTaskrun = 1 << 13
	NoMmap       = 1 << 14
)

const (
	opNop         = 0
	opOpenat      = 18
	opMsgRing     = 40
	skipSuccess   = 1 << 6 // IOSQE_CQE_SKIP_SUCCESS
	getEvents     = 1
	sqWakeup      = 2
	offSQEs       = 0x10000000
	offRings      = 0
	registerFiles = 2
	registerSize  = 33 // IORING_REGISTER_RESIZE_RINGS
)

// Params is struct io_uring_params.
type Params struct {
	SQEntries, CQEntries, Flags, ThreadCPU, ThreadIdle, Features, WQ uint32
	_                                                                [3]uint32
	SQ                                                               struct {
		Head, Tail, Mask, Entries, Flags, Dropped, Array, _ uint32
		UserAddr                                            uint64
	}
	CQ struct {
		Head, Tail, Mask, Entries, Overflow, CQEs, Flags, _ uint32
		UserAddr                                            uint64
	}
}

// SQE is struct io_uring_sqe, as far as tests need it.
type SQE struct {
	Opcode, Flags byte
	IOPrio        uint16
	FD            int32
	Off, Addr     uint64
	Len, OpFlags  uint32
	UserData      uint64
	_             [3]uint64
}

// CQE is struct io_uring_cqe.
type CQE struct {
	UserData uint64
	Res      int32
	Flags    uint32
}

// Ring is a ring of one's own.
type Ring struct {
	FD   int
	P    Params
	Mem  []byte // of both queues
	sqes []byte
}

// NewRing makes a ring with so many entries and flags.
func NewRing(sq, cq, flags uint32) (*Ring, error) {
	r := &Ring{}
	r.P.Flags = flags | CQSize
	r.P.CQEntries = cq
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, uintptr(sq), uintptr(unsafe.Pointer(&r.P)), 0)
	if errno != 0 {
		return nil, fmt.Errorf("make ring: %w", errno)
	}
	r.FD = int(fd)
	if flags&NoMmap != 0 {
		return r, nil
	}
	if err := r.Map(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// Map maps the queues of the ring in FD, which may be another process's, by P.
func (r *Ring) Map() (err error) {
	entry := 16
	if r.P.Flags&CQE32 != 0 {
		entry = 32
	}
	size := max(int(r.P.CQ.CQEs)+int(r.P.CQEntries)*entry, int(r.P.SQ.Array)+int(r.P.SQEntries)*4)
	if r.Mem, err = unix.Mmap(r.FD, offRings, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE); err != nil {
		return fmt.Errorf("map queues: %w", err)
	}
	if r.sqes, err = unix.Mmap(r.FD, offSQEs, int(r.P.SQEntries)*64, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE); err != nil {
		return fmt.Errorf("map entries: %w", err)
	}
	return nil
}

// Word is a word of the queues' memory.
func (r *Ring) Word(offset uint32) *uint32 { return (*uint32)(unsafe.Pointer(&r.Mem[offset])) }

// Head and Tail of the completion queue.
func (r *Ring) Head() uint32 { return atomic.LoadUint32(r.Word(r.P.CQ.Head)) }
func (r *Ring) Tail() uint32 { return atomic.LoadUint32(r.Word(r.P.CQ.Tail)) }

// Room is how many completions fit.
func (r *Ring) Room() uint32 { return r.P.CQEntries - (r.Tail() - r.Head()) }

// Push puts a request into the queue. There must be room.
func (r *Ring) Push(e SQE) {
	tail := atomic.LoadUint32(r.Word(r.P.SQ.Tail))
	at := tail & (r.P.SQEntries - 1)
	*(*SQE)(unsafe.Pointer(&r.sqes[at*64])) = e
	*r.Word(r.P.SQ.Array + at*4) = at
	atomic.StoreUint32(r.Word(r.P.SQ.Tail), tail+1)
}

// Enter submits n requests and waits for so many completions.
func (r *Ring) Enter(n, wait uint32) (int, error) {
	flags := uintptr(0)
	if wait > 0 {
		flags = getEvents
	}
	return r.enter(n, wait, flags)
}

func (r *Ring) enter(n, wait uint32, flags uintptr) (int, error) {
	done, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.FD), uintptr(n), uintptr(wait), flags, 0, 0)
	if errno != 0 {
		return 0, fmt.Errorf("enter ring: %w", errno)
	}
	return int(done), nil
}

// Flush has the kernel put what overflowed into the queue.
func (r *Ring) Flush() error {
	_, err := r.enter(0, 0, getEvents)
	return err
}

// Wake starts the kernel's thread of a ring with SQPOLL.
func (r *Ring) Wake() error {
	_, err := r.enter(0, 0, sqWakeup)
	return err
}

// MsgRing is a request that posts a completion to another ring.
func MsgRing(target int, res int32, data uint64) SQE {
	return SQE{Opcode: opMsgRing, Flags: skipSuccess, FD: int32(target), Off: data, Len: uint32(res)}
}

// Nop does nothing.
func Nop() SQE { return SQE{Opcode: opNop, Flags: skipSuccess} }

// Open opens a file for reading, whose path the ring's creator has at an address.
func Open(address uint64) SQE {
	return SQE{Opcode: opOpenat, FD: unix.AT_FDCWD, Addr: address, UserData: 1}
}

// Post sends messages, as many at once as the sending ring takes, whether or not the target has room.
func (r *Ring) Post(target int, messages ...SQE) error {
	for len(messages) > 0 {
		n := min(len(messages), int(r.P.SQEntries))
		for i := range messages[:n] {
			messages[i].FD = int32(target)
			r.Push(messages[i])
		}
		if done, err := r.Enter(uint32(n), 0); err != nil || done != n {
			return fmt.Errorf("submitted %d of %d: %w", done, n, err)
		}
		messages = messages[n:]
	}
	return nil
}

// Take takes the next completion, or returns false.
func (r *Ring) Take() (CQE, bool) {
	head := r.Head()
	if head == r.Tail() {
		return CQE{}, false
	}
	e := *(*CQE)(unsafe.Pointer(&r.Mem[r.P.CQ.CQEs+(head&(r.P.CQEntries-1))*16]))
	atomic.StoreUint32(r.Word(r.P.CQ.Head), head+1)
	return e, true
}

// Resize changes the size of the completion queue (Linux 6.13, rings with DEFER_TASKRUN).
func (r *Ring) Resize(sq, cq uint32) error {
	p := Params{SQEntries: sq, CQEntries: cq, Flags: CQSize}
	_, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(r.FD), registerSize, uintptr(unsafe.Pointer(&p)), 1, 0, 0)
	if errno != 0 {
		return fmt.Errorf("resize ring: %w", errno)
	}
	return nil
}

// RegisterFiles has the ring keep files.
func (r *Ring) RegisterFiles(fds []int32) error {
	_, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(r.FD), registerFiles, uintptr(unsafe.Pointer(&fds[0])), uintptr(len(fds)), 0, 0)
	if errno != 0 {
		return fmt.Errorf("register files: %w", errno)
	}
	return nil
}

// Close gives everything back.
func (r *Ring) Close() {
	for _, memory := range []*[]byte{&r.Mem, &r.sqes} {
		if *memory != nil {
			_ = unix.Munmap(*memory)
			*memory = nil
		}
	}
	if r.FD >= 0 {
		_ = unix.Close(r.FD)
		r.FD = -1
	}
}
