//go:build linux && (amd64 || arm64)

package hotpath

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

// instance is the id of this process's segments, or a random one where the
// kernel doesn't tell enough for all of them to have the same.
func instance() [segment.InstanceSize]byte {
	p, err := kernelsView()
	if err != nil {
		var id [segment.InstanceSize]byte
		binary.NativeEndian.PutUint64(id[:8], rand.Uint64())
		binary.NativeEndian.PutUint64(id[8:], rand.Uint64())
		return id
	}
	return p.Instance()
}

func kernelsView() (*segment.Process, error) {
	bootID, err := readLine("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, err
	}
	stat, err := readLine("/proc/self/stat")
	if err != nil {
		return nil, err
	}
	// The command, field 2, may hold blanks and parentheses.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return nil, fmt.Errorf("read /proc/self/stat: %d fields", len(fields)+2)
	}
	start, err := strconv.ParseUint(fields[22-3], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("read /proc/self/stat: %w", err)
	}
	var namespace, exe unix.Stat_t
	if err := unix.Stat("/proc/self/ns/pid", &namespace); err != nil {
		return nil, fmt.Errorf("look at the pid namespace: %w", err)
	}
	if err := unix.Stat("/proc/self/exe", &exe); err != nil {
		return nil, fmt.Errorf("look at the executable: %w", err)
	}
	return &segment.Process{
		BootID: bootID, PIDNamespace: namespace.Ino, PID: os.Getpid(), StartTime: start,
		ExeDevice: exe.Dev, ExeInode: exe.Ino,
	}, nil
}

// readLine reads a file of one short line. The os package would start the network poller for it.
func readLine(path string) (string, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(fd)
	var line [1024]byte
	n, err := unix.Read(fd, line[:])
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return strings.TrimSuffix(string(line[:n]), "\n"), nil
}
