package segmenttest

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"
)

// Live is a segment in a directory, mapped and locked like a client's.
type Live struct {
	Path   string
	memory []byte
}

// Publish writes a segment and gives it a name, as docs/segment-format.md tells.
func Publish(dir, name string, b []byte) (*Live, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make file: %w", err)
	}
	defer unix.Close(fd) // the mapping keeps the lock
	if _, err := unix.Write(fd, b); err != nil {
		return nil, fmt.Errorf("write file: %w", err)
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, fmt.Errorf("lock file: %w", err)
	}
	l := &Live{Path: filepath.Join(dir, name)}
	if l.memory, err = unix.Mmap(fd, 0, len(b), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, fmt.Errorf("map file: %w", err)
	}
	if err := unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), unix.AT_FDCWD, l.Path, unix.AT_SYMLINK_FOLLOW); err != nil {
		l.Die()
		return nil, fmt.Errorf("link file: %w", err)
	}
	return l, nil
}

// Die unmaps the segment: to others, its process is dead.
func (l *Live) Die() {
	if l.memory != nil {
		_ = unix.Munmap(l.memory)
		l.memory = nil
	}
}

// Word is the word at an offset, of StripeWord, SharedWord or the header.
func (l *Live) Word(offset int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&l.memory[offset]))
}

// Add appends a record to the catalogue, and publishes it.
func (l *Live) Add(r Record) {
	used := l.Word(layout.OffCatalogueUsed)
	b := r.Append(nil)
	copy(l.memory[CatalogueOffset+int(used.Load()):], b)
	used.Add(uint64(len(b)))
}

// Fixed overwrites a field that a client never changes.
func (l *Live) Fixed(offset int, value uint64) {
	binary.NativeEndian.PutUint64(l.memory[offset:], value)
}
