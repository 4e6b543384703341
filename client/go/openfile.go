//go:build linux && (amd64 || arm64)

package hotpath

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// openFile is a descriptor, and how to know its file again: the program may close any number, and get it for a file of its own.
type openFile struct {
	fd    int
	dev   uint64
	inode uint64
}

// newOpenFile takes a descriptor over.
func newOpenFile(fd int) (openFile, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		_ = unix.Close(fd)
		return openFile{}, fmt.Errorf("look at an open file: %w", err)
	}
	return openFile{fd: fd, dev: stat.Dev, inode: stat.Ino}, nil
}

// lift gives the file a number that a program which closes all and opens its own is the last to
// come by. Much higher ones would cost memory: the kernel's table reaches up to the highest. It fails
// only where the program closed the file meanwhile.
func (f *openFile) lift() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil // the number it has does too
	}
	numbers := int(min(limit.Cur, 4096))
	high, err := unix.FcntlInt(uintptr(f.fd), unix.F_DUPFD_CLOEXEC, numbers-numbers/16)
	if err == nil {
		f.close()
		f.fd = high
	}
	if !f.ours() {
		if err == nil {
			_ = unix.Close(high)
		}
		return fmt.Errorf("keep a descriptor: %w", unix.EBADF)
	}
	return nil
}

// ours reports whether the number still stands for the file.
func (f *openFile) ours() bool {
	var stat unix.Stat_t
	_, _, errno := unix.RawSyscall(unix.SYS_FSTAT, uintptr(f.fd), uintptr(unsafe.Pointer(&stat)), 0)
	return errno == 0 && stat.Ino == f.inode && stat.Dev == f.dev
}

// close closes the descriptor, unless it has become another file's.
func (f *openFile) close() {
	if f.ours() {
		_ = unix.Close(f.fd)
	}
}
