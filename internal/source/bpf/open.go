package bpf

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/source/bpf/procfile"
)

// name is what the kernel calls a client's memfd.
const name = "/memfd:" + layout.MemfdName + " (deleted)"

// errSeals is the reason of a memfd that has not all seals.
const errSeals segment.Reason = "seals"

// errOther says that a descriptor or mapping is of no memfd named hotpath, or not any more.
var errOther = errors.New("not a memfd named hotpath")

// memfds are on a file system of the kernel's own, which has this device.
func memfdDevice() (uint64, error) {
	fd, err := unix.MemfdCreate("hotpath-collector", unix.MFD_CLOEXEC)
	if err != nil {
		return 0, fmt.Errorf("make memfd: %w", err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, fmt.Errorf("stat memfd: %w", err)
	}
	return st.Dev, nil
}

// file is a memfd of another process, not open for reading yet.
type file struct {
	fd int
	st unix.Stat_t
}

// locate takes hold of what is behind a link in /proc, if it is a memfd.
func locate(link string, device uint64) (*file, error) {
	fd, st, err := procfile.Locate(link)
	if errors.Is(err, procfile.ErrNotRegular) {
		return nil, errOther
	}
	if err != nil {
		return nil, err
	}
	return hold(fd, st, device)
}

// locateDescriptor does so with a descriptor of a process. CAP_SYS_PTRACE alone does not open the folder that /proc has them in.
func locateDescriptor(pid, fd uint32, device uint64) (*file, error) {
	f, err := locate(procfile.Path(pid, "fd/"+strconv.FormatUint(uint64(fd), 10)), device)
	if !errors.Is(err, unix.EACCES) {
		return f, err
	}
	pidfd, err := unix.PidfdOpen(int(pid), 0)
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	defer unix.Close(pidfd)
	own, err := unix.PidfdGetfd(pidfd, int(fd), 0)
	if err != nil {
		return nil, fmt.Errorf("get descriptor %d of process %d: %w", fd, pid, err)
	}
	st, err := procfile.Stat(own)
	if err != nil {
		return nil, errOther
	}
	return hold(own, st, device)
}

// hold takes the descriptor of a file, if that is a memfd.
func hold(fd int, st unix.Stat_t, device uint64) (*file, error) {
	if st.Dev != device {
		unix.Close(fd)
		return nil, errOther
	}
	return &file{fd: fd, st: st}, nil
}

func (f *file) close() { _ = unix.Close(f.fd) }

// open opens it for reading, with a lock state of its own.
func (f *file) open() (int, error) {
	if got, err := os.Readlink(procfile.Link(f.fd)); err != nil || got != name {
		return -1, errOther
	}
	fd, err := procfile.Reopen(f.fd)
	if err != nil {
		return -1, fmt.Errorf("open memfd: %w", err)
	}
	// With its seals a memfd's size is final, and nobody but the process that has it mapped can write.
	has, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if has &= layout.MemfdSeals; err == nil && has != layout.MemfdSeals {
		err = fmt.Errorf("%w: has %#x of %#x", errSeals, has, layout.MemfdSeals)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// mappingAt returns the end of the mapping of a segment that begins at an address of a process, and how much it read to find that out.
func mappingAt(pid uint32, address uint64) (end uint64, read int64, err error) {
	read, err = procfile.Mappings(pid, maxMap, func(line []byte) (found bool) {
		start, until, ok := parseMapping(line)
		end, found = until, ok && start == address
		return found
	})
	if errors.Is(err, procfile.ErrNoMapping) {
		err = errOther
	}
	return end, read, err
}

// parseMapping takes a line like `7f0123456000-7f0123457000 rw-s 00000000 00:01 4711   /memfd:hotpath (deleted)`, if it is of
// a segment's beginning.
func parseMapping(line []byte) (start, end uint64, ok bool) {
	if !bytes.HasSuffix(line, []byte(name)) {
		return 0, 0, false
	}
	fields := bytes.Fields(line)
	if len(fields) != 7 || string(fields[5])+" "+string(fields[6]) != name || len(bytes.Trim(fields[2], "0")) != 0 {
		return 0, 0, false
	}
	from, to, _ := bytes.Cut(fields[0], []byte("-"))
	start, err := strconv.ParseUint(string(from), 16, 64)
	if err != nil {
		return 0, 0, false
	}
	end, err = strconv.ParseUint(string(to), 16, 64)
	return start, end, err == nil
}
