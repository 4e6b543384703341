package doctor

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/capability"
	processes "github.com/hotpath-metrics/hotpath/internal/process"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/tracefs"
)

// program is the Collector's, in commands that give it rights.
const program = "./otelcol-hotpath"

// What gives a Collector in a container what it lacks.
const (
	inHostPIDs = "docker run --pid=host (hostPID: true in Kubernetes)"
	shmSize    = "docker run --shm-size=256m (a memory emptyDir at /dev/shm in Kubernetes)"
)

// fixDirectory is about a directory that the source cannot use.
func fixDirectory(path string, err error) string {
	var silent *silentError
	parent := filepath.Dir(path)
	switch {
	case errors.As(err, &silent):
		return fixClientDirectory(path, silent.why)
	case errors.Is(err, unix.ENOENT) && parent == "/dev/shm":
		return "mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /dev/shm"
	case strings.Contains(err.Error(), "remove it or set"):
		return "rm " + path
	case errors.Is(err, unix.EROFS):
		return "mount -o remount,rw " + mountOf(path)
	case strings.Contains(err.Error(), "must be removed by hand"):
		return "rm " + path + "/.collector"
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return largerTmpfs(path)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return "install -d -m 1777 " + path
	case errors.Is(err, unix.EMFILE):
		return moreDescriptors
	}
	return ""
}

// fixClientDirectory is about a directory that a client cannot use, for a reason that it gives.
func fixClientDirectory(path, why string) string {
	parent := filepath.Dir(path)
	switch {
	case strings.Contains(why, "less than a quarter free"), strings.Contains(why, unix.ENOSPC.Error()):
		return largerTmpfs(path)
	case strings.Contains(why, "less than 64 MiB free"):
		return "HOTPATH_DIR=/dev/shm/hotpath"
	case strings.Contains(why, "is not on tmpfs") && parent == "/dev/shm":
		return "mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /dev/shm"
	case strings.Contains(why, "is not on tmpfs"):
		return "install -d -m 1777 " + path
	case strings.Contains(why, "is not an absolute path"), strings.Contains(why, unix.EOPNOTSUPP.Error()):
		return "HOTPATH_DIR=/dev/shm/hotpath"
	case strings.Contains(why, unix.ENOENT.Error()) && parent == "/dev/shm":
		return "mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /dev/shm"
	case strings.Contains(why, unix.EACCES.Error()), strings.Contains(why, unix.ENOENT.Error()):
		return "install -d -m 1777 " + path
	case strings.Contains(why, unix.ENOTDIR.Error()), strings.Contains(why, unix.ELOOP.Error()):
		return "rm " + path
	case strings.Contains(why, unix.EROFS.Error()):
		return "mount -o remount,rw " + mountOf(path)
	case strings.Contains(why, "is a Collector running"):
		return "start a Collector, which removes what has ended in " + path
	case strings.Contains(why, unix.EMFILE.Error()):
		return "ulimit -n 4096"
	case strings.Contains(why, "RLIMIT_FSIZE"), strings.Contains(why, unix.EFBIG.Error()):
		return "ulimit -f unlimited"
	}
	return ""
}

func largerTmpfs(path string) string {
	if container() != "" {
		return shmSize
	}
	mount := mountOf(path)
	var fs unix.Statfs_t
	if unix.Statfs(mount, &fs) != nil {
		return ""
	}
	return fmt.Sprintf("mount -o remount,size=%dm %s", max(64, 2*int64(fs.Blocks)*fs.Bsize>>20), mount)
}

// mountOf is the mount point of the file system that a path is on, or would be.
func mountOf(path string) string {
	for !exists(path) {
		path = filepath.Dir(path)
	}
	var at, above unix.Stat_t
	for ; path != "/"; path = filepath.Dir(path) {
		if unix.Stat(path, &at) != nil || unix.Stat(filepath.Dir(path), &above) != nil || at.Dev != above.Dev {
			break
		}
	}
	return path
}

