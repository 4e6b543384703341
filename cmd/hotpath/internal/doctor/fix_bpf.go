package doctor

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/capability"
	processes "github.com/hotpath-metrics/hotpath/internal/process"
	"github.com/hotpath-metrics/hotpath/internal/source/bpf/kernel"
)

var bpfRights = []capability.Capability{capability.BPF, capability.Perfmon, capability.SysPtrace}

func fixBPF(err error) string {
	var silent *silentError
	switch {
	case errors.Is(err, unix.EMFILE):
		return moreDescriptors
	case errors.As(err, &silent):
		return fixMemfd(silent.why)
	case processes.CheckNamespace() != nil:
		return inHostPIDs
	case strings.Contains(err.Error(), "/sys/kernel/btf/vmlinux"):
		return "boot a kernel with CONFIG_DEBUG_INFO_BTF=y, Linux 5.12 or later"
	case kernel.LockedDown("confidentiality"):
		return "boot with lockdown=integrity"
	case len(capability.Lacking(capability.BPF, capability.Perfmon)) > 0:
		return grant(bpfRights...)
	case strings.Contains(err.Error(), "seccomp"):
		if inUserNamespace() {
			return "run the Collector outside of the user namespace (docker run --userns=host)"
		}
		return refusedBySeccomp("bpf")
	case strings.Contains(err.Error(), "make memfd"):
		return fixMemfd(err.Error())
	case strings.Contains(err.Error(), "Linux 5.12"):
		return "boot Linux 5.12 or later"
	case len(capability.Lacking(capability.SysPtrace)) > 0 && errors.Is(err, os.ErrPermission):
		return grant(bpfRights...)
	case errors.Is(err, unix.ENOMEM):
		return "ulimit -l unlimited"
	}
	return ""
}

// fixReach is about what the source cannot see, if a sentence is about that.
func fixReach(sentence string) string {
	switch {
	case strings.Contains(sentence, "before Linux 6.16"):
		return "boot Linux 6.16 or later"
	case !strings.Contains(sentence, "CAP_SYS_PTRACE"):
		return ""
	}
	return grant(append(bpfRights, capability.DACReadSearch, capability.CheckpointRestore)...)
}

func fixProbes(err error) string {
	if len(capability.Lacking(capability.BPF, capability.Perfmon)) == 0 && strings.Contains(err.Error(), "CAP_SYS_ADMIN") {
		return grant(capability.BPF, capability.Perfmon, capability.SysAdmin)
	}
	return fixBPF(err)
}

func fixMemfd(why string) string {
	switch {
	case strings.Contains(why, unix.EMFILE.Error()):
		return "ulimit -n 4096"
	case strings.Contains(why, unix.ENOSYS.Error()), strings.Contains(why, unix.EPERM.Error()):
		return refusedBySeccomp("memfd_create")
	case strings.Contains(why, unix.EFBIG.Error()), strings.Contains(why, "RLIMIT_FSIZE"):
		return "ulimit -f unlimited"
	case strings.Contains(why, unix.ENOMEM.Error()):
		return "ulimit -v unlimited"
	}
	return ""
}
