package doctor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/capability"
)

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
