package userevent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Requests of linux/user_events.h.
const (
	iocReg   = 0xc0082a00
	iocDel   = 0x40082a01
	iocUnreg = 0x40082a02

	regSize   = 28 // of the packed struct user_reg
	unregSize = 16 // of the packed struct user_unreg
)

// Flags of a registration.
const (
	// FlagPersist keeps the event when nobody holds it any more. It wants CAP_PERFMON.
	FlagPersist = 1
	// FlagMultiFormat lets the name have several declarations (Linux 6.9).
	FlagMultiFormat = 2
)

var (
	// ErrNotMounted says that no tracefs is to be seen.
	ErrNotMounted = errors.New("tracefs is not mounted at /sys/kernel/tracing (mount -t tracefs tracefs /sys/kernel/tracing; a container needs the host's)")
	// ErrUnsupported says that the kernel has no user_events.
	ErrUnsupported = errors.New("this kernel has no user_events: it needs Linux 6.4 or later with CONFIG_USER_EVENTS=y, as Ubuntu 23.10, Azure Linux 3 and WSL2 have it")
	// ErrDeclared says that the event exists with other fields.
	ErrDeclared = errors.New("the event exists with other fields, or the enable bit is registered already")
)

// mounts are where tracefs is.
var mounts = []string{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}

// Open opens the file by which events are registered and written. Errors are [ErrNotMounted], [ErrUnsupported], or wrap [unix.EACCES].
func Open() (fd int, err error) {
	failed := ErrNotMounted
	for _, mount := range mounts {
		path := filepath.Join(mount, "user_events_data")
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
		switch {
		case err == nil:
			return fd, nil
		case errors.Is(err, unix.ENOENT):
			if _, err := os.Lstat(filepath.Join(mount, "trace")); err == nil {
				return -1, ErrUnsupported
			}
		case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
			failed = fmt.Errorf("open %s: %w (its group may be given the right: chgrp GROUP, chmod g+rw, and chgrp GROUP, chmod g+x on the folder)", path, err)
		default:
			return -1, fmt.Errorf("open %s: %w", path, err)
		}
		if !errors.Is(failed, ErrNotMounted) {
			break
		}
	}
	return -1, failed
}

// Register declares an event and has the kernel keep a bit set while somebody listens to it: bit number bit
// of the word of size bytes, 4 or 8, at enable. The kernel does so by atomic operations that keep the other bits, and
// so must everybody else. That memory must stay in place and in use until the bit is unregistered.
//
// The kernel notes the bit for the calling thread and those that it starts from then on: it changes no more
// when all of them have ended. The index, which is to come before the fields in each write, holds for fd.
//
// Errors wrap [ErrDeclared], or [unix.EPERM] where a flag wants a capability, or [unix.EMFILE] where the host has
// no room for another event.
func Register(fd int, enable unsafe.Pointer, bit, size uint8, flags uint16, declaration string) (index uint32, err error) {
	text, err := unix.BytePtrFromString(declaration)
	if err != nil {
		return 0, fmt.Errorf("register %.64q: %w", declaration, err)
	}
	// The kernel gets addresses as numbers, which nothing else keeps alive or in place.
	var pinned runtime.Pinner
	defer pinned.Unpin()
	pinned.Pin(text)
	pinned.Pin(enable)

	var reg [regSize]byte
	binary.NativeEndian.PutUint32(reg[0:], regSize)
	reg[4], reg[5] = bit, size
	binary.NativeEndian.PutUint16(reg[6:], flags)
	binary.NativeEndian.PutUint64(reg[8:], uint64(uintptr(enable)))
	binary.NativeEndian.PutUint64(reg[16:], uint64(uintptr(unsafe.Pointer(text))))
	if err := ioctl(fd, iocReg, unsafe.Pointer(&reg)); err != nil {
		return 0, fmt.Errorf("register %.64q: %w", declaration, explain(err))
	}
	return binary.NativeEndian.Uint32(reg[24:]), nil
}

func explain(err error) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return ErrDeclared
	case errors.Is(err, unix.EMFILE):
		return fmt.Errorf("the host has no room for more events (sysctl kernel.user_events_max): %w", err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("a persistent event wants CAP_PERFMON: %w", err)
	}
	return err
}

// Unregister makes the kernel forget a bit that the calling thread knows of, and clears it. Otherwise the error
// wraps [unix.ENOENT].
func Unregister(fd int, enable unsafe.Pointer, bit uint8) error {
	var unreg [unregSize]byte
	binary.NativeEndian.PutUint32(unreg[0:], unregSize)
	unreg[4] = bit
	binary.NativeEndian.PutUint64(unreg[8:], uint64(uintptr(enable)))
	if err := ioctl(fd, iocUnreg, unsafe.Pointer(&unreg)); err != nil {
		return fmt.Errorf("unregister bit %d: %w", bit, err)
	}
	return nil
}

// Delete deletes a persistent event that nobody holds. Otherwise the error wraps [unix.EBUSY], as it does for
// some milliseconds after the last holder's close(2), and where there is no such event [unix.ENOENT].
func Delete(fd int, name string) error {
	text, err := unix.BytePtrFromString(name)
	if err == nil {
		err = ioctl(fd, iocDel, unsafe.Pointer(text))
	}
	if err != nil {
		return fmt.Errorf("delete %.64q: %w", name, err)
	}
	return nil
}

func ioctl(fd int, request uint, argument unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(argument))
		switch errno {
		case 0:
			return nil
		case unix.EINTR: // the runtime's own signals
		default:
			return errno
		}
	}
}
