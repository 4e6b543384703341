//go:build linux && (amd64 || arm64)

package hotpath

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

// memfd is the place that needs no directory: the process itself, where a Collector with the source bpf looks.
type memfd struct{}

// create makes a memfd whose descriptor the program seldom comes by.
func (memfd) create() (openFile, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	// With vm.memfd_noexec=2 the kernel makes no other.
	fd, err := unix.MemfdCreate(segment.MemfdName, flags|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate(segment.MemfdName, flags)
	}
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		return openFile{}, fmt.Errorf("create a memfd: %w; a seccomp filter may forbid memfd_create", err)
	}
	if err != nil {
		return openFile{}, fmt.Errorf("create a memfd: %w", err)
	}
	f, err := newOpenFile(fd)
	if err != nil {
		return openFile{}, err
	}
	if err := f.lift(); err != nil {
		return openFile{}, err
	}
	return f, nil
}

// show seals and announces the segment. The descriptor stays open for Collectors that come later.
func (memfd) show(f *file) error {
	if _, err := unix.FcntlInt(uintptr(f.fd), unix.F_ADD_SEALS, segment.MemfdSeals); err != nil {
		return fmt.Errorf("seal the memfd, which takes Linux 5.1: %w", err)
	}
	announce(uintptr(f.base))
	return nil
}

// threadName is what the kernel keeps of a thread's name (TASK_COMM_LEN).
type threadName [16]byte

// announce tells a Collector that hears of renamed threads where the mapping begins. A kernel that isn't
// asked for more gives no address of more than 12 digits.
func announce(address uintptr) {
	var announcement, own threadName
	copy(announcement[:], fmt.Sprintf("hp@%012x", address))
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if prctl(unix.PR_GET_NAME, &own) == 0 && prctl(unix.PR_SET_NAME, &announcement) == 0 {
		prctl(unix.PR_SET_NAME, &own)
	}
}

// prctl doesn't let the scheduler know, so that a thread has another name for an instant only.
func prctl(option uintptr, name *threadName) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_PRCTL, option, uintptr(unsafe.Pointer(name)), 0)
	return errno
}
