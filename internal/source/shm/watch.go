package shm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// watch tells of new names in a directory as they appear.
type watch struct{ file *os.File }

// event is a new name, or lost if there were more than the kernel could keep.
type event struct {
	name string
	lost bool
}

// newWatch watches a directory.
func newWatch(d *directory) (*watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("make inotify instance: %w", err)
	}
	// By descriptor, so that it is this directory whatever its path leads to now.
	path := "/proc/self/fd/" + strconv.Itoa(d.fd)
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_ONLYDIR); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("watch directory %q: %w", d.path, err)
	}
	return &watch{os.NewFile(uintptr(fd), "inotify")}, nil
}

// run calls notify until the watch is closed. Between events it sleeps in the runtime's poller.
func (w *watch) run(notify func([]event)) {
	buffer := make([]byte, 16<<10)
	for {
		n, err := w.file.Read(buffer)
		if err != nil {
			return // closed
		}
		if events := parseEvents(buffer[:n]); len(events) > 0 {
			notify(events)
		}
	}
}

func (w *watch) close() { w.file.Close() }

// parseEvents reads struct inotify_event (linux/inotify.h).
func parseEvents(b []byte) []event {
	var events []event
	for len(b) >= unix.SizeofInotifyEvent {
		mask := binary.NativeEndian.Uint32(b[4:])
		length := int64(binary.NativeEndian.Uint32(b[12:]))
		b = b[unix.SizeofInotifyEvent:]
		if length > int64(len(b)) {
			break
		}
		name, _, _ := bytes.Cut(b[:length], []byte{0})
		b = b[length:]
		if mask&unix.IN_Q_OVERFLOW != 0 {
			events = append(events, event{lost: true})
		} else if len(name) > 0 && name[0] != '.' {
			events = append(events, event{name: string(name)})
		}
	}
	return events
}
