package doctor

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/capability"
	processes "github.com/hotpath-metrics/hotpath/internal/process"
	"github.com/hotpath-metrics/hotpath/internal/source/bpf/kernel"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/tracefs"
)

const bootUserEvents = "boot a kernel with CONFIG_USER_EVENTS=y, Linux 6.4 or later"

func fixTracefs() string {
	switch {
	case builtWithoutUserEvents(), mountingWouldNotDo():
		return bootUserEvents
	case container() != "" && !capability.SysAdmin.Has():
		return "docker run -v /sys/kernel/tracing:/sys/kernel/tracing"
	}
	return "mount -t tracefs nodev /sys/kernel/tracing"
}

// builtWithoutUserEvents asks the kernel's symbols, which anybody may read the names of: who may not look into tracefs cannot find out otherwise
// whether it would be worth the right.
func builtWithoutUserEvents() bool {
	symbols, err := os.ReadFile("/proc/kallsyms")
	return err == nil && bytes.Contains(symbols, []byte(" schedule\n")) && !bytes.Contains(symbols, []byte(" user_events_write"))
}

// mountingWouldNotDo mounts tracefs where nobody else sees it, if this user may, and looks whether the kernel has user_events.
func mountingWouldNotDo() bool {
	absent := make(chan bool)
	go func() {
		runtime.LockOSThread() // which ends with the goroutine
		const at = "/sys/kernel"
		known := unix.Unshare(unix.CLONE_NEWNS|unix.CLONE_FS) == nil &&
			unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") == nil &&
			unix.Mount("nodev", at, "tracefs", 0, "") == nil
		absent <- known && !exists(at+"/user_events_data")
	}()
	return <-absent
}

func fixUserEvents(err error) string {
	switch {
	case processes.CheckNamespace() != nil:
		return inHostPIDs
	case errors.Is(err, tracefs.ErrNotMounted):
		return fixTracefs()
	case errors.Is(err, tracefs.ErrUnsupported):
		return bootUserEvents
	case kernel.LockedDown("confidentiality"):
		return "boot with lockdown=integrity"
	case errors.Is(err, os.ErrPermission) && builtWithoutUserEvents():
		return bootUserEvents
	case errors.Is(err, os.ErrPermission):
		return "setcap cap_dac_override+ep " + program
	case errors.Is(err, unix.ENOMEM):
		return "user_events::buffer_size_kb: 64"
	case errors.Is(err, unix.EMFILE):
		return "sysctl -w kernel.user_events_max=65536"
	}
	return ""
}

// fixUserEventsClient is about what a client says.
func fixUserEventsClient(why string) string {
	switch {
	case strings.Contains(why, "is not mounted"):
		return fixTracefs()
	case strings.Contains(why, "has no user_events"):
		return bootUserEvents
	case strings.Contains(why, unix.EACCES.Error()) && builtWithoutUserEvents():
		return bootUserEvents
	case strings.Contains(why, unix.EACCES.Error()):
		return fmt.Sprintf("cd /sys/kernel/tracing && chgrp %d . user_events_data && chmod g+x . && chmod g+rw user_events_data", os.Getgid())
	case strings.Contains(why, "user_events_max"):
		return "sysctl -w kernel.user_events_max=65536"
	}
	return ""
}
