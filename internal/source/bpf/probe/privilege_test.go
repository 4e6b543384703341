package probe

import (
	"bytes"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// withFewRights is the probe's binary, for the test that runs itself with few rights.
const withFewRights = "HOTPATH_TEST_BINARY"

func TestCapabilitiesThatSuffice(t *testing.T) {
	if binary := os.Getenv(withFewRights); binary != "" {
		f := unchecked(t, ample, at(binary))
		require.NoError(t, f.begin())
		t.Cleanup(f.end)
		if len(f.probes[0].files) == 0 {
			t.Fatal(f.logs.All())
		}
		if binary == program("target") {
			work(t, binary, 3)
			require.EqualValues(t, 3, only(t, f.collect()).Counters["n"])
		}
		return
	}
	need(t)
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	k, err := inspect()
	require.NoError(t, err)
	const bpf, perfmon, admin, ptrace, search, restore = unix.CAP_BPF, unix.CAP_PERFMON, unix.CAP_SYS_ADMIN, unix.CAP_SYS_PTRACE, unix.CAP_DAC_READ_SEARCH, unix.CAP_CHECKPOINT_RESTORE
	removed := t.TempDir() + "/removed"
	copied(t, "target", removed)
	spawnCommand(t, exec.Command(removed, "wait", "0"))
	require.NoError(t, os.Remove(removed))
	spawn(t, "target", "wait", "0")
	type run struct {
		name, binary string
		with         []uintptr
		says         string
	}
	all := []run{
		{"path", program("target"), []uintptr{bpf, perfmon}, ""},
		{"path, no CAP_BPF", program("target"), []uintptr{perfmon}, "CAP_BPF"},
		{"path, no CAP_PERFMON", program("target"), []uintptr{bpf}, "CAP_PERFMON"},
		{"path, nothing", program("target"), nil, "CAP_BPF and CAP_PERFMON"},
		{"name", "target", []uintptr{bpf, perfmon, ptrace}, ""},
		{"name, no CAP_SYS_PTRACE", "target", []uintptr{bpf, perfmon}, "CAP_SYS_PTRACE"},
		{"file that was removed", "removed", []uintptr{bpf, perfmon, ptrace, search, restore}, ""},
		{"file that was removed, no CAP_CHECKPOINT_RESTORE", "removed", []uintptr{bpf, perfmon, ptrace, search}, "CAP_CHECKPOINT_RESTORE"},
		{"file that was removed, no CAP_DAC_READ_SEARCH", "removed", []uintptr{bpf, perfmon, ptrace, restore}, "CAP_DAC_READ_SEARCH"},
	}
	if !k.multi {
		all = []run{
			{"path", program("target"), []uintptr{admin}, ""},
			{"path, no CAP_SYS_ADMIN", program("target"), []uintptr{bpf, perfmon}, "CAP_SYS_ADMIN"},
			{"name", "target", []uintptr{admin, ptrace}, ""},
			{"name, no CAP_SYS_PTRACE", "target", []uintptr{admin}, "CAP_SYS_PTRACE"},
			{"file that was removed", "removed", []uintptr{admin, ptrace, search}, ""},
			{"file that was removed, no CAP_DAC_READ_SEARCH", "removed", []uintptr{admin, ptrace}, "CAP_DAC_READ_SEARCH"},
		}
	}
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe", "-test.run=^TestCapabilitiesThatSuffice$", "-test.v")
			cmd.Env = append(os.Environ(), withFewRights+"="+c.binary, ofAnother+"="+programs)
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, AmbientCaps: c.with}
			out, err := cmd.CombinedOutput()
			if c.says == "" {
				assert.NoError(t, err, "%s", out)
			} else {
				assert.Error(t, err, "%s", out)
				assert.Contains(t, string(out), c.says)
			}
			assert.False(t, bytes.Contains(out, []byte("panic")), "%s", out)
			assert.False(t, bytes.Contains(out, []byte("memlock")), "%s", out)
		})
	}
}
