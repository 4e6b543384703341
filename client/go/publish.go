//go:build linux && (amd64 || arm64)

package hotpath

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// file is a segment on its way into a directory: locked and mapped, and without a name yet.
type file struct {
	*mapping
	directory *directory
	fd        int
}

// newFile makes a file of the geometry. Where memory can't be reserved page by page, the
// error is [unix.EINVAL], and it has to be filled at once.
func newFile(d *directory, g geometry, filled bool) (*file, error) {
	fd, err := unix.Openat(d.fd, ".", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create a file in %s: %w", d.path, err)
	}
	f := &file{directory: d, fd: fd}
	if err := f.prepare(g, filled); err != nil {
		f.discard()
		return nil, err
	}
	return f, nil
}

func (f *file) prepare(g geometry, filled bool) error {
	if err := unix.Fchmod(f.fd, f.directory.mode); err != nil {
		return fmt.Errorf("chmod the segment: %w", err)
	}
	// Beyond the limit, ftruncate(2) raises SIGXFSZ, which ends a Go program.
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		return fmt.Errorf("get RLIMIT_FSIZE: %w", err)
	}
	if limit.Cur < uint64(g.size()) {
		return fmt.Errorf("RLIMIT_FSIZE allows %d bytes, a sparse segment has %d", limit.Cur, g.size())
	}
	if err := unix.Ftruncate(f.fd, int64(g.size())); err != nil {
		return fmt.Errorf("size the segment: %w", err)
	}
	if err := unix.Flock(f.fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("lock the segment: %w", err)
	}
	if filled {
		if err := fill(f.fd, g.size()); err != nil {
			return fmt.Errorf("fill the segment: %w", err)
		}
	}
	base, err := mapMemory(nil, g.size(), f.fd, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	f.mapping = newMapping(base, g, filled)
	if err := f.reserveCatalogue(1); err != nil {
		return err
	}
	return f.extend(&f.stripes, max(f.stripes.reserved, pageUp(1)))
}

// fill gives a file all its pages. The runtime's own signals may interrupt it.
func fill(fd, size int) error {
	for {
		if err := unix.Fallocate(fd, 0, 0, int64(size)); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// link gives the file its name and lets go of the descriptor: the mapping keeps the lock.
func (f *file) link(name string) error {
	err := unix.Linkat(f.fd, "", f.directory.fd, name, unix.AT_EMPTY_PATH)
	if err != nil {
		// The kernel wants CAP_DAC_READ_SEARCH for the above.
		self := fmt.Sprintf("/proc/self/fd/%d", f.fd)
		err = unix.Linkat(unix.AT_FDCWD, self, f.directory.fd, name, unix.AT_SYMLINK_FOLLOW)
	}
	if err != nil {
		return fmt.Errorf("link the segment into %s: %w", f.directory.path, err)
	}
	_ = unix.Close(f.fd)
	return nil
}

// discard gives back everything of a file that has no name.
func (f *file) discard() {
	if f.mapping != nil {
		_ = unix.MunmapPtr(f.base, uintptr(f.size()))
	}
	_ = unix.Close(f.fd)
}
