//go:build linux && (amd64 || arm64)

package hotpath

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What there is to know of linux/io_uring.h.
const (
	setupSQPoll = 1 << 1
	setupCQSize = 1 << 3

	featureSingleMmap = 1 << 0 // Linux 5.4
	featureSkip       = 1 << 11

	mmapQueues   = 0
	mmapRequests = 0x1000_0000

	enterWakeUp  = 1 << 1
	sqNeedWakeUp = 1 << 0

	registerProbe       = 8
	registerSendMsgRing = 31

	opMsgRing     = 40
	skipOnSuccess = 1 << 6 // IOSQE_CQE_SKIP_SUCCESS
)

// ringParameters is struct io_uring_params.
type ringParameters struct {
	submissions, completions uint32
	flags                    uint32
	threadCPU, threadIdle    uint32
	features                 uint32
	_                        [4]uint32
	sq                       struct{ head, tail, mask, entries, flags, dropped, array, _, _, _ uint32 }
	cq                       struct{ head, tail, mask, entries, overflow, cqes, _, _, _, _ uint32 }
}

// submission is struct io_uring_sqe with the fields that a message has.
type submission struct {
	op, flags uint8
	_         uint16
	fd        int32
	value     uint64 // user_data of the target's completion
	_         uint64 // IORING_MSG_DATA
	index     uint32 // res of the target's completion
	_         [9]uint32
}

// completion is struct io_uring_cqe.
type completion struct {
	_      uint64
	result int32
	_      uint32
}

// ring is an io_uring that this process made.
type ring struct {
	openFile
	queues      unsafe.Pointer // both
	size        uintptr        // of the queues, in bytes
	submissions []submission
	completions []completion

	sqHead, sqTail, sqFlags *uint32
	cqHead, cqTail          *uint32
}

// newRing makes a ring and maps its queues.
func newRing(p ringParameters) (*ring, error) {
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, uintptr(p.submissions), uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, fmt.Errorf("set up an io_uring: %w", explained(errno))
	}
	f, err := newOpenFile(int(fd))
	if err != nil {
		return nil, err
	}
	r := &ring{openFile: f}
	if err := r.lift(); err != nil {
		return nil, err
	}
	if err := r.mapQueues(&p); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *ring) mapQueues(p *ringParameters) error {
	if p.features&featureSingleMmap == 0 || p.features&featureSkip == 0 {
		return errTooOld
	}
	r.size = uintptr(max(p.sq.array+p.submissions*4, p.cq.cqes+p.completions*uint32(unsafe.Sizeof(completion{}))))
	var err error
	if r.queues, err = unix.MmapPtr(r.fd, mmapQueues, nil, r.size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return fmt.Errorf("map the queues of an io_uring: %w", err)
	}
	requests, err := unix.MmapPtr(r.fd, mmapRequests, nil, uintptr(p.submissions)*unsafe.Sizeof(submission{}), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map the requests of an io_uring: %w", err)
	}
	r.submissions = unsafe.Slice((*submission)(requests), p.submissions)
	r.completions = unsafe.Slice((*completion)(unsafe.Add(r.queues, p.cq.cqes)), p.completions)
	r.sqHead, r.sqTail, r.sqFlags = r.word(p.sq.head), r.word(p.sq.tail), r.word(p.sq.flags)
	r.cqHead, r.cqTail = r.word(p.cq.head), r.word(p.cq.tail)
	for i := range p.submissions { // request i is always at place i
		*r.word(p.sq.array + i*4) = i
	}
	return nil
}

func (r *ring) word(offset uint32) *uint32 { return (*uint32)(unsafe.Add(r.queues, offset)) }

// close gives back everything.
func (r *ring) close() {
	if r.submissions != nil {
		_ = unix.MunmapPtr(unsafe.Pointer(&r.submissions[0]), uintptr(len(r.submissions))*unsafe.Sizeof(submission{}))
	}
	if r.queues != nil {
		_ = unix.MunmapPtr(r.queues, r.size)
	}
	r.openFile.close()
}

// enter has the kernel take requests, which for messages takes well below a microsecond each and blocks
// nothing, so the scheduler need not know.
func (r *ring) enter(requests, flags uint32) (taken uint32, errno unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), uintptr(requests), 0, uintptr(flags), 0, 0)
	if errno != 0 {
		n = 0
	}
	return uint32(n), errno
}

// post has the kernel post a message without the ring that it lies in, or fails with [unix.EINVAL] before Linux 6.13.
func (s *submission) post() unix.Errno {
	s.flags = 0 // without a ring there is no completion to skip
	_, _, errno := unix.RawSyscall6(unix.SYS_IO_URING_REGISTER, ^uintptr(0), registerSendMsgRing, uintptr(unsafe.Pointer(s)), 1, 0, 0)
	s.flags = skipOnSuccess
	return errno
}

// failure is how a request failed. One that succeeds has no completion.
func (r *ring) failure() error {
	head := atomic.LoadUint32(r.cqHead)
	if head == atomic.LoadUint32(r.cqTail) {
		return nil
	}
	result := r.completions[head&uint32(len(r.completions)-1)].result
	return fmt.Errorf("post a message: %w", unix.Errno(-result))
}

var errTooOld = errors.New("io_uring has no messages between rings before Linux 5.18")

// tryRings says why there can't be any messages from ring to ring.
func tryRings(flags uint32) error {
	r, err := newRing(ringParameters{submissions: 1, flags: flags})
	if err != nil {
		return err
	}
	defer r.close()
	var probe struct { // struct io_uring_probe, with no room for operations
		last uint8
		_    [15]uint8
	}
	if _, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(r.fd), registerProbe, uintptr(unsafe.Pointer(&probe)), 0, 0, 0); errno != 0 {
		return fmt.Errorf("ask an io_uring what it can do: %w", errno)
	}
	if probe.last < opMsgRing {
		return errTooOld
	}
	return nil
}

// explained says what the administrator can do about an error of io_uring_setup.
func explained(errno unix.Errno) error {
	switch errno {
	case unix.ENOSYS:
		return fmt.Errorf("%w; the kernel has none, or a seccomp filter hides it", errno)
	case unix.EPERM, unix.EACCES:
		disabled, err := os.ReadFile("/proc/sys/kernel/io_uring_disabled")
		if setting := strings.TrimSpace(string(disabled)); err == nil && setting != "0" {
			return fmt.Errorf("%w; kernel.io_uring_disabled is %s", errno, setting)
		}
		return fmt.Errorf("%w; a seccomp filter may forbid it, as those of containers do", errno)
	}
	return errno
}
