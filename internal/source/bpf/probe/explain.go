package probe

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/capability"
	"github.com/hotpath-metrics/hotpath/internal/source/bpf/kernel"
)

// explain makes a sentence of what the kernel answers. The words of the BPF library, which takes any refusal for a limit of locked memory, would mislead.
func explain(err error, what string, takes ...capability.Capability) error {
	if !kernel.Denied(err) {
		return err
	}
	lacking := capability.Lacking(takes...)
	if len(lacking) == 0 {
		return fmt.Errorf("no right to %s: the kernel grants it neither in a user namespace nor while it is locked down for confidentiality", what)
	}
	return fmt.Errorf("no right to %s: the Collector lacks %s (AmbientCapabilities= in a systemd unit, securityContext.capabilities.add in Kubernetes)",
		what, strings.Join(lacking, " and "))
}

func explainLoad(err error) error {
	return explain(err, "load BPF programs", capability.BPF, capability.Perfmon)
}

// explainAttach is about links. Where the kernel has none for many places at once, each place takes an event of perf, which administrators alone may have.
func (c *common) explainAttach(err error) error {
	if c.multi {
		return explain(err, "attach probes", capability.Perfmon)
	}
	return explain(err, "attach probes", capability.Perfmon, capability.SysAdmin)
}

// explainMapping is about a file that another process runs; nil, if that has ended. A file that has no path any more takes more.
func explainMapping(err error, tid uint32) error {
	if errors.Is(unix.Kill(int(tid), 0), unix.ESRCH) {
		return nil
	}
	const what = "open a file that another process runs"
	removed := []capability.Capability{capability.DACReadSearch, capability.CheckpointRestore}
	switch {
	case errors.Is(err, unix.ENOENT) && len(capability.Lacking(removed...)) > 0:
		return explain(unix.EPERM, what+", which was removed or replaced", removed...)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESRCH):
		return nil // it was unmapped
	case capability.SysPtrace.Has():
		return explain(err, what, removed...)
	}
	return explain(err, what, capability.SysPtrace)
}
