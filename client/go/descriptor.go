//go:build linux && (amd64 || arm64)

package hotpath

import (
	"errors"
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/userevent"
)

// heardBit is the bit of stripes.ready that the kernel keeps set while somebody listens: the sign.
const heardBit = 31

// descriptor is the file that events are written to.
type descriptor struct {
	openFile
	index uint32 // of the event, in this open file
}

// register opens the file and tells the kernel where the bit is.
func (u *updates) register() (*descriptor, error) {
	fd, err := userevent.Open()
	if err != nil {
		return nil, err
	}
	// First, since others may already find the file under the number that was closed.
	index, err := u.enlist(fd)
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	d, err := newDescriptor(fd)
	if err != nil {
		return nil, err
	}
	d.index = index
	if err := d.lift(); err != nil {
		return nil, err
	}
	return d, nil
}

// enlist has the kernel know the bit, and returns the event's index. It may know the bit from a descriptor that was closed: then
// it goes on keeping it. To have it forget for a moment would be a moment in which updates are not written.
func (u *updates) enlist(fd int) (index uint32, err error) {
	// The kernel keeps a list of bits for each thread and those it started.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// Any bit that it doesn't know gives the index.
	if index, err = userevent.Register(fd, unsafe.Pointer(&u.probe), heardBit, 4, 0, userevent.Declaration); err != nil {
		return 0, err
	}
	if err = userevent.Unregister(fd, unsafe.Pointer(&u.probe), heardBit); err != nil {
		return 0, err
	}
	word := &u.client.stripes.ready
	if word.Load() >= 0 { // replace cleared it, maybe
		if err = userevent.Unregister(fd, unsafe.Pointer(word), heardBit); err != nil && !errors.Is(err, unix.ENOENT) {
			return 0, err
		}
	}
	if _, err = userevent.Register(fd, unsafe.Pointer(word), heardBit, 4, 0, userevent.Declaration); err != nil && !errors.Is(err, userevent.ErrDeclared) {
		return 0, err
	}
	return index, nil
}

// newDescriptor takes a descriptor over.
func newDescriptor(fd int) (*descriptor, error) {
	f, err := newOpenFile(fd)
	if err != nil {
		return nil, err
	}
	return &descriptor{openFile: f}, nil
}

// inherit makes the calling thread one of those for which the kernel knows the bit, and has it set the bit right: it
// forgets the bit with the last of them. There is nothing to do where it is one already, or can't be made one.
func (d *descriptor) inherit(word *atomic.Int32) {
	_, _ = userevent.Register(d.fd, unsafe.Pointer(word), heardBit, 4, 0, userevent.Declaration)
}

// write writes an event. It neither blocks nor allocates, so the scheduler need not know.
func (d *descriptor) write(head *[userevent.IndexSize + userevent.HeaderSize]byte, record, resource []byte, buckets []uint64) unix.Errno {
	parts := [4]unix.Iovec{{Base: &head[0], Len: uint64(len(head))}}
	count := 1
	for _, part := range [...][]byte{record, resource} {
		parts[count] = unix.Iovec{Base: unsafe.SliceData(part), Len: uint64(len(part))}
		count++
	}
	if len(buckets) > 0 {
		parts[count] = unix.Iovec{Base: (*byte)(unsafe.Pointer(&buckets[0])), Len: uint64(len(buckets) * 8)}
		count++
	}
	// Unlike writev, pwritev fails with pipes and sockets, one of which may have got the number.
	_, _, errno := unix.RawSyscall6(unix.SYS_PWRITEV, uintptr(d.fd), uintptr(unsafe.Pointer(&parts)), uintptr(count), 0, 0, 0)
	runtime.KeepAlive(head)
	runtime.KeepAlive(buckets)
	return errno
}
