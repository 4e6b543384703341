package doctor

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// These change settings of the kernel, and so are for machines of their own.

func set(t *testing.T, path, value string) {
	t.Helper()
	require.NotEmpty(t, os.Getenv(machineEnv), "changes %s: needs a machine of its own (%s=1)", path, machineEnv)
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte(value), 0o644))
	t.Cleanup(func() { require.NoError(t, os.WriteFile(path, before, 0o644)) })
}

func TestSettingDisabledIsReality(t *testing.T) {
	needRoot(t)
	for value, works := range map[string]struct{ root, nobody bool }{"1": {true, false}, "2": {false, false}} {
		t.Run(value, func(t *testing.T) {
			set(t, ringsDisabled, value)
			for user, expected := range map[string]bool{"uid=0": works.root, "uid=65534": works.nobody} {
				v := compare(t, newPlaces(t), user).verdict(uringName)
				assert.Equal(t, expected, v.Available, v.Reason)
				if !expected {
					assert.Equal(t, "sysctl -w kernel.io_uring_disabled=0", v.Fix)
				}
			}
		})
	}
}

func TestSettingYamaIsReality(t *testing.T) {
	needRoot(t)
	const path = "/proc/sys/kernel/yama/ptrace_scope"
	for value, nobody := range map[string]bool{"0": true, "1": true, "2": false} {
		t.Run(value, func(t *testing.T) {
			set(t, path, value)
			assert.True(t, compare(t, newPlaces(t), "uid=0").verdict(uringName).Available)
			v := compare(t, newPlaces(t), "uid=65534").verdict(uringName)
			assert.Equal(t, nobody, v.Available, v.Reason)
			if !nobody {
				assert.Contains(t, v.Fix, "cap_sys_ptrace")
			}
		})
	}
}
