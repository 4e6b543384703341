package shm

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
)

// file is the file of a segment that is held. It implements [segments.Origin].
type file struct {
	src  *source
	dir  *directory
	name string
}

// Name implements [segments.Origin].
func (f *file) Name() string { return f.name }

// Refused implements [segments.Origin].
func (f *file) Refused(seg *segments.Segment, reason segment.Reason, cause error) {
	removable := f.src.removes(reason)
	f.disregard(seg, reason, removable, cause)
	if removable && seg.Dead() && unlink(f.dir, f.name, seg.Key) == nil {
		f.src.forgetName(f.name)
	}
}

// Delivered implements [segments.Origin]. A file that cannot be removed is remembered: it must not be
// delivered again, which only a later collector may do.
func (f *file) Delivered(seg *segments.Segment) {
	if f.src.observing { // it has no series
		f.disregard(seg, skipNotRemovable, false, nil)
		return
	}
	if err := unlink(f.dir, f.name, seg.Key); err != nil {
		f.disregard(seg, skipNotRemovable, true, err)
	}
}

// Closed implements [segments.Origin].
func (f *file) Closed() { f.dir.release() }

// disregard reports a segment whose file is not to be read any more, and remembers it if its directory is still in use.
func (f *file) disregard(seg *segments.Segment, reason segment.Reason, removable bool, cause error) {
	var st unix.Stat_t
	if f.dir == f.src.dir && unix.Fstat(seg.FD(), &st) == nil {
		f.src.skip(f.name, stampOf(&st), reason, removable, cause)
	} else {
		f.src.report(f.name, reason, cause)
	}
}

// moved notes that the file has another name now.
func (f *file) moved(d *directory, name string) {
	f.name = name
	if f.dir != d {
		d.held++
		f.dir.release()
		f.dir = d
	}
}

// unlink removes a name if it is still the given file's, a regular file with one link. The caller
// knows that it began like a segment; whether this user may remove it the kernel decides.
func unlink(d *directory, name string, key segments.Key) error {
	var st unix.Stat_t
	if unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || segments.KeyOf(&st) != key || Unfit(&st) != "" {
		return nil
	}
	if err := unix.Unlinkat(d.fd, name, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove segment: %w", err)
	}
	return nil
}
