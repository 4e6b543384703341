// Package procfile opens files that other processes have, through /proc, whatever those processes made of them.
package procfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// ErrNotRegular says that a path leads to something else than a file: a device, a FIFO.
var ErrNotRegular = errors.New("not a regular file")

// Path returns that of a file about a process or thread in /proc.
func Path(pid uint32, rest string) string {
	return "/proc/" + strconv.FormatUint(uint64(pid), 10) + "/" + rest
}

// MappingPath returns that of the file that a process has mapped there.
func MappingPath(pid uint32, start, end uint64) string {
	return Path(pid, fmt.Sprintf("map_files/%x-%x", start, end))
}

// Locate takes hold of what a path leads to, without opening it, so that nothing of a driver runs, whatever it is.
func Locate(path string) (fd int, st unix.Stat_t, err error) {
	fd, err = unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, st, fmt.Errorf("open %s: %w", path, err)
	}
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return -1, st, fmt.Errorf("stat %s: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		unix.Close(fd)
		return -1, st, fmt.Errorf("open %s: %w", path, ErrNotRegular)
	}
	return fd, st, nil
}

// Reopen opens for reading what was located.
func Reopen(fd int) (int, error) {
	return unix.Open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDONLY|unix.O_CLOEXEC, 0)
}

// Open opens a regular file for reading.
func Open(path string) (*os.File, *unix.Stat_t, error) {
	fd, st, err := Locate(path)
	if err != nil {
		return nil, nil, err
	}
	defer unix.Close(fd)
	opened, err := Reopen(fd)
	if err != nil {
		return nil, nil, fmt.Errorf("open %s: %w", path, err)
	}
	return os.NewFile(uintptr(opened), path), &st, nil
}

// OpenMapping opens the file that a process has mapped there: by the mapping itself, for which it takes CAP_CHECKPOINT_RESTORE, or else
// by the path that it had, as the process sees it.
func OpenMapping(pid uint32, start, end uint64) (*os.File, *unix.Stat_t, error) {
	f, st, err := Open(MappingPath(pid, start, end))
	if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
		return f, st, err
	}
	path, lookErr := mappedPath(pid, start)
	if lookErr != nil {
		return nil, nil, errors.Join(err, lookErr)
	}
	return Open(Path(pid, "root"+path))
}

func mappedPath(pid uint32, start uint64) (string, error) {
	f, err := os.Open(Path(pid, "maps"))
	if err != nil {
		return "", err
	}
	defer f.Close()
	want := strconv.AppendUint(nil, start, 16)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		from, rest, _ := bytes.Cut(lines.Bytes(), []byte("-"))
		if !bytes.Equal(bytes.TrimLeft(from, "0"), want) {
			continue
		}
		if _, path, ok := bytes.Cut(rest, []byte("/")); ok {
			return "/" + string(path), nil
		}
	}
	return "", fmt.Errorf("find mapping of process %d: %w", pid, unix.ENOENT)
}

// Paused reads what a BPF iterator lists, and reads on where the kernel has paused: it does so after a million items of which it had
// nothing to tell.
type Paused struct{ io.Reader }

func (p Paused) Read(b []byte) (int, error) {
	for {
		if n, err := p.Reader.Read(b); n > 0 || !errors.Is(err, unix.EAGAIN) {
			return n, err
		}
	}
}
