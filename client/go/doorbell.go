//go:build linux && (amd64 || arm64)

package hotpath

import (
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

const (
	futexWake = 1 // linux/futex.h: FUTEX_WAKE, and not private

	// For so long no other doorbell is looked for, if nobody waits at this one, or somebody, who need not be a Collector.
	lookAfter     = time.Second
	lookAfterWake = 10 * time.Second
)

// doorbell is the file at which a Collector waits for rings to fill. Nobody reads or writes it, so whatever
// becomes of it does no harm: where it is missing, the Collector comes by itself.
type doorbell struct {
	directory string         // none if the segment has none
	word      unsafe.Pointer // of its mapping, which is never unmapped: another doorbell's takes its place

	mu     sync.Mutex
	looked int64  // when, by nanotime
	dev    uint64 // what is mapped
	inode  uint64
}

// ring wakes a Collector that waits.
func (d *doorbell) ring() {
	after := lookAfter
	if word := atomic.LoadPointer(&d.word); word != nil {
		// The scheduler knows, since the kernel may have to fetch the page, and anybody may wait there.
		woken, _, errno := unix.Syscall6(unix.SYS_FUTEX, uintptr(word), futexWake, segment.DoorbellWaiters, 0, 0, 0)
		if errno == 0 && woken > 0 {
			after = lookAfterWake
		}
	}
	d.look(after)
}

// look sees whether there is another doorbell than the one that is mapped, unless that was done a short time ago.
func (d *doorbell) look(after time.Duration) {
	if d.directory == "" || !d.mu.TryLock() {
		return
	}
	defer d.mu.Unlock()
	if now := nanotime(); d.looked == 0 || now-d.looked >= int64(after) {
		d.looked = now
		d.open()
	}
}

// open maps the doorbell in the directory, if it is one.
func (d *doorbell) open() {
	dir, err := openAt(d.directory)
	if err != nil {
		return
	}
	defer unix.Close(dir)
	fd, err := unix.Openat(dir, segment.Doorbell, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	var directory, file unix.Stat_t
	if unix.Fstat(dir, &directory) != nil || unix.Fstat(fd, &file) != nil ||
		file.Mode&unix.S_IFMT != unix.S_IFREG || file.Dev != directory.Dev {
		return
	}
	at, flags := atomic.LoadPointer(&d.word), unix.MAP_SHARED
	if at != nil {
		if file.Ino == d.inode && file.Dev == d.dev {
			return
		}
		flags |= unix.MAP_FIXED // others may be at the old one, and go on there
	}
	if at, err = unix.MmapPtr(fd, 0, at, segment.DoorbellSize, unix.PROT_READ, flags); err == nil {
		d.dev, d.inode = file.Dev, file.Ino
		atomic.StorePointer(&d.word, at)
	}
}
