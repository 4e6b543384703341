package probe

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// initialCgroups is the kernel's first cgroup namespace (CGROUP_NS_INIT_INO, linux/proc_ns.h).
const initialCgroups = "cgroup:[4026531835]"

// findCgroup tells the programs which cgroup's hits count: none, while the folder is not there.
func (s *Source) findCgroup(p *probe) error {
	if p.cfg.Filter.Cgroup == nil {
		return nil
	}
	if link, err := os.Readlink("/proc/self/ns/cgroup"); err == nil && link != initialCgroups {
		return errors.New("filter::cgroup: the Collector is in a cgroup namespace of its own, where the kernel's cgroups cannot be named: " +
			"run it in the host's (docker run --cgroupns=host), or use another filter")
	}
	id, err := cgroupID(*p.cfg.Filter.Cgroup)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("filter::cgroup: %w", err)
	}
	if (id == 0) != p.noCgroup {
		p.noCgroup = id == 0
		if p.noCgroup {
			s.logger.Warn("Nothing is counted until there is the cgroup of a filter",
				zap.String("probe", p.cfg.where()), zap.Stringp("cgroup", p.cfg.Filter.Cgroup))
		}
	}
	if id == p.reader.freed.Cgroup {
		return nil
	}
	p.reader.freed.Cgroup = id
	return p.publish()
}

// cgroupID is what the kernel tells a cgroup by: the inode of its folder.
func cgroupID(path string) (uint64, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	root, err := cgroupRoot(f)
	if err != nil {
		return 0, err
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(root, path), &st); err != nil {
		return 0, fmt.Errorf("stat %s: %w", filepath.Join(root, path), err)
	}
	return st.Ino, nil
}

// cgroupRoot finds where the root of cgroup v2 is mounted (proc_pid_mountinfo(5)).
func cgroupRoot(mountinfo io.Reader) (string, error) {
	lines := bufio.NewScanner(mountinfo)
	for lines.Scan() {
		mount, kind, _ := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(mount)
		if len(fields) < 5 || fields[3] != "/" || !strings.HasPrefix(kind, "cgroup2 ") {
			continue
		}
		return unescaped(fields[4]), nil
	}
	if err := lines.Err(); err != nil {
		return "", fmt.Errorf("read mounts: %w", err)
	}
	return "", errors.New("the root of cgroup v2 is not mounted")
}

// unescaped takes back what the kernel made of spaces and the like: their octal numbers behind backslashes.
func unescaped(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '\\' && i+3 < len(path) {
			if n, err := strconv.ParseUint(path[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(path[i])
	}
	return b.String()
}
