package uring

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
	"github.com/hotpath-metrics/hotpath/internal/quota"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
	"github.com/hotpath-metrics/hotpath/internal/source/segments/segmentstest"
	"github.com/hotpath-metrics/hotpath/internal/source/uring/uringtest"
)

func init() { roles["collector"] = collector }

// collector is the source in a process of its own. It says the total of requests whenever it is asked.
func collector(args []string) error {
	cfg := DefaultConfig()
	cfg.Socket = args[0]
	limits := segments.Limits{
		Limits:      quota.Limits{Segments: 100, SegmentsPerUID: 100, Series: 1000, SeriesPerUID: 1000, SeriesPerSegment: 1000},
		SegmentSize: 1 << 20,
	}
	s := New(cfg, limits, zap.NewNop(), &telemetry{Telemetry: segmentstest.NewTelemetry()})
	if err := s.Start(context.Background(), nil); err != nil {
		return err
	}
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		r := &emittest.Recorder{}
		if err := s.Collect(context.Background(), r); err != nil {
			return err
		}
		fmt.Println("total", r.Total("requests"))
	}
	return s.Shutdown(context.Background())
}

func socketOfAnybody(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hotpath-uring-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o777))
	return filepath.Join(dir, "socket")
}

func TestClientInOtherNamespacesIsNamedByItsOuterPID(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make namespaces")
	}
	for name, flags := range map[string]uintptr{
		"pid":          syscall.CLONE_NEWPID,
		"user":         syscall.CLONE_NEWUSER,
		"user and pid": syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID,
	} {
		t.Run(name, func(t *testing.T) {
			f := setUp(t)
			cmd := command("count", f.cfg.Socket, "quiet")
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
			wantUID := "0"
			if flags&syscall.CLONE_NEWUSER != 0 {
				wantUID = "65534"
				cmd.SysProcAttr.Credential = &syscall.Credential{NoSetGroups: true} // user 0 there
				cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: 65534, Size: 1}}
				cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: 65534, Size: 1}}
			}
			p := spawn(t, cmd)
			f.eventually(func(h *hub) bool { return len(h.clients) == 1 && h.read > 10 }, "it counts")
			found := f.collect().Processes
			require.Len(t, found, 1)
			assert.Equal(t, strconv.Itoa(p.Process.Pid), found[0].Resource["process.pid"])
			assert.Equal(t, wantUID, found[0].Resource["process.user.id"])
			require.NoError(t, p.Process.Kill())
			f.eventually(func(h *hub) bool { return len(h.clients) == 0 }, "its end is heard")
		})
	}
}

func TestCollectorThatCannotSeeTheClientSaysSo(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make namespaces")
	}
	socket := socketOfAnybody(t)
	binary, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", binary)
	cmd.Env = append(os.Environ(), roleEnv+"=collector", argsEnv+"="+socket)
	p := spawn(t, cmd)
	p.expect("ready")
	_, err = uringtest.Dial(socket)
	var refused uringtest.Refused
	require.ErrorAs(t, err, &refused)
	assert.Contains(t, string(refused), "pid namespace")
	assert.Contains(t, string(refused), "hostPID: true")
}

func TestCollectorInAnotherUserNamespaceSaysSo(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make namespaces")
	}
	socket := socketOfAnybody(t)
	cmd := command("collector", socket)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER, Credential: &syscall.Credential{NoSetGroups: true}, // user 0 there
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 65534, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 65534, Size: 1}},
	}
	p := spawn(t, cmd)
	p.expect("ready")
	_, err := uringtest.Connect(socket, anyone(), requests)
	var refused uringtest.Refused
	require.ErrorAs(t, err, &refused)
	assert.Contains(t, string(refused), "user namespace that the Collector's is no part of")
}

func TestCollectorWithoutPrivileges(t *testing.T) {
	socket := socketOfAnybody(t)
	p := siblingAs(t, 65534, "collector", socket)
	p.expect("ready")
	_, err := uringtest.Connect(socket, anyone(), requests)
	var refused uringtest.Refused
	require.ErrorAs(t, err, &refused)
	assert.Contains(t, string(refused), "CAP_SYS_PTRACE")

	if yama() > "1" {
		t.Skip("kernel.yama.ptrace_scope forbids it")
	}
	same := siblingAs(t, 65534, "burst", socket, "77")
	same.wait()
	_, err = fmt.Fprintln(p.in)
	require.NoError(t, err)
	p.expect("total 77")
}
