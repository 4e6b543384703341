package dump

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/source/bpf/procfile"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
)

// file is the file that the user named, open.
type file struct {
	*os.File
	path string
	stat unix.Stat_t
	memo string // what the kernel calls a memfd, or ""
}

// open opens nothing but a regular file: opening a FIFO waits, and opening a device may do anything.
func open(path string) (*file, error) {
	f, st, err := procfile.Open(path)
	if err != nil {
		return nil, err
	}
	opened := &file{File: f, path: path, stat: *st}
	link, err := os.Readlink("/proc/self/fd/" + strconv.FormatUint(uint64(f.Fd()), 10))
	if name, ok := strings.CutPrefix(link, "/memfd:"); err == nil && ok {
		opened.memo = strings.TrimSuffix(name, " (deleted)")
	}
	return opened, nil
}

// head is the header, or as much of it as there is.
func (f *file) head() ([]byte, error) {
	b := make([]byte, layout.HeaderSize)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read header: %w", err)
	}
	return b[:n], nil
}

// Writer is what the lock tells of the process that counts in the segment.
type Writer struct {
	Live bool
	// PID is the process that took the lock, as far as the kernel says; 0 if it does not.
	PID int
}

// writer probes the lock, as the Collector does. A file that is no segment yet may be about to be locked: that one it leaves alone.
func (f *file) writer(head []byte) (*Writer, error) {
	if !segment.HasMagic(head) {
		return nil, nil
	}
	live, err := segments.Alive(int(f.Fd()))
	if err != nil || !live {
		return &Writer{}, err
	}
	return &Writer{true, segments.LockHolder(&f.stat)}, nil
}

// seals are those that a memfd has to have and has not.
func (f *file) seals() (missing int, err error) {
	has, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	if err != nil {
		return 0, fmt.Errorf("get seals: %w", err)
	}
	return layout.MemfdSeals &^ has, nil
}
