package uring

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/capability"
	processes "github.com/hotpath-metrics/hotpath/internal/process"
)

// peer is who connected, by the kernel's word.
type peer struct {
	pid int32
	uid uint32
}

func peerOf(socket int) (peer, error) {
	cred, err := unix.GetsockoptUcred(socket, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return peer{}, fmt.Errorf("%w: %w", errPeer, err)
	}
	if cred.Pid <= 0 {
		return peer{}, fmt.Errorf("%w: the Collector's pid namespace does not have this process: run the Collector in the host's "+
			"(docker run --pid=host, hostPID: true in Kubernetes)", errPeer)
	}
	return peer{cred.Pid, cred.Uid}, nil
}

// open holds the process: Linux 6.5 gives the one that connected. Before, it is whoever has its pid now, which has to be [peer.same]
// at least: who can arrange for that may trace the process anyway.
func (p peer) open(socket int) (int, error) {
	pidfd, err := unix.GetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_PEERPIDFD)
	if err == nil {
		unix.CloseOnExec(pidfd)
		return pidfd, nil
	}
	if !errors.Is(err, unix.ENOPROTOOPT) {
		return -1, fmt.Errorf("%w: process %d: %w", errPeer, p.pid, err)
	}
	pidfd, err = unix.PidfdOpen(int(p.pid), 0)
	if err != nil {
		return -1, fmt.Errorf("%w: open process %d: %w", errPeer, p.pid, err)
	}
	return pidfd, nil
}

// same fails if the process has become another user's by executing a set-user-ID program: its rings are none of the one's who
// connected, and whoever has the socket may send through it. It is asked after the ring was taken, which is that of whoever is found here.
func (p peer) same(pidfd int) error {
	uid, err := processes.UIDOf(int(p.pid))
	if err == nil && uid != p.uid && !processes.Exited(pidfd) { // otherwise the number may be another's
		return fmt.Errorf("%w: process %d is another user's by now", errPeer, p.pid)
	}
	return nil
}

// yama is the setting that restricts who may trace whom, and so take descriptors ("" where there is none).
func yama() string {
	scope, _ := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope")
	return strings.TrimSpace(string(scope))
}

// checkRights fails where no ring of any process could be taken.
func checkRights() error {
	switch scope := yama(); {
	case scope == "3":
		return errors.New("no process may take another's ring: the sysctl kernel.yama.ptrace_scope is 3, which lasts until the next boot with another value")
	case scope == "2" && !capability.SysPtrace.Has():
		return errors.New("no right to take rings of clients: the sysctl kernel.yama.ptrace_scope is 2, so that the Collector has to run as root or with the capability CAP_SYS_PTRACE")
	}
	return nil
}

// explainPermission says why a ring may not be taken.
func explainPermission(p peer) error {
	if err := checkRights(); err != nil { // a setting that was changed since the start
		return fmt.Errorf("%w: %w", errPermission, err)
	}
	if capability.SysPtrace.Has() {
		return fmt.Errorf("%w: the Collector may not take descriptors of process %d: it is in a user namespace that the Collector's is no part of, "+
			"or a security module forbids it", errPermission, p.pid)
	}
	hint := ""
	if p.uid == uint32(os.Geteuid()) {
		hint = ", or let the process allow it (prctl PR_SET_PTRACER, PR_SET_DUMPABLE)"
	}
	return fmt.Errorf("%w: the Collector may not take descriptors of process %d: run it as root or with the capability CAP_SYS_PTRACE%s", errPermission, p.pid, hint)
}
