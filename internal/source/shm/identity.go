package shm

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	processes "github.com/hotpath-metrics/hotpath/internal/process"
)

// maxLockLines bounds how much of /proc/locks is read: any user may add to it.
const maxLockLines = 1 << 20

// lockHolders returns which process took the write lock on each wanted file,
// as far as the kernel shows: it hides processes of other pid namespaces, and may name one
// that ended while a child of it keeps the lock.
func lockHolders(wanted map[fileKey]int) {
	f, err := os.Open("/proc/locks")
	if err != nil {
		return
	}
	defer f.Close()
	parseLocks(f, wanted)
}

// parseLocks reads lines like "1: FLOCK  ADVISORY  WRITE 1234 00:1b:5678 0 EOF".
func parseLocks(r io.Reader, wanted map[fileKey]int) {
	lines := bufio.NewScanner(r)
	for n := 0; n < maxLockLines && lines.Scan(); n++ {
		if !bytes.Contains(lines.Bytes(), []byte(" FLOCK ")) {
			continue
		}
		fields := strings.Fields(lines.Text())
		if len(fields) != 8 || fields[3] != "WRITE" {
			continue
		}
		pid, err := strconv.Atoi(fields[4])
		if err != nil || pid <= 0 {
			continue
		}
		var major, minor uint32
		var ino uint64
		if _, err := fmt.Sscanf(fields[5], "%x:%x:%d", &major, &minor, &ino); err != nil {
			continue
		}
		key := fileKey{unix.Mkdev(major, minor), ino}
		if _, ok := wanted[key]; ok {
			wanted[key] = pid
		}
	}
}

// identify completes a process's resource with what the kernel knows. pid is from lockHolders, 0 if unknown.
func identify(client []emit.Attribute, uid uint32, pid int, claimed uint64, instance [16]byte) []emit.Attribute {
	who := processes.Identity{PID: claimed & math.MaxInt64, UID: uid}
	var st unix.Stat_t
	if pid > 0 && unix.Stat(fmt.Sprintf("/proc/%d", pid), &st) == nil && st.Uid == uid {
		who.PID, who.Executable = uint64(pid), processes.ExecutableName(pid)
	}
	return processes.SetMissing(who.Describe(client), "service.instance.id", processes.UUID(instance))
}
