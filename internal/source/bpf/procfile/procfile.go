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
	if st, err = Stat(fd); err != nil {
		return -1, st, fmt.Errorf("open %s: %w", path, err)
	}
	return fd, st, nil
}

// Stat is about a regular file. It closes the descriptor of anything else.
func Stat(fd int) (st unix.Stat_t, err error) {
	if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = ErrNotRegular
	}
	if err != nil {
		unix.Close(fd)
	}
	return st, err
}

// Link returns the path by which this process has a descriptor of its own.
func Link(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// Reopen opens for reading what was located.
func Reopen(fd int) (int, error) {
	return unix.Open(Link(fd), unix.O_RDONLY|unix.O_CLOEXEC, 0)
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

// maxMaps is how much is read to find a mapping, some hundred thousand of them.
const maxMaps = 32 << 20

func mappedPath(pid uint32, start uint64) (path string, err error) {
	want := strconv.AppendUint(nil, start, 16)
	_, err = Mappings(pid, maxMaps, func(line []byte) bool {
		from, rest, _ := bytes.Cut(line, []byte("-"))
		_, name, ok := bytes.Cut(rest, []byte("/"))
		path = "/" + string(name)
		return ok && bytes.Equal(bytes.TrimLeft(from, "0"), want)
	})
	return path, err
}

// ErrNoMapping says that a process has no such mapping.
var ErrNoMapping = fmt.Errorf("no such mapping: %w", unix.ENOENT)

// Mappings hands over the lines of a process's /proc/PID/maps until one is found. It returns how many bytes it read, and reads about a limit at most.
func Mappings(pid uint32, limit int64, found func(line []byte) bool) (read int64, err error) {
	f, err := os.Open(Path(pid, "maps"))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); read < limit && lines.Scan(); {
		read += int64(len(lines.Bytes()))
		if found(lines.Bytes()) {
			return read, nil
		}
	}
	return read, ErrNoMapping
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
