// Package kernel is what all that uses BPF has to do with the running kernel, whatever it loads.
package kernel

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// Types returns the types of this kernel. The error says what is missing and how to get it.
func Types() (*btf.Spec, error) {
	types, err := btf.LoadKernelSpec()
	if err != nil {
		return nil, fmt.Errorf("this kernel does not describe its types (/sys/kernel/btf/vmlinux): the bpf source takes Linux 5.12 or later with "+
			"CONFIG_DEBUG_INFO_BTF, which Debian, Ubuntu, Fedora and RHEL have; the source shm works on any: %w", err)
	}
	return types, nil
}

// Denied says that an error is for want of a right, and not a program's that the verifier refuses.
func Denied(err error) bool {
	var refused *ebpf.VerifierError
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) && !errors.As(err, &refused)
}

// Lockdown is the file that says how much the kernel keeps from root.
const Lockdown = "/sys/kernel/security/lockdown"

// LockedDown says whether the kernel is locked down in this way, "integrity" or "confidentiality".
func LockedDown(how string) bool {
	text, _ := os.ReadFile(Lockdown)
	return strings.Contains(string(text), "["+how+"]")
}

// Bool is a boolean as programs have it among their constants.
func Bool(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}
