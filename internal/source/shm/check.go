package shm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/source/segments"
)

// Trial is a place in which a source can be tried: what keeps one out of the configured directory keeps it out of there, and nobody
// who has that one open notices.
type Trial struct {
	// Config is that of the source to try.
	Config
	// Missing says that there is no directory yet: it is tried out whether it could be made.
	Missing bool
	// InUse is what Start says while another collector has the directory.
	InUse error
	// Warnings are what Start logs of the directory.
	Warnings []string
}

// Try finds the place. The error is what Start says where it cannot get so far. What becomes of the place is the caller's to remove.
func Try(cfg Config, name string) (*Trial, error) {
	t := &Trial{Config: cfg}
	t.Optional = false
	fd, err := open(cfg.Directory)
	if errors.Is(err, unix.ENOENT) {
		t.Missing = true
		t.Directory = filepath.Join(filepath.Dir(cfg.Directory), name)
		return t, nil
	}
	if err != nil {
		return nil, explainOpen(cfg.Directory, err)
	}
	d := &directory{path: cfg.Directory, fd: fd, lock: -1}
	defer d.close()
	if err := t.look(d); err != nil {
		return nil, err
	}
	if err := unix.Mkdirat(fd, name, 0o700); err != nil {
		return nil, d.unwritable(err)
	}
	t.Directory = filepath.Join(cfg.Directory, name)
	return t, nil
}

// look finds out what Start would of a directory that is there, without taking it.
func (t *Trial) look(d *directory) error {
	var st unix.Stat_t
	if err := unix.Fstat(d.fd, &st); err != nil {
		return fmt.Errorf("stat directory %q: %w", d.path, err)
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(d.fd, &fs); err != nil {
		return fmt.Errorf("stat file system of %q: %w", d.path, err)
	}
	tmpfs := fs.Type == unix.TMPFS_MAGIC
	own, adopt := whose(&st, tmpfs)
	if !tmpfs {
		t.Warnings = append(t.Warnings, onDisk)
	}
	if !own && !adopt {
		t.Warnings = append(t.Warnings, ofAnother)
		t.Mode, t.Group = "", "" // it stays as it is
	}
	return t.lookAtLock(d, &st)
}

// lookAtLock says what would keep the directory from being locked.
func (t *Trial) lookAtLock(d *directory, dir *unix.Stat_t) error {
	var st unix.Stat_t
	if unix.Fstatat(d.fd, lockName, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return nil
	}
	euid := os.Geteuid()
	switch others := !ours(&st) && euid != 0 && int(dir.Uid) != euid; {
	case segments.LockHolder(&st) != 0:
		t.InUse = d.inUse()
	case others && dir.Mode&unix.S_ISVTX != 0:
		return d.unremovable(lockName, st.Uid, unix.EPERM)
	}
	return nil
}