// smallTmpfs has a word on one that few processes fill.
func smallTmpfs(path string) []Note {
	var fs unix.Statfs_t
	mount := mountOf(path)
	if unix.Statfs(mount, &fs) != nil || fs.Type != unix.TMPFS_MAGIC {
		return nil
	}
	const small = 128 << 20
	size := int64(fs.Blocks) * fs.Bsize
	if size >= small || size == 0 {
		return nil
	}
	return []Note{{fmt.Sprintf("%s has %d MiB: when less than a quarter is free, processes count in memfds, which take the source bpf", mount, size>>20), largerTmpfs(path)}}
}

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
	case lockedDown("confidentiality"):
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

var bpfRights = []capability.Capability{capability.BPF, capability.Perfmon, capability.SysPtrace}

// refusedBySeccomp says what to do about a system call that a filter refuses.
func refusedBySeccomp(call string) string {
	if container() != "" {
		return "docker run --security-opt seccomp=PROFILE, one that allows " + call
	}
	return "SystemCallFilter=" + call + " in the unit of systemd that filters it"
}

// moreDescriptors are what a Collector on a host should have.
const moreDescriptors = "ulimit -n 65536"

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
	case lockedDown("confidentiality"):
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

// fixSocket is about a place for the socket.
func fixSocket(socket string, err error) string {
	switch directory := filepath.Dir(socket); {
	case strings.Contains(err.Error(), "is there already and no socket"):
		return "rm " + socket
	case errors.Is(err, unix.EROFS):
		return `io_uring::socket: "@hotpath", and HOTPATH_SOCKET=@hotpath`
	case strings.Contains(err.Error(), "make the socket's directory"), strings.Contains(err.Error(), "can the Collector write"):
		return fmt.Sprintf("install -d -o %d %s", os.Geteuid(), directory)
	}
	return ""
}

func fixUring(socket string, err error) string {
	var silent *silentError
	if fix := fixSocket(socket, err); fix != "" {
		return fix
	}
	if errors.Is(err, unix.EMFILE) || strings.Contains(err.Error(), unix.EMFILE.Error()) {
		return moreDescriptors
	}
	switch scope := setting("/proc/sys/kernel/yama/ptrace_scope"); {
	case ringErrno() != 0 || errors.As(err, &silent):
		return fixRings()
	case strings.Contains(err.Error(), "make image"), strings.Contains(err.Error(), unix.EFBIG.Error()):
		return fixMemfd(err.Error())
	case scope == "3":
		return "kernel.yama.ptrace_scope=1 in /etc/sysctl.d, and reboot"
	case scope == "2" && !capability.SysPtrace.Has():
		return "setcap cap_sys_ptrace+ep " + program
	case strings.Contains(err.Error(), "CAP_SYS_PTRACE"):
		return grant(capability.SysPtrace)
	case strings.Contains(err.Error(), "take descriptors"), strings.Contains(err.Error(), "get descriptor"):
		return refusedBySeccomp("pidfd_getfd")
	case strings.Contains(err.Error(), "--pid=host"):
		return inHostPIDs
	case strings.Contains(err.Error(), "Linux 5.1"):
		return "boot Linux 5.19 or later"
	}
	return ""
}

// fixRings is about rings that cannot be made.
func fixRings() string {
	errno := ringErrno()
	switch disabled := setting(ringsDisabled); {
	case errno == unix.EPERM && disabled != "" && disabled != "0":
		return "sysctl -w kernel.io_uring_disabled=0"
	case errno != 0 && filtered():
		return refusedBySeccomp("io_uring_setup io_uring_register io_uring_enter")
	case errno == unix.ENOSYS:
		return "boot a kernel with CONFIG_IO_URING=y"
	case errno == unix.ENOMEM:
		return "ulimit -l unlimited"
	case errno == 0:
		return "boot Linux 5.19 or later"
	}
	return ""
}

const ringsDisabled = "/proc/sys/kernel/io_uring_disabled"

// ringErrno is what the kernel says to a ring: 0 if one can be made.
func ringErrno() unix.Errno {
	var params [120]byte // struct io_uring_params
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)), 0)
	if errno == 0 {
		unix.Close(int(fd))
	}
	return errno
}
