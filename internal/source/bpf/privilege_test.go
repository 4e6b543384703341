package bpf

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// ofAnother is the pid of a process of another user, for the test that runs itself with few rights.
const ofAnother = "HOTPATH_TEST_PID"

func TestCapabilitiesThatSuffice(t *testing.T) {
	if given := os.Getenv(ofAnother); given != "" {
		pid, err := strconv.Atoi(given)
		require.NoError(t, err)
		f := start(t)
		assert.EqualValues(t, 7, total(f.collect(), adds, pid))
		return
	}
	need(t)
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	const bpf, perfmon, ptrace, search, restore = unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_SYS_PTRACE, unix.CAP_DAC_READ_SEARCH, unix.CAP_CHECKPOINT_RESTORE
	for _, c := range []struct {
		name, command string
		with          []uintptr
		says          string
	}{
		{"open descriptor", "stay", []uintptr{bpf, perfmon, ptrace}, ""},
		{"closed descriptor", "closed", []uintptr{bpf, perfmon, ptrace, search, restore}, ""},
		{"no CAP_CHECKPOINT_RESTORE", "closed", []uintptr{bpf, perfmon, ptrace, search}, "CAP_CHECKPOINT_RESTORE"},
		{"no CAP_DAC_READ_SEARCH", "closed", []uintptr{bpf, perfmon, ptrace, restore}, "CAP_DAC_READ_SEARCH"},
		{"no CAP_BPF", "stay", []uintptr{perfmon, ptrace}, "CAP_BPF"},
		{"no CAP_PERFMON", "stay", []uintptr{bpf, ptrace}, "CAP_PERFMON"},
		{"no CAP_SYS_PTRACE", "stay", []uintptr{bpf, perfmon}, "CAP_SYS_PTRACE"},
		{"nothing", "stay", nil, "CAP_BPF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := spawn(t, command(c.command, "7"))
			cmd := exec.Command("/proc/self/exe", "-test.run=^TestCapabilitiesThatSuffice$", "-test.v")
			cmd.Env = append(os.Environ(), ofAnother+"="+strconv.Itoa(p.pid), "CI=1")
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, AmbientCaps: c.with}
			out, err := cmd.CombinedOutput()
			if c.says == "" {
				assert.NoError(t, err, "%s", out)
			} else {
				assert.Error(t, err, "%s", out)
				assert.Contains(t, string(out), c.says)
			}
			assert.False(t, bytes.Contains(out, []byte("panic")), "%s", out)
			assert.False(t, strings.Contains(string(out), "memlock"), "%s", out)
		})
	}
}
