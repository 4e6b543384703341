package process

import (
	"bytes"
	"path"
	"strings"
)

// containerIDLength is that of the ids that Docker, containerd, CRI-O and podman give, in hexadecimal digits.
const containerIDLength = 64

// ContainerID finds the id in a list of cgroups (cgroups(7)): the last part of a path, without the runtime's name before it and `.scope` behind.
func ContainerID(cgroups []byte) string {
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
