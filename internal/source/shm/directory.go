package shm

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/source/segments"
)

// directory is one directory of segments, open, locked and watched. It stays
// open for as long as a segment from it is held, even if another took its place.
type directory struct {
	path         string
	fd           int
	key          segments.Key
	lock         int
	lockKey      segments.Key
	watch        *watch
	lastDelivery time.Time // by an earlier collector; zero if there was none
	held         int       // segments
	left         bool      // another directory took its place
}

// openDirectory makes the directory if it is missing, and locks it.
func openDirectory(cfg Config, logger *zap.Logger) (*directory, error) {
	if _, err := groupID(cfg.Group); err != nil { // before anything is made
		return nil, err
	}
	fd, made, err := openOrMake(cfg)
	if err != nil {
		return nil, err
	}
	d := &directory{path: cfg.Directory, fd: fd, lock: -1}
	if err := d.prepare(cfg, made, logger); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func open(path string) (int, error) {
	return unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

func openOrMake(cfg Config) (fd int, made bool, err error) {
	mode, err := cfg.mode()
	if err != nil {
		return -1, false, err
	}
	for {
		fd, err = open(cfg.Directory)
		if !errors.Is(err, unix.ENOENT) {
			break
		}
		// Closed to others until its owner and mode are right.
		if err = unix.Mkdir(cfg.Directory, mode&0o700); err != nil && !errors.Is(err, unix.EEXIST) {
			return -1, false, fmt.Errorf("make directory %q: %w: make it by hand or set shm::directory", cfg.Directory, err)
		}
		made = made || err == nil
	}
	if err != nil {
		return -1, false, explainOpen(cfg.Directory, err)
	}
	return fd, made, nil
}

func explainOpen(path string, err error) error {
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return fmt.Errorf("open directory %q: it is %s: remove it or set shm::directory to a real directory", path, describe(path))
	}
	return fmt.Errorf("open directory %q: %w: the collector's user must be able to list it", path, err)
}

func describe(path string) string {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return "below something that is no directory"
	case info.Mode()&os.ModeSymlink != 0:
		return "a symbolic link"
	default:
		return "not a directory"
	}
}

func (d *directory) prepare(cfg Config, made bool, logger *zap.Logger) error {
	var st unix.Stat_t
	if err := unix.Fstat(d.fd, &st); err != nil {
		return fmt.Errorf("stat directory %q: %w", d.path, err)
	}
	d.key = segments.KeyOf(&st)
	var fs unix.Statfs_t
	if err := unix.Fstatfs(d.fd, &fs); err != nil {
		return fmt.Errorf("stat file system of %q: %w", d.path, err)
	}
	logger = logger.With(zap.String("directory", d.path))
	tmpfs := fs.Type == unix.TMPFS_MAGIC
	own, adopt := whose(&st, tmpfs)
	// What is new here can be no other collector's, and must be closed to others' tricks before it is locked.
	if made || adopt {
		if err := d.own(cfg, true, adopt); err != nil {
			return err
		}
	}
	if adopt {
		logger.Info("Adopted the segment directory of another user", zap.Uint32("uid", st.Uid))
	}
	if err := d.acquire(); err != nil {
		return err
	}
	// From here on it is this collector's to change, and to complain about.
	if own && !made {
		if err := d.own(cfg, false, false); err != nil {
			return err
		}
	}
	if !tmpfs {
		logger.Warn(onDisk)
	}
	if !own && !adopt {
		logger.Warn(ofAnother, zap.Uint32("uid", st.Uid))
	}
	return nil
}

// What is worth a word about a directory that does.
const (
	onDisk    = "The segment directory is not on tmpfs: counting may wait for a disk"
	ofAnother = "The segment directory belongs to another user: segments that this collector's user may not read are skipped, " +
		"and those of others are not removed when they end"
)

// whose says whether a directory is this user's, or is to be.
func whose(st *unix.Stat_t, tmpfs bool) (own, adopt bool) {
	euid := os.Geteuid()
	own = int(st.Uid) == euid
	return own, !own && euid == 0 && tmpfs
}

// own gives the directory the configured group and mode, whatever the umask: the default
// mode only if it is new here. If adopt is set it gives it this user, too.
func (d *directory) own(cfg Config, isNew, adopt bool) error {
	uid := -1
	if adopt {
		uid = os.Geteuid()
	}
	gid, err := groupID(cfg.Group)
	if err != nil {
		return err
	}
	// Owner before mode: chown clears the set-group-id bit.
	if uid >= 0 || gid >= 0 {
		if err := unix.Fchown(d.fd, uid, gid); err != nil {
			return fmt.Errorf("change owner of directory %q: %w", d.path, err)
		}
	}
	if cfg.Mode == "" && !isNew {
		return nil
	}
	mode, err := cfg.mode()
	if err != nil {
		return err
	}
	if err := unix.Fchmod(d.fd, mode); err != nil {
		return fmt.Errorf("change mode of directory %q: %w", d.path, err)
	}
	return nil
}

// groupID is -1 for no name.
func groupID(name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	if gid, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(gid), nil
	}
	group, err := user.LookupGroup(name)
	if err != nil {
		return -1, fmt.Errorf("shm::group: %w: make it (groupadd %s), or give a number", err, name)
	}
	return strconv.Atoi(group.Gid)
}

// current says whether the path still leads here.
func (d *directory) current() bool {
	var st unix.Stat_t
	return unix.Lstat(d.path, &st) == nil && segments.KeyOf(&st) == d.key
}

// release gives one held segment back.
func (d *directory) release() {
	if d.held--; d.left && d.held == 0 {
		d.close()
	}
}

// leave stops watching a directory, and closes it when nothing in it is held.
func (d *directory) leave() {
	d.left = true
	if d.watch != nil {
		d.watch.close()
	}
	if d.held == 0 {
		d.close()
	}
}

func (d *directory) close() {
	if d.watch != nil {
		d.watch.close()
	}
	if d.lock >= 0 {
		unix.Close(d.lock)
	}
	unix.Close(d.fd)
}
