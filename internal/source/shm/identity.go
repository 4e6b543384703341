package shm

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/process"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
)

// maxLockLines bounds how much of /proc/locks is read: any user may add to it.
const maxLockLines = 1 << 20

// lockHolders returns which process took the write lock on each wanted file,
// as far as the kernel shows: it hides processes of other pid namespaces, and may name one
// that ended while a child of it keeps the lock.
func lockHolders(wanted map[segments.Key]int) {
	f, err := os.Open("/proc/locks")
	if err != nil {
		return
	}
	defer f.Close()
	parseLocks(f, wanted)
}

// parseLocks reads lines like "1: FLOCK  ADVISORY  WRITE 1234 00:1b:5678 0 EOF".
func parseLocks(r io.Reader, wanted map[segments.Key]int) {
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
		key := segments.Key{Dev: unix.Mkdev(major, minor), Ino: ino}
		if _, ok := wanted[key]; ok {
			wanted[key] = pid
		}
	}
}

// identify completes what is known of the processes of segments that were just found.
func identify(fresh []*segments.Segment) {
	if len(fresh) == 0 {
		return
	}
	holders := map[segments.Key]int{}
	for _, seg := range fresh {
		if !seg.Dead() {
			holders[seg.Key] = 0
		}
	}
	if len(holders) == 0 {
		return
	}
	lockHolders(holders)
	for _, seg := range fresh {
		believe(&seg.Who, holders[seg.Key])
	}
}

// believe takes the lock's holder for the process, if it belongs to the file's owner. pid is 0 if it is not known.
func believe(who *process.Identity, pid int) {
	var st unix.Stat_t
	if pid > 0 && unix.Stat(fmt.Sprintf("/proc/%d", pid), &st) == nil && st.Uid == who.UID {
		who.PID, who.Executable = uint64(pid), process.ExecutableName(pid)
	}
}
