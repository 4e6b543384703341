package doctor

import (
	"os"
	"strings"

	"github.com/hotpath-metrics/hotpath/internal/capability"
)

// program is the Collector's, in commands that give it rights.
const program = "./otelcol-hotpath"

// What gives a Collector in a container what it lacks.
const (
	inHostPIDs = "docker run --pid=host (hostPID: true in Kubernetes)"
	shmSize    = "docker run --shm-size=256m (a memory emptyDir at /dev/shm in Kubernetes)"
)

// grant is the command that gives the Collector capabilities.
func grant(caps ...capability.Capability) string {
	lacking := capability.Lacking(caps...)
	if len(lacking) == 0 {
		return ""
	}
	if container() != "" {
		var add []string
		for _, name := range lacking {
			add = append(add, "--cap-add="+strings.TrimPrefix(name, "CAP_"))
		}
		if os.Geteuid() != 0 { // who gets none of them
			add = append(add, "--user=0")
		}
		return "docker run " + strings.Join(add, " ")
	}
	var all []string // setcap takes those away that are not named
	for _, c := range caps {
		all = append(all, strings.ToLower(c.String()))
	}
	return "setcap " + strings.Join(all, ",") + "+ep " + program
}

// refusedBySeccomp says what to do about a system call that a filter refuses.
func refusedBySeccomp(call string) string {
	if container() != "" {
		return "docker run --security-opt seccomp=PROFILE, one that allows " + call
	}
	return "SystemCallFilter=" + call + " in the unit of systemd that filters it"
}

// moreDescriptors are what a Collector on a host should have.
const moreDescriptors = "ulimit -n 65536"
