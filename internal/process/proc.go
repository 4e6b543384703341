package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// initialNamespace is the inode of the kernel's first pid namespace (PROC_PID_INIT_INO, linux/proc_ns.h).
const initialNamespace = 0xEFFFFFFC

// tick is 1 s / USER_HZ, in which /proc/<pid>/stat has times on every 64-bit architecture that Go knows.
const tick = time.Second / 100

var errMalformed = errors.New("malformed")

// proc reads a mounted procfs.
type proc struct {
	root   string
	buffer [4096]byte
}

// checkNamespace fails where the pids of kernel records are not those in /proc.
func (p *proc) checkNamespace() error {
	link, err := os.Readlink(p.root + "/self/ns/pid")
	if err != nil {
		return fmt.Errorf("find own pid namespace: %w; is /proc mounted?", err)
	}
	if link != fmt.Sprintf("pid:[%d]", initialNamespace) {
		return errors.New("the kernel names writers by pids of the host, which mean nothing in this pid namespace: " +
			"run the Collector in the host's (docker run --pid=host, hostPID: true in Kubernetes)")
	}
	return nil
}

// CheckNamespace fails where this process's pid namespace is not the kernel's first, or /proc is not mounted: the pids
// that the kernel tells mean nothing there.
func CheckNamespace() error {
	p := proc{root: "/proc"}
	return p.checkNamespace()
}

// read returns the start of a file, up to the next call.
func (p *proc) read(id int32, name string) ([]byte, error) {
	path := p.root + "/" + strconv.Itoa(int(id)) + "/" + name
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, p.buffer[:])
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return p.buffer[:n], nil
}

// owner returns the process of a thread, and the user id that it runs as.
func (p *proc) owner(tid int32) (pid int32, uid uint32, err error) {
	status, err := p.read(tid, "status")
	if err != nil {
		return 0, 0, err
	}
	return parseStatus(status)
}

// parseStatus finds `Tgid:	1234` and the second of `Uid:	real	effective	saved	fs`. The name of the
// program stands before them, but the kernel writes a line feed in it as \n.
func parseStatus(status []byte) (pid int32, uid uint32, err error) {
	for line := range bytes.Lines(status) {
		switch key, values, _ := bytes.Cut(line, []byte(":")); string(key) {
		case "Tgid":
			n, err := strconv.ParseInt(string(bytes.TrimSpace(values)), 10, 32)
			if err != nil || n <= 0 {
				return 0, 0, fmt.Errorf("read Tgid in status: %w", errMalformed)
			}
			pid = int32(n)
		case "Uid":
			ids := bytes.Fields(values)
			if len(ids) != 4 || pid == 0 {
				return 0, 0, fmt.Errorf("read Uid in status: %w", errMalformed)
			}
			n, err := strconv.ParseUint(string(ids[1]), 10, 32)
			if err != nil {
				return 0, 0, fmt.Errorf("read Uid in status: %w", errMalformed)
			}
			return pid, uint32(n), nil
		}
	}
	return 0, 0, fmt.Errorf("read status: %w", errMalformed)
}

// started returns the start time of a process in ticks since boot.
func (p *proc) started(pid int32) (ticks uint64, err error) {
	stat, err := p.read(pid, "stat")
	if err != nil {
		return 0, err
	}
	return parseStat(stat)
}

// parseStat finds field 22. The second is the program's name in parentheses, which may hold any character.
func parseStat(stat []byte) (ticks uint64, err error) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return 0, fmt.Errorf("read stat: %w", errMalformed)
	}
	if ticks, err = strconv.ParseUint(string(fields[19]), 10, 63); err != nil {
		return 0, fmt.Errorf("read start time in stat: %w", errMalformed)
	}
	return ticks, nil
}

// hasThread says whether a thread is still that process's.
func (p *proc) hasThread(pid, tid int32) bool {
	path := p.root + "/" + strconv.Itoa(int(pid)) + "/task/" + strconv.Itoa(int(tid))
	return unix.Access(path, unix.F_OK) == nil
}

// executable returns the name of the program that a process runs, "" if it can't be told. A zombie has lost its
// program and still has a name.
func (p *proc) executable(pid int32) string {
	dir := p.root + "/" + strconv.Itoa(int(pid))
	name := ""
	if exe, err := os.Readlink(dir + "/exe"); err == nil {
		name = filepath.Base(strings.TrimSuffix(exe, " (deleted)"))
	} else if comm, err := p.read(pid, "comm"); err == nil {
		name = string(bytes.TrimSuffix(comm, []byte("\n")))
	}
	return strings.ToValidUTF8(name, "\ufffd")
}

// ExecutableName returns the name of the program that a process runs, "" if it can't be told.
func ExecutableName(pid int) string {
	p := proc{root: "/proc"}
	return p.executable(int32(pid))
}

// unixTime converts ticks since boot into UNIX nanoseconds.
func unixTime(ticks uint64) int64 {
	return time.Now().UnixNano() - int64(sinceBoot()) + int64(ticks)*int64(tick)
}

func sinceBoot() time.Duration {
	var boot unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot); err != nil {
		panic(err) // Linux has this clock since 2.6.39
	}
	return time.Duration(boot.Nano())
}

// UIDOf returns the user id that a process runs as.
func UIDOf(pid int) (uint32, error) {
	p := proc{root: "/proc"}
	_, uid, err := p.owner(int32(pid))
	return uid, err
}
