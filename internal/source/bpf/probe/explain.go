package probe

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// capability is one that something takes, or, where it was split off from that, CAP_SYS_ADMIN.
type capability struct {
	number  uint
	name    string
	orAdmin bool
}

var (
	capBPF     = capability{unix.CAP_BPF, "CAP_BPF", true}
	capPerfmon = capability{unix.CAP_PERFMON, "CAP_PERFMON", true}
	capAdmin   = capability{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN", false}
	capPtrace  = capability{unix.CAP_SYS_PTRACE, "CAP_SYS_PTRACE", false}
	capSearch  = capability{unix.CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH", false}
	capRestore = capability{unix.CAP_CHECKPOINT_RESTORE, "CAP_CHECKPOINT_RESTORE", true}
)

// explain makes a sentence of what the kernel answers. The words of the BPF library, which takes any refusal for a limit of locked memory, would mislead.
func explain(err error, what string, takes ...capability) error {
	if !denied(err) {
		return err
	}
	lacking := lacking(takes)
	if len(lacking) == 0 {
		return fmt.Errorf("no right to %s: the kernel grants it neither in a user namespace nor while it is locked down for confidentiality", what)
	}
	return fmt.Errorf("no right to %s: the Collector lacks %s (AmbientCapabilities= in a systemd unit, securityContext.capabilities.add in Kubernetes)",
		what, strings.Join(lacking, " and "))
}

func explainLoad(err error) error {
	return explain(err, "load BPF programs", capBPF, capPerfmon)
}

// explainAttach is about links. Where the kernel has none for many places at once, each place takes an event of perf, which administrators alone may have.
func (c *common) explainAttach(err error) error {
	if c.multi {
		return explain(err, "attach probes", capPerfmon)
	}
	return explain(err, "attach probes", capPerfmon, capAdmin)
}

// explainMapping is about a file that another process runs; nil, if that has ended. A file that has no path any more takes more.
func explainMapping(err error, tid uint32) error {
	if errors.Is(unix.Kill(int(tid), 0), unix.ESRCH) {
		return nil
	}
	const what = "open a file that another process runs"
	removed := []capability{capSearch, capRestore}
	switch {
	case errors.Is(err, unix.ENOENT) && len(lacking(removed)) > 0:
		return explain(unix.EPERM, what+", which was removed or replaced", removed...)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESRCH):
		return nil // it was unmapped
	case len(lacking([]capability{capPtrace})) == 0:
		return explain(err, what, removed...)
	}
	return explain(err, what, capPtrace)
}

func denied(err error) bool {
	var refused *ebpf.VerifierError
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) && !errors.As(err, &refused)
}

// lacking names those that this process does not have.
func lacking(takes []capability) (names []string) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var has [2]unix.CapUserData
	if err := unix.Capget(&header, &has[0]); err != nil {
		has = [2]unix.CapUserData{}
	}
	is := func(c capability) bool { return has[c.number/32].Effective&(1<<(c.number%32)) != 0 }
	for _, c := range takes {
		if is(c) || c.orAdmin && is(capAdmin) {
			continue
		}
		names = append(names, c.name)
	}
	return names
}
