package uring

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/source/segments"
)

// Trial is a socket at which a source can be tried: what keeps one from listening at the configured socket keeps it from this one, and
// nobody who is connected there notices.
type Trial struct {
	// Config is that of the source to try.
	Config
	// InUse is what Start says while another collector listens at the configured socket.
	InUse error
	// Made are the files and directories that there may be afterwards and were not before, in the order in which to remove them.
	Made []string
}

// Try finds the place. The error is what Start says where it cannot get so far.
func Try(cfg Config, name string) (*Trial, error) {
	t := &Trial{Config: cfg}
	t.Optional = false
	if strings.HasPrefix(cfg.Socket, "@") {
		t.Socket = "@" + name
		if listening(cfg.Socket) {
			t.InUse = inUse(cfg.Socket)
		}
		return t, nil
	}
	if err := lookAtSocket(cfg.Socket); err != nil {
		return nil, err
	}
	if locked(cfg.Socket + ".lock") {
		t.InUse = inUse(cfg.Socket)
	}
	directory := filepath.Dir(cfg.Socket)
	t.Socket = filepath.Join(directory, name)
	if len(t.Socket) > maxSocket {
		return nil, fmt.Errorf("try a socket beside %s: there is no room in a socket's address for so long a path", cfg.Socket)
	}
	t.Made = []string{t.Socket, t.Socket + ".lock"}
	for ; !exists(directory); directory = filepath.Dir(directory) {
		t.Made = append(t.Made, directory)
	}
	return t, nil
}

func exists(path string) bool {
	var st unix.Stat_t
	return unix.Lstat(path, &st) == nil
}

// lookAtSocket fails where something else has the path.
func lookAtSocket(path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&os.ModeSocket != 0 {
		return nil
	}
	return removeStale(path) // which removes nothing but sockets
}

func locked(path string) bool {
	var st unix.Stat_t
	return unix.Lstat(path, &st) == nil && segments.LockHolder(&st) != 0
}

// listening says whether a socket has an abstract name, by the kernel's list.
func listening(name string) bool {
	list, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(list)) {
		if strings.HasSuffix(line, " "+name+"\n") {
			return true
		}
	}
	return false
}
