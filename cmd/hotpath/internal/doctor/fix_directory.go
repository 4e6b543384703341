package doctor

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// fixDirectory is about a directory that the source cannot use.
func fixDirectory(path string, err error) string {
	var silent *silentError
	parent := filepath.Dir(path)
	switch {
	case errors.As(err, &silent):
		return fixClientDirectory(path, silent.why)
	case errors.Is(err, unix.ENOENT) && parent == "/dev/shm":
		return "mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /dev/shm"
	case strings.Contains(err.Error(), "remove it or set"):
		return "rm " + path
	case errors.Is(err, unix.EROFS):
		return "mount -o remount,rw " + mountOf(path)
	case strings.Contains(err.Error(), "must be removed by hand"):
		return "rm " + path + "/.collector"
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return largerTmpfs(path)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return "install -d -m 1777 " + path
	case errors.Is(err, unix.EMFILE):
		return moreDescriptors
	}
	return ""
}

// fixClientDirectory is about a directory that a client cannot use, for a reason that it gives.
func fixClientDirectory(path, why string) string {
	parent := filepath.Dir(path)
	switch {
	case strings.Contains(why, "less than a quarter free"), strings.Contains(why, unix.ENOSPC.Error()):
		return largerTmpfs(path)
	case strings.Contains(why, "less than 64 MiB free"):
		return "HOTPATH_DIR=/dev/shm/hotpath"
	case strings.Contains(why, "is not on tmpfs") && parent == "/dev/shm":
		return "mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /dev/shm"
	case strings.Contains(why, "is not on tmpfs"):
		return "install -d -m 1777 " + path
	case strings.Contains(why, "is not an absolute path"), strings.Contains(why, unix.EOPNOTSUPP.Error()):
		return "HOTPATH_DIR=/dev/shm/hotpath"
	case strings.Contains(why, unix.ENOENT.Error()) && parent == "/dev/shm":
		return "mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /dev/shm"
	case strings.Contains(why, unix.EACCES.Error()), strings.Contains(why, unix.ENOENT.Error()):
		return "install -d -m 1777 " + path
	case strings.Contains(why, unix.ENOTDIR.Error()), strings.Contains(why, unix.ELOOP.Error()):
		return "rm " + path
	case strings.Contains(why, unix.EROFS.Error()):
		return "mount -o remount,rw " + mountOf(path)
	case strings.Contains(why, "is a Collector running"):
		return "start a Collector, which removes what has ended in " + path
	case strings.Contains(why, unix.EMFILE.Error()):
		return "ulimit -n 4096"
	case strings.Contains(why, "RLIMIT_FSIZE"), strings.Contains(why, unix.EFBIG.Error()):
		return "ulimit -f unlimited"
	}
	return ""
}

func largerTmpfs(path string) string {
	if container() != "" {
		return shmSize
	}
	mount := mountOf(path)
	var fs unix.Statfs_t
	if unix.Statfs(mount, &fs) != nil {
		return ""
	}
	return fmt.Sprintf("mount -o remount,size=%dm %s", max(64, 2*int64(fs.Blocks)*fs.Bsize>>20), mount)
}

// mountOf is the mount point of the file system that a path is on, or would be.
func mountOf(path string) string {
	for !exists(path) {
		path = filepath.Dir(path)
	}
	var at, above unix.Stat_t
	for ; path != "/"; path = filepath.Dir(path) {
		if unix.Stat(path, &at) != nil || unix.Stat(filepath.Dir(path), &above) != nil || at.Dev != above.Dev {
			break
		}
	}
	return path
}

// smallTmpfs has a word on one that few processes fill.
func smallTmpfs(path string) []Note {
	var fs unix.Statfs_t
	mount := mountOf(path)
	if unix.Statfs(mount, &fs) != nil || fs.Type != unix.TMPFS_MAGIC {
		return nil
	}
	const small = 128 << 20
	size := int64(fs.Blocks) * fs.Bsize
	if size >= small || size == 0 {
		return nil
	}
	return []Note{{fmt.Sprintf("%s has %d MiB: when less than a quarter is free, processes count in memfds, which take the source bpf", mount, size>>20), largerTmpfs(path)}}
}
