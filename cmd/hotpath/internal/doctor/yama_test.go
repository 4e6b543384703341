package doctor

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSettingYamaForGoodIsReality is the last: only a boot takes the setting back.
func TestSettingYamaForGoodIsReality(t *testing.T) {
	needRoot(t)
	require.NotEmpty(t, os.Getenv(machineEnv))
	require.NoError(t, os.WriteFile("/proc/sys/kernel/yama/ptrace_scope", []byte("3"), 0o644))
	v := compare(t, newPlaces(t)).verdict(uringName)
	assert.False(t, v.Available)
	assert.Contains(t, v.Fix, "reboot")
}
