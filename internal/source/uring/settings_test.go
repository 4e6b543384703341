package uring

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
	"github.com/hotpath-metrics/hotpath/internal/source/uring/uringtest"
)

// machineEnv says that the machine's settings may be changed for the time of a test; "last", that they may stay so.
const machineEnv = "HOTPATH_TEST_SETTINGS"

const yamaSetting = "/proc/sys/kernel/yama/ptrace_scope"

// set changes a setting of the machine.
func set(t *testing.T, path, value string) {
	t.Helper()
	if os.Getenv(machineEnv) == "" {
		t.Skipf("changes %s: needs a machine of its own (%s=1)", path, machineEnv)
	}
	before, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("this kernel has no %s", path)
	}
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte(value), 0o644))
	t.Cleanup(func() { require.NoError(t, os.WriteFile(path, before, 0o644)) })
}

const disabledSetting = "/proc/sys/kernel/io_uring_disabled"

func TestSettingDisabledIOUringIsSaid(t *testing.T) {
	f := newFixture(t)
	set(t, disabledSetting, "2")
	err := f.Start(context.Background(), nil)
	assert.ErrorContains(t, err, "set the sysctl kernel.io_uring_disabled to 0")
	require.NoError(t, f.Shutdown(context.Background()))
}

func TestSettingRestrictedIOUringIsSaid(t *testing.T) {
	f := newFixture(t)
	set(t, disabledSetting, "1")
	f.begin()
	assert.Equal(t, 1, f.logs.FilterMessageSnippet("only privileged processes").Len())
	f.bystander().check()
	p := siblingAs(t, 65534, "collector", socketOfAnybody(t))
	p.expect("run the Collector as root or in the group of the sysctl kernel.io_uring_group")
}

func TestSettingYamaRestrictsCollectorsWithoutPrivileges(t *testing.T) {
	newFixture(t)
	t.Run("1", func(t *testing.T) {
		set(t, yamaSetting, "1")
		socket := socketOfAnybody(t)
		p := siblingAs(t, 65534, "collector", socket)
		p.expect("ready")
		shy := siblingAs(t, 65534, "connect", socket) // it does not allow it
		shy.expect("PR_SET_PTRACER")
		open := siblingAs(t, 65534, "burst", socket, "77")
		open.wait()
		_, err := p.in.Write([]byte("\n"))
		require.NoError(t, err)
		p.expect("total 77")
		f := setUp(t) // with privileges nothing is restricted
		f.bystander().check()
	})
	t.Run("2", func(t *testing.T) {
		set(t, yamaSetting, "2")
		p := siblingAs(t, 65534, "collector", socketOfAnybody(t))
		p.expect("kernel.yama.ptrace_scope is 2")
		f := setUp(t)
		f.bystander().check()
	})
}

// What yama is set to 3 for, lasts until the machine ends.
func TestLastSettingYamaForbidsEverything(t *testing.T) {
	if os.Getenv(machineEnv) != "last" {
		t.Skipf("sets kernel.yama.ptrace_scope to 3 for good: needs a machine of its own (%s=last)", machineEnv)
	}
	if yama() == "" {
		t.Skip("this kernel has no yama")
	}
	f := setUp(t)
	honest := f.bystander()
	require.NoError(t, os.WriteFile(yamaSetting, []byte("3"), 0o644))
	honest.check()                               // it goes on with the ring that it has
	other := sibling(t, "connect", f.cfg.Socket) // a process may always take its own
	other.expect("kernel.yama.ptrace_scope is 3")

	second := newFixture(t)
	err := second.Start(context.Background(), nil)
	assert.ErrorContains(t, err, "no process may take another's ring: the sysctl kernel.yama.ptrace_scope is 3, which lasts until the next boot")
	require.NoError(t, second.Shutdown(context.Background()))
	optional := newFixture(t, func(c *Config, _ *segments.Limits) { c.Optional = true })
	require.NoError(t, optional.Start(context.Background(), nil))
	assert.ErrorContains(t, optional.Collect(context.Background(), &emittest.Recorder{}), "kernel.yama.ptrace_scope is 3")
	require.NoError(t, optional.Shutdown(context.Background()))
}

func init() {
	roles["connect"] = func(args []string) error {
		_, err := uringtest.Connect(args[0], me(), requests)
		if err == nil {
			return errors.New("ready")
		}
		return errors.New(strings.ReplaceAll(err.Error(), "\n", " "))
	}
}
