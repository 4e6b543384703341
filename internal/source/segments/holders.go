package segments

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLockLines bounds how much of /proc/locks is read: any user may add to it.
const maxLockLines = 1 << 20

// LockHolders returns which process took the write lock on each wanted file,
// as far as the kernel shows: it hides processes of other pid namespaces, and may name one
// that ended while a child of it keeps the lock.
func LockHolders(wanted map[Key]int) {
	f, err := os.Open("/proc/locks")
	if err != nil {
		return
	}
	defer f.Close()
	parseLocks(f, wanted)
}

// LockHolder returns which process took the write lock on a file, or 0: the same by a file's status. It asks nobody but the
// kernel's list: to try a lock, for however short a time, would keep a collector out that starts just then.
func LockHolder(st *unix.Stat_t) (pid int) {
	key := KeyOf(st)
	holders := map[Key]int{key: 0}
	LockHolders(holders)
	return holders[key]
}

// parseLocks reads lines like "1: FLOCK  ADVISORY  WRITE 1234 00:1b:5678 0 EOF".
func parseLocks(r io.Reader, wanted map[Key]int) {
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
		key := Key{Dev: unix.Mkdev(major, minor), Ino: ino}
		if _, ok := wanted[key]; ok {
			wanted[key] = pid
		}
	}
}
