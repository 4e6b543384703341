package shm

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/source/segments"
)

// linux/futex.h
const (
	futexWait  = 0
	futexWake  = 1
	futexEvery = 1<<31 - 1 // of those who wait
	futexWord  = 0         // what the word holds, always
)

// After each drain rings are left alone for restAtLeast, and for restFactor times what the drain took: anybody may ring, as often as he likes.
const (
	restAtLeast = time.Millisecond
	restFactor  = 1
)

const doorbellMode = 0o444

// doorbell is the file that clients ring when a measurement ring fills. One thread waits on it, for its whole life.
type doorbell struct {
	dir *directory
	key segments.Key
	// The file's page is nothing but an address for the kernel: an access could be a deadly signal, for the file may be truncated.
	page []byte

	quit   chan struct{} // closed to end run
	gone   chan struct{} // closed by run
	thread atomic.Int64  // of run, once it runs
	failed atomic.Pointer[error]
}

// hearken makes sure that somebody waits at the directory's doorbell. Where that cannot be, collections alone drain the rings.
func (s *source) hearken() {
	if b := s.bell; b != nil {
		if b.current() { // of a file that somebody truncated or removed, nothing that befell it is news
			cause := b.failed.Load()
			if cause == nil {
				s.deaf = false
				return
			}
			s.warnDeaf(*cause)
		}
		s.hangUp()
	}
	b, err := openDoorbell(s.dir)
	if err != nil {
		s.warnDeaf(err)
		return
	}
	s.bell = b
	s.ringing.Go(func() { b.run(func() (bool, time.Duration) { return s.answer(b) }) })
}

func (s *source) warnDeaf(cause error) {
	if !s.deaf {
		s.deaf = true
		s.logger.Warn("Cannot wait for measurement rings to fill; they are read at each collection, and what they overwrite between two is lost",
			zap.Error(cause))
	}
}

// hangUp stops waiting. That takes as long as the drain that may be on its way, which may need the lock that is held now.
func (s *source) hangUp() {
	if s.bell != nil {
		s.ringing.Go(s.bell.close)
		s.bell = nil
	}
}

// answer drains the rings, and says whether that should be done again soon and how long it took.
func (s *source) answer(b *doorbell) (more bool, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bell != b {
		return false, 0
	}
	began := time.Now()
	more = s.drain()
	return more, time.Since(began)
}

// openDoorbell takes the file that an earlier collector has left, whose mappings clients may have, or makes one.
func openDoorbell(d *directory) (*doorbell, error) {
	for range 100 {
		fd, err := d.openBell()
		if err != nil {
			return nil, err
		}
		if fd < 0 {
			continue
		}
		b, err := newDoorbell(d, fd)
		unix.Close(fd)
		return b, err
	}
	return nil, fmt.Errorf("make %s/%s: other users keep putting files there", d.path, layout.Doorbell)
}

// openBell opens or makes the file. It returns -1 where another try may help.
func (d *directory) openBell() (fd int, err error) {
	var st unix.Stat_t
	err = unix.Fstatat(d.fd, layout.Doorbell, &st, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return d.makeBell()
	}
	if err != nil {
		return -1, fmt.Errorf("stat %s/%s: %w", d.path, layout.Doorbell, err)
	}
	if isBell(&st) {
		fd, err = unix.Openat(d.fd, layout.Doorbell, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return -1, fmt.Errorf("open %s/%s: %w", d.path, layout.Doorbell, err)
		}
		if silent(fd) {
			return fd, nil
		}
		unix.Close(fd)
	}
	return -1, d.evict(layout.Doorbell, &st)
}

// makeBell makes the file. Nobody can open it before it has its page: a wait for one that is still to be found room for might fail.
func (d *directory) makeBell() (fd int, err error) {
	fd, err = unix.Openat(d.fd, layout.Doorbell, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.EEXIST) {
		return -1, nil
	}
	if err != nil {
		return -1, fmt.Errorf("make %s/%s: %w", d.path, layout.Doorbell, err)
	}
	_, err = unix.Pwrite(fd, make([]byte, layout.DoorbellSize), 0)
	if err == nil {
		err = unix.Fchmod(fd, doorbellMode)
	}
	if err != nil {
		unix.Close(fd)
		return -1, errors.Join(fmt.Errorf("make %s/%s: %w", d.path, layout.Doorbell, err), unix.Unlinkat(d.fd, layout.Doorbell, 0))
	}
	return fd, nil
}

// isBell says whether a file can be the doorbell of a collector of this user.
func isBell(st *unix.Stat_t) bool {
	return ours(st) && st.Size == layout.DoorbellSize && st.Mode&0o7777 == doorbellMode
}

// silent says whether an open file is one at whose first word can be waited.
func silent(fd int) bool {
	var st unix.Stat_t
	word := [4]byte{1}
	n, err := unix.Pread(fd, word[:], 0)
	return err == nil && n == len(word) && word == [4]byte{} && unix.Fstat(fd, &st) == nil && isBell(&st)
}

func newDoorbell(d *directory, fd int) (*doorbell, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("stat %s/%s: %w", d.path, layout.Doorbell, err)
	}
	page, err := unix.Mmap(fd, 0, layout.DoorbellSize, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s/%s: %w", d.path, layout.Doorbell, err)
	}
	return &doorbell{dir: d, key: segments.KeyOf(&st), page: page, quit: make(chan struct{}), gone: make(chan struct{})}, nil
}

// current says whether it is the file that clients find.
func (b *doorbell) current() bool {
	var st unix.Stat_t
	return unix.Fstatat(b.dir.fd, layout.Doorbell, &st, unix.AT_SYMLINK_NOFOLLOW) == nil &&
		segments.KeyOf(&st) == b.key && isBell(&st)
}

// run drains when somebody rings, until close.
func (b *doorbell) run(drain func() (more bool, took time.Duration)) {
	defer close(b.gone)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b.thread.Store(int64(unix.Gettid()))
	for b.rings() {
		for more := true; more; {
			var took time.Duration
			more, took = drain()
			if !b.rest(max(restAtLeast, restFactor*took)) {
				return
			}
		}
	}
}

// rings waits for somebody to ring. It returns false at the end, which may be that one cannot wait any more.
func (b *doorbell) rings() bool {
	for {
		select {
		case <-b.quit:
			return false
		default:
		}
		switch errno := b.futex(futexWait, futexWord); {
		case errno == 0:
			return true
		case errno != unix.EINTR:
			err := fmt.Errorf("wait at %s/%s: %w", b.dir.path, layout.Doorbell, errno)
			b.failed.Store(&err)
			return false
		}
	}
}

// rest lets some time pass, and returns false if the end came.
func (b *doorbell) rest(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-b.quit:
		return false
	case <-t.C:
		return true
	}
}

// close ends run and waits for it. A wake that comes between its look at quit and its wait is lost, so there is more than one. None
// reaches who waits at a file that was truncated since: it takes a signal, after which the kernel looks at the address again. The
// runtime sends itself SIGURG all the time.
func (b *doorbell) close() {
	close(b.quit)
	for {
		if b.futex(futexWake, futexEvery) != 0 {
			if thread := b.thread.Load(); thread != 0 {
				_ = unix.Tgkill(unix.Getpid(), int(thread), unix.SIGURG)
			}
		}
		select {
		case <-b.gone:
			_ = unix.Munmap(b.page)
			return
		case <-time.After(time.Millisecond):
		}
	}
}

func (b *doorbell) futex(operation, value uintptr) unix.Errno {
	_, _, errno := unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&b.page[0])), operation, value, 0, 0, 0)
	return errno
}
