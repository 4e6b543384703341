package shm

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/source/segments"
)

// lockName is the file that a collector holds a lock on. Its modification time is
// when the last delivered collection began.
const lockName = ".collector"

// acquire locks the directory for this collector. A lock on the directory itself
// would not do: any user may open that and lock it. The file is readable by its owner alone.
func (d *directory) acquire() error {
	for range 100 {
		fd, fresh, err := d.openLock()
		if err != nil {
			return err
		}
		if fd < 0 {
			continue
		}
		if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
			unix.Close(fd)
			if errors.Is(err, unix.EWOULDBLOCK) {
				return d.inUse()
			}
			return fmt.Errorf("lock %s/%s: %w", d.path, lockName, err)
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			unix.Close(fd)
			return fmt.Errorf("stat %s/%s: %w", d.path, lockName, err)
		}
		d.lock, d.lockKey = fd, segments.KeyOf(&st)
		if !d.locked() { // removed between open and lock
			unix.Close(fd)
			d.lock = -1
			continue
		}
		if fresh {
			d.delivered(time.Unix(0, 0))
		} else if mtime := time.Unix(st.Mtim.Unix()); mtime.Unix() != 0 {
			d.lastDelivery = mtime
		}
		return nil
	}
	return fmt.Errorf("lock directory %q: other users keep putting files at %s", d.path, lockName)
}

// relock is for a lock file that was removed or replaced.
func (d *directory) relock() error {
	if d.lock >= 0 {
		unix.Close(d.lock)
		d.lock = -1
	}
	return d.acquire()
}

// openLock opens or makes the lock file. It returns -1 where another try may help.
func (d *directory) openLock() (fd int, fresh bool, err error) {
	const flags = unix.O_RDWR | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	var st unix.Stat_t
	err = unix.Fstatat(d.fd, lockName, &st, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case errors.Is(err, unix.ENOENT):
		fd, err = unix.Openat(d.fd, lockName, flags|unix.O_CREAT|unix.O_EXCL, 0o600)
		fresh = true
	case err != nil:
	case !ours(&st):
		return -1, false, d.evict(lockName, &st)
	default:
		fd, err = unix.Openat(d.fd, lockName, flags, 0)
	}
	switch {
	case errors.Is(err, unix.EEXIST), errors.Is(err, unix.ENOENT), errors.Is(err, unix.ELOOP):
		return -1, false, nil
	case err != nil:
		return -1, false, d.unwritable(err)
	}
	if err := unix.Fstat(fd, &st); err != nil || !ours(&st) {
		unix.Close(fd)
		return -1, false, nil
	}
	return fd, fresh, nil
}

func (d *directory) inUse() error {
	return fmt.Errorf("directory %q is in use by another collector, which holds the lock on %s/%s: "+
		"stop it or give this one another shm::directory", d.path, d.path, lockName)
}

func (d *directory) unwritable(err error) error {
	return fmt.Errorf("open %s/%s: %w: the collector's user must be able to write in the directory", d.path, lockName, err)
}

func (d *directory) unremovable(name string, uid uint32, err error) error {
	return fmt.Errorf("remove %s/%s, which belongs to user %d: %w: another collector may run, or the file must be removed by hand",
		d.path, name, uid, err)
}

// ours says whether a file can have been made by a collector of this user, and by nobody else.
func ours(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFREG && st.Nlink == 1 && int(st.Uid) == os.Geteuid()
}

// evict removes what somebody else put in the place of a file of the collector's.
func (d *directory) evict(name string, st *unix.Stat_t) error {
	var err error
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		// It may not be empty; renaming it always works.
		err = unix.Renameat(d.fd, name, d.fd, ".evicted-"+rand.Text())
	} else {
		err = unix.Unlinkat(d.fd, name, 0)
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return d.unremovable(name, st.Uid, err)
	}
	return nil
}

// locked says whether the lock file is still this collector's.
func (d *directory) locked() bool {
	var st unix.Stat_t
	return unix.Fstatat(d.fd, lockName, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && segments.KeyOf(&st) == d.lockKey
}

// delivered leaves word for a later collector that what was there at t was delivered.
func (d *directory) delivered(t time.Time) {
	at := unix.NsecToTimeval(t.UnixNano())
	// Where this fails, a later collector only takes this one's processes for new.
	_ = unix.Futimes(d.lock, []unix.Timeval{at, at})
}
