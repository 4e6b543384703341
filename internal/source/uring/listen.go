package uring

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/source/segments"
)

// backlog is how many clients may wait until they are accepted; the kernel cuts it to net.core.somaxconn.
const backlog = 4096

// attempts is how often a socket is made that somebody removes at once.
const attempts = 10

// listener is the socket at which clients connect.
type listener struct {
	fd   int
	path string // "" for an abstract name, which has nothing of the rest
	lock int    // descriptor of a file that says whose the path is
	gone int    // inotify: the socket or its directory was removed or renamed; -1 where there is none
	key  segments.Key
}

// listen makes the socket, again if somebody removes it, or its directory, meanwhile. The error says what is in the way.
func listen(name string, mode uint32) (l *listener, err error) {
	for range attempts {
		if l, err = listenOnce(name, mode); err == nil && l.lost() {
			err = fmt.Errorf("socket %s was removed: %w", name, unix.ENOENT)
			l.close()
		}
		if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ESTALE) {
			return l, err
		}
	}
	return nil, err
}

func listenOnce(name string, mode uint32) (*listener, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make socket: %w", err)
	}
	l := &listener{fd: fd, lock: -1, gone: -1}
	if strings.HasPrefix(name, "@") {
		err = l.bind(name)
	} else {
		err = l.bindFile(name, mode)
	}
	if err == nil {
		if err = unix.Listen(fd, backlog); err != nil {
			err = fmt.Errorf("listen at socket %s: %w", name, err)
		}
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *listener) bind(name string) error {
	err := unix.Bind(l.fd, &unix.SockaddrUnix{Name: name})
	if errors.Is(err, unix.EADDRINUSE) {
		return inUse(name)
	}
	if err != nil {
		return fmt.Errorf("bind socket %s: %w", name, err)
	}
	return nil
}

func inUse(name string) error {
	return fmt.Errorf("socket %s is in use: another Collector listens there; stop it, or give this one another socket", name)
}

// bindFile takes the place of a socket at which nobody listens any more.
func (l *listener) bindFile(path string, mode uint32) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // all clients have to reach the socket in it
		return fmt.Errorf("make the socket's directory: %w", err)
	}
	// Two collectors that find a stale socket at a time must not both remove it: one of them removes the other's.
	lock, err := unix.Open(path+".lock", unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("lock socket %s: %w; can the Collector write to the directory?", path, err)
	}
	l.lock = lock
	if err := unix.Flock(lock, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return inUse(path)
	}
	if err := removeStale(path); err != nil {
		return err
	}
	if err := l.bind(path); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return fmt.Errorf("stat socket: %w", err)
	}
	l.path, l.key = path, segments.KeyOf(&st)
	if err := l.setMode(mode); err != nil { // before anybody can connect
		return fmt.Errorf("set mode of socket: %w", err)
	}
	l.watchPath()
	return nil
}

// setMode changes the mode of the socket, and of nothing that somebody may have put in its place.
func (l *listener) setMode(mode uint32) error {
	fd, err := unix.Open(l.path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if segments.KeyOf(&st) != l.key {
		return unix.ESTALE
	}
	return unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), mode)
}

// watchPath has somebody who removes the socket noticed at once. Where that cannot be had, each collection looks. What others
// do in the directory wakes nobody.
func (l *listener) watchPath() {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return
	}
	const self = unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
	_, err = unix.InotifyAddWatch(fd, l.path, self|unix.IN_ATTRIB|unix.IN_DONT_FOLLOW) // it loses its name
	if err == nil {
		_, err = unix.InotifyAddWatch(fd, filepath.Dir(l.path), self|unix.IN_ONLYDIR)
	}
	if err != nil {
		unix.Close(fd)
		return
	}
	l.gone = fd
}

// lost says whether nobody can connect any more, since the path leads to another file or none.
func (l *listener) lost() bool {
	if l.path == "" {
		return false
	}
	var st unix.Stat_t
	return unix.Lstat(l.path, &st) != nil || segments.KeyOf(&st) != l.key
}

func removeStale(path string) error {
	var st unix.Stat_t
	err := unix.Lstat(path, &st)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stat socket: %w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return fmt.Errorf("%s is there already and no socket: remove it, or name another path", path)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make socket: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); !errors.Is(err, unix.ECONNREFUSED) {
		return inUse(path)
	}
	if err := unix.Unlink(path); err != nil {
		return fmt.Errorf("remove stale socket: %w", err)
	}
	return nil
}

// close removes the socket, if it is still this one that has the path.
func (l *listener) close() {
	unix.Close(l.fd)
	if l.path != "" && !l.lost() {
		_ = unix.Unlink(l.path)
	}
	for _, fd := range []int{l.lock, l.gone} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	l.fd, l.lock, l.gone, l.key = -1, -1, -1, segments.Key{}
}
