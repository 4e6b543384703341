//go:build linux && (amd64 || arm64)

package hotpath

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"golang.org/x/sys/unix"
)

// place is where Collectors look for segments.
type place interface {
	// create makes an empty file that nobody looks at yet.
	create() (openFile, error)
	// show lets Collectors find the finished segment.
	show(*file) error
}

// file is a segment on its way to its place: locked and mapped.
type file struct {
	*mapping
	openFile
}

// publish makes a segment in a place.
func publish(p place, resource []byte) (*mapping, error) {
	f, err := newFile(p, roomy(), false)
	if errors.Is(err, unix.EINVAL) { // no MADV_POPULATE_WRITE before Linux 5.14
		f, err = newFile(p, small(), true)
	}
	if err != nil {
		return nil, err
	}
	if err = f.begin(rand.Uint64(), resource); err == nil {
		err = p.show(f)
	}
	if err != nil {
		f.discard()
		return nil, err
	}
	return f.mapping, nil
}

// newFile makes a file of the geometry. Where memory can't be reserved page by page, the
// error is [unix.EINVAL], and it has to be filled at once.
func newFile(p place, g geometry, filled bool) (*file, error) {
	created, err := p.create()
	if err != nil {
		return nil, err
	}
	f := &file{openFile: created}
	if err := f.prepare(g, filled); err != nil {
		f.discard()
		return nil, err
	}
	return f, nil
}

func (f *file) prepare(g geometry, filled bool) error {
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

// discard gives back everything of a file that was not shown.
func (f *file) discard() {
	if f.mapping != nil {
		_ = unix.MunmapPtr(f.base, uintptr(f.size()))
	}
	f.close()
}
