//go:build linux && (amd64 || arm64)

package hotpath

import (
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

const (
	defaultDirectory = "/dev/shm/hotpath"
	// maxEntries of a directory bound the litter where no Collector tidies up.
	maxEntries = 8192
	// minFree is what a filesystem on disk must have free, in bytes. A tmpfs, which may be small, must have a quarter.
	minFree = 64 << 20
)

// directory is where segments are published.
type directory struct {
	path string
	fd   int
	mode uint32 // of the segments in it
}

// openDirectory opens the directory, makes it where there is none, and checks that one more
// segment may be put there.
func openDirectory(path string) (*directory, error) {
	if !filepath.IsAbs(path) { // a daemon changes its working directory, and no Collector knows it
		return nil, fmt.Errorf("HOTPATH_DIR %q is not an absolute path", path)
	}
	fd, err := openAt(path)
	if errors.Is(err, unix.ENOENT) {
		if err := makeDirectory(path); err != nil {
			return nil, err
		}
		fd, err = openAt(path)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	d := &directory{path: path, fd: fd, mode: 0o600}
	if err := d.admit(); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func (d *directory) close() { _ = unix.Close(d.fd) }

func openAt(path string) (int, error) {
	return unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// advised adds to an error that keeps segments from a directory what to do about it.
func advised(err error) error {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return err
	}
	var advice string
	switch errno {
	case unix.ENOENT:
		advice = "create it or set HOTPATH_DIR"
	case unix.ENOTDIR, unix.ELOOP, unix.ENAMETOOLONG:
		advice = "set HOTPATH_DIR to a directory"
	case unix.EACCES:
		advice = "give this user the right to write there or set HOTPATH_DIR"
	case unix.EROFS:
		advice = "set HOTPATH_DIR to a directory that can be written to"
	case unix.EOPNOTSUPP:
		advice = "set HOTPATH_DIR to a directory on tmpfs"
	case unix.ENOSPC, unix.EDQUOT:
		advice = "make room there or set HOTPATH_DIR"
	case unix.EMFILE:
		advice = "raise the limit (ulimit -n)"
	default:
		return err
	}
	return fmt.Errorf("%w; %s", err, advice)
}

// makeDirectory makes a directory for everybody, as /tmp is, on tmpfs only: elsewhere
// a missing directory is more likely to be a mistake.
func makeDirectory(path string) error {
	parent := filepath.Dir(path)
	var fs unix.Statfs_t
	if err := unix.Statfs(parent, &fs); err != nil {
		return fmt.Errorf("look at %s: %w", parent, err)
	}
	if fs.Type != unix.TMPFS_MAGIC {
		return fmt.Errorf("make %s: %s is not on tmpfs, make the directory by hand", path, parent)
	}
	if err := unix.Mkdir(path, 0o777); err != nil {
		if errors.Is(err, unix.EEXIST) {
			return nil
		}
		return fmt.Errorf("make %s: %w", path, err)
	}
	fd, err := openAt(path)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(fd)
	// mkdir(2) heeds the umask and may ignore the sticky bit.
	if err := unix.Fchmod(fd, 0o1777); err != nil {
		return fmt.Errorf("chmod %s: %w", path, err)
	}
	return nil
}

// admit checks what bounds the memory and the files that all clients together take.
func (d *directory) admit() error {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(d.fd, &fs); err != nil {
		return fmt.Errorf("look at %s: %w", d.path, err)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(d.fd, &stat); err != nil {
		return fmt.Errorf("look at %s: %w", d.path, err)
	}
	if stat.Mode&unix.S_ISGID != 0 {
		d.mode = 0o640
	}
	var full bool
	if fs.Type == unix.TMPFS_MAGIC {
		if fs.Bavail < fs.Blocks/4 {
			return fmt.Errorf("the tmpfs of %s is less than a quarter free", d.path)
		}
		// linux/mm/shmem.c: 20 bytes an entry, and for the directory's own two.
		full = stat.Size/20-2 >= maxEntries
	} else {
		if int64(fs.Bavail)*fs.Bsize < minFree {
			return fmt.Errorf("the filesystem of %s has less than 64 MiB free", d.path)
		}
		full = d.entries() >= maxEntries
	}
	if full {
		return fmt.Errorf("%s holds %d files or more; is a Collector running?", d.path, maxEntries)
	}
	return nil
}

// create makes a file without a name.
func (d *directory) create() (openFile, error) {
	fd, err := unix.Openat(d.fd, ".", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return openFile{}, fmt.Errorf("create a file in %s: %w", d.path, err)
	}
	f, err := newOpenFile(fd)
	if err != nil {
		return openFile{}, err
	}
	if err := unix.Fchmod(fd, d.mode); err != nil {
		f.close()
		return openFile{}, fmt.Errorf("chmod the segment: %w", err)
	}
	return f, nil
}

// show gives the file its name and lets go of the descriptor: the mapping keeps the lock.
func (d *directory) show(f *file) error {
	err := unix.Linkat(f.fd, "", d.fd, f.name(), unix.AT_EMPTY_PATH)
	if err != nil {
		// The kernel wants CAP_DAC_READ_SEARCH for the above.
		self := fmt.Sprintf("/proc/self/fd/%d", f.fd)
		err = unix.Linkat(unix.AT_FDCWD, self, d.fd, f.name(), unix.AT_SYMLINK_FOLLOW)
	}
	if err != nil {
		return fmt.Errorf("link the segment into %s: %w", d.path, err)
	}
	f.close()
	return nil
}

// name is what the segment is called in a directory.
func (m *mapping) name() string {
	return fmt.Sprintf("%d-%016x", *m.word(segment.OffPID), *m.word(segment.OffSegmentID))
}

// entries counts the directory's entries, up to about the limit.
func (d *directory) entries() int {
	_, _ = unix.Seek(d.fd, 0, unix.SEEK_SET)
	buffer := make([]byte, 32<<10)
	count := -2 // . and ..
	for count < maxEntries {
		n, err := unix.Getdents(d.fd, buffer)
		if err != nil || n <= 0 {
			break
		}
		// A linux_dirent64 has its length at offset 16.
		for at := 0; at+18 <= n; count++ {
			at += int(buffer[at+16]) | int(buffer[at+17])<<8
		}
	}
	return count
}
