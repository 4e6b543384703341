package ring

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Numbers of linux/io_uring.h.
const (
	registerProbe   = 8
	opMsgRing       = 40
	opSupported     = 1
	sqCQOverflow    = 2
	featSingleMmap  = 1
	probedOps       = 64
	disabledSetting = "/proc/sys/kernel/io_uring_disabled"
)

// params is struct io_uring_params.
type params struct {
	sqEntries, cqEntries, flags, threadCPU, threadIdle, features, wq uint32
	_                                                                [3]uint32
	sq                                                               struct {
		head, tail, mask, entries, flags, dropped, array, _ uint32
		_                                                   uint64
	}
	cq struct {
		head, tail, mask, entries, overflow, cqes, flags, _ uint32
		_                                                   uint64
	}
}

// probe is struct io_uring_probe.
type probe struct {
	last, count byte
	_           [14]byte
	ops         [probedOps]struct {
		op, _ byte
		flags uint16
		_     uint32
	}
}

// layout is where the memory of a ring's queues has what is read of it, in bytes. It is the same for all rings of a kernel.
type layout struct{ head, tail, mask, cqes, sqFlags uint32 }

// Kernel is what this kernel's rings are like.
type Kernel struct{ layout }

// Learn makes a tiny ring to learn that. The error says what is missing and how to get it.
func Learn() (*Kernel, error) {
	var p params
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, explain(errno)
	}
	defer unix.Close(int(fd))
	var supported probe
	_, _, errno = unix.Syscall6(unix.SYS_IO_URING_REGISTER, fd, registerProbe, uintptr(unsafe.Pointer(&supported)), probedOps, 0, 0)
	if errno == unix.EPERM || errno == unix.EACCES || errno == unix.ENOSYS {
		return nil, errFiltered
	}
	if errno != 0 || p.features&featSingleMmap == 0 || supported.ops[opMsgRing].flags&opSupported == 0 {
		return nil, errors.New("this kernel's io_uring has no messages between rings (IORING_OP_MSG_RING): it takes Linux 5.19 or later")
	}
	k := &Kernel{layout{head: p.cq.head, tail: p.cq.tail, mask: p.cq.mask, cqes: p.cq.cqes, sqFlags: p.sq.flags}}
	return k, k.try(int(fd), p.cqEntries)
}

// try takes a ring out of this very process. Everybody may do that, so that it fails only where system calls are filtered.
func (k *Kernel) try(fd int, entries uint32) error {
	pidfd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return fmt.Errorf("%w: pidfd_open: %w", errNoPidfd, err)
	}
	defer unix.Close(pidfd)
	r, other, err := k.Take(pidfd, fd, entries)
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES), errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("%w: %w", errNoPidfd, err)
	case err != nil:
		if other >= 0 {
			unix.Close(other)
		}
		return fmt.Errorf("take a ring of the Collector's own: %w", err)
	}
	r.Close()
	return nil
}

// What filters of system calls cause, as containers have them.
var (
	errFiltered = errors.New("io_uring is refused, by a seccomp profile as containers have them or a security module: allow io_uring_setup and io_uring_register, " +
		"or run the Collector outside of the container")
	errNoPidfd = errors.New("rings of clients cannot be taken, since a seccomp profile as containers have them refuses pidfd_open or pidfd_getfd: " +
		"add the capability SYS_PTRACE to the container, with which the usual profiles allow them, or run the Collector outside of it")
)

func explain(errno unix.Errno) error {
	disabled, _ := os.ReadFile(disabledSetting)
	setting := strings.TrimSpace(string(disabled))
	switch {
	case errors.Is(errno, unix.ENOSYS) && setting != "": // the kernel has it
		return errFiltered
	case errors.Is(errno, unix.ENOSYS):
		return errors.New("this kernel is built without io_uring: it takes one with CONFIG_IO_URING, or another source (shm)")
	case errors.Is(errno, unix.EPERM) && setting == "2":
		return errors.New("io_uring is disabled: set the sysctl kernel.io_uring_disabled to 0 (or to 1, and kernel.io_uring_group to a group of all clients)")
	case errors.Is(errno, unix.EPERM) && setting == "1":
		return errors.New("io_uring is disabled for this user: run the Collector as root or in the group of the sysctl kernel.io_uring_group, or set kernel.io_uring_disabled to 0")
	case errors.Is(errno, unix.EPERM):
		return errFiltered
	}
	return fmt.Errorf("make a ring: %w", errno)
}

// Restricted says that the kernel lets only privileged processes, or those of a group, have a ring.
func Restricted() bool {
	disabled, err := os.ReadFile(disabledSetting)
	return err == nil && strings.TrimSpace(string(disabled)) != "0"
}
