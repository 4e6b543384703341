package bpf

import (
	"bytes"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	processes "github.com/hotpath-metrics/hotpath/internal/process"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
)

// identify has the segment's resource say what the kernel knows of its process.
func identify(seg *segments.Segment, pid uint32) {
	seg.Scope = uint64(pid)
	seg.Who.PID = uint64(pid)
	seg.Who.Executable = processes.ExecutableName(int(pid))
	var st unix.Stat_t
	if unix.Stat(procPath(pid, ""), &st) == nil {
		seg.Who.UID = st.Uid
	}
	if cgroups, err := os.ReadFile(procPath(pid, "cgroup")); err == nil {
		if id := containerID(cgroups); id != "" {
			seg.Attributes = []emit.Attribute{{Key: "container.id", Type: emit.AttributeString, Str: id}}
		}
	}
}

// innerPID is the process's id as it sees itself, in the innermost pid namespace.
func innerPID(pid uint32) uint64 {
	status, err := os.ReadFile(procPath(pid, "status"))
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(status) {
		if ids, ok := bytes.CutPrefix(line, []byte("NSpid:")); ok {
			fields := bytes.Fields(ids)
			if len(fields) == 0 {
				return 0
			}
			n, _ := strconv.ParseUint(string(fields[len(fields)-1]), 10, 32)
			return n
		}
	}
	return 0
}

// containerIDLength is that of the ids that Docker, containerd, CRI-O and podman give, in hexadecimal digits.
const containerIDLength = 64

// containerID finds the id in a list of cgroups (cgroups(7)): the last part of a path, without the runtime's name before it and `.scope` behind.
func containerID(cgroups []byte) string {
	for line := range bytes.Lines(cgroups) {
		_, rest, _ := strings.Cut(strings.TrimSpace(string(line)), ":")
		_, group, _ := strings.Cut(rest, ":")
		for ; len(group) > 1; group = path.Dir(group) {
			id := strings.TrimSuffix(path.Base(group), ".scope")
			if i := strings.LastIndexAny(id, "-:"); i >= 0 {
				id = id[i+1:]
			}
			if len(id) == containerIDLength && strings.Trim(id, "0123456789abcdef") == "" {
				return id
			}
		}
	}
	return ""
}
