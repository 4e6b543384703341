package segments

import (
	"os"
	"strconv"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	processes "github.com/hotpath-metrics/hotpath/internal/process"
)

// Identify has the segment's resource say what the kernel knows of its process. It is for a source to call that has the pid from the kernel.
func (s *Segment) Identify(pid uint32) {
	s.Scope = uint64(pid)
	s.Who.PID = uint64(pid)
	s.Who.Executable = processes.ExecutableName(int(pid))
	if cgroups, err := os.ReadFile("/proc/" + strconv.FormatUint(uint64(pid), 10) + "/cgroup"); err == nil {
		if id := processes.ContainerID(cgroups); id != "" {
			s.Attributes = []emit.Attribute{{Key: "container.id", Type: emit.AttributeString, Str: id}}
		}
	}
}
