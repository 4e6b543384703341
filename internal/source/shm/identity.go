package shm

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/emit"
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
	resource := slices.Clone(client)
	executable := ""
	var st unix.Stat_t
	if pid > 0 && unix.Stat(fmt.Sprintf("/proc/%d", pid), &st) == nil && st.Uid == uid {
		executable = executableName(pid)
		resource = set(resource, emit.Attribute{Key: "process.pid", Type: emit.AttributeInt, Bits: uint64(pid)})
	} else {
		resource = set(resource, emit.Attribute{Key: "process.pid", Type: emit.AttributeInt, Bits: claimed & math.MaxInt64})
	}
	if executable != "" {
		resource = set(resource, emit.Attribute{Key: "process.executable.name", Type: emit.AttributeString, Str: executable})
	}
	resource = set(resource, emit.Attribute{Key: "process.user.id", Type: emit.AttributeInt, Bits: uint64(uid)})
	resource = setMissing(resource, "service.instance.id", uuid(instance))
	return setMissing(resource, "service.name", "unknown_service")
}

func executableName(pid int) string {
	name := ""
	if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil {
		name = filepath.Base(strings.TrimSuffix(exe, " (deleted)"))
	} else if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil {
		name = strings.TrimSuffix(string(comm), "\n")
	}
	return strings.ToValidUTF8(name, "\ufffd")
}

// set puts an attribute at its place in a sorted list.
func set(attributes []emit.Attribute, a emit.Attribute) []emit.Attribute {
	i, found := find(attributes, a.Key)
	if found {
		attributes[i] = a
		return attributes
	}
	return slices.Insert(attributes, i, a)
}

func setMissing(attributes []emit.Attribute, key, value string) []emit.Attribute {
	if i, found := find(attributes, key); found && attributes[i].Type == emit.AttributeString && attributes[i].Str != "" {
		return attributes
	}
	return set(attributes, emit.Attribute{Key: key, Type: emit.AttributeString, Str: value})
}

func find(attributes []emit.Attribute, key string) (int, bool) {
	return slices.BinarySearchFunc(attributes, key, func(a emit.Attribute, key string) int { return strings.Compare(a.Key, key) })
}

func uuid(b [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
