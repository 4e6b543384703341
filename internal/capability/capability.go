// Package capability tells which of the kernel's capabilities this process has (capabilities(7)).
package capability

import "golang.org/x/sys/unix"

// Capability is one that something takes.
type Capability struct {
	number uint
	name   string
	// orAdmin says that it was split off from CAP_SYS_ADMIN, which still does.
	orAdmin bool
}

// Capabilities by their names without CAP_.
var (
	BPF               = Capability{unix.CAP_BPF, "CAP_BPF", true}
	Perfmon           = Capability{unix.CAP_PERFMON, "CAP_PERFMON", true}
	SysAdmin          = Capability{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN", false}
	SysPtrace         = Capability{unix.CAP_SYS_PTRACE, "CAP_SYS_PTRACE", false}
	DACReadSearch     = Capability{unix.CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH", false}
	CheckpointRestore = Capability{unix.CAP_CHECKPOINT_RESTORE, "CAP_CHECKPOINT_RESTORE", true}
)

// All are those above.
var All = []Capability{BPF, Perfmon, SysAdmin, SysPtrace, DACReadSearch, CheckpointRestore}

// String is the name.
func (c Capability) String() string { return c.name }

// Lacking names those that this process does not have.
func Lacking(takes ...Capability) (names []string) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var has [2]unix.CapUserData
	if err := unix.Capget(&header, &has[0]); err != nil {
		has = [2]unix.CapUserData{}
	}
	is := func(c Capability) bool { return has[c.number/32].Effective&(1<<(c.number%32)) != 0 }
	for _, c := range takes {
		if is(c) || c.orAdmin && is(SysAdmin) {
			continue
		}
		names = append(names, c.name)
	}
	return names
}

// Has says whether this process has it.
func (c Capability) Has() bool { return len(Lacking(c)) == 0 }
