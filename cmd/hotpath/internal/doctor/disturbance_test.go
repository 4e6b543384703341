package doctor

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hotpath-metrics/hotpath/receiver/hotpathreceiver"
)

// collector is a receiver that runs, and what it delivered and logged.
type collector struct {
	cfg  *hotpathreceiver.Config
	logs *observer.ObservedLogs

	mu        sync.Mutex
	resources map[string]int // batches by service.name and pid
	total     int64
}

// interval is long enough on slow machines for the notice of a process's end to come before the collection that finds its segment free.
func interval() time.Duration {
	if slow() {
		return time.Second
	}
	return 50 * time.Millisecond
}

func runCollector(t *testing.T, block string) *collector {
	t.Helper()
	path := filepath.Join(t.TempDir(), "collector.yaml")
	require.NoError(t, os.WriteFile(path, []byte("receivers:\n  "+block+"\n"), 0o600))
	all, err := resolve(context.Background(), []string{path})
	require.NoError(t, err)
	found, err := configured(all)
	require.NoError(t, err)
	c := &collector{resources: map[string]int{}}
	for _, cfg := range found {
		c.cfg = cfg
	}
	c.cfg.CollectionInterval = interval()
	next, err := consumer.NewMetrics(c.take)
	require.NoError(t, err)
	factory := hotpathreceiver.NewFactory()
	settings := receivertest.NewNopSettings(factory.Type())
	core, logs := observer.New(zap.InfoLevel)
	settings.Logger, c.logs = zap.New(core), logs
	r, err := factory.CreateMetrics(context.Background(), settings, c.cfg, next)
	require.NoError(t, err)
	require.NoError(t, r.Start(context.Background(), host{}))
	t.Cleanup(func() { require.NoError(t, r.Shutdown(context.Background())) })
	return c
}

func (c *collector) take(_ context.Context, md pmetric.Metrics) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, rm := range md.ResourceMetrics().All() {
		service, _ := rm.Resource().Attributes().Get("service.name")
		pid, _ := rm.Resource().Attributes().Get("process.pid")
		program, _ := rm.Resource().Attributes().Get("process.executable.name")
		if program.AsString() != filepath.Base(os.Args[0]) {
			continue // somebody else's memfd
		}
		c.resources[fmt.Sprintf("%s %d", service.AsString(), pid.Int())]++
	}
	if n := total(md, "application"); n > 0 {
		c.total = n
	}
	return nil
}

func (c *collector) delivered() (resources []string, total int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for r := range c.resources {
		resources = append(resources, r)
	}
	return resources, c.total
}

// application has a process count that the collector delivers.
func (c *collector) application(t *testing.T, transport string) *child {
	t.Helper()
	environment := []string{"OTEL_SERVICE_NAME=application"}
	if shm := c.cfg.Shm.Get(); shm != nil {
		environment = append(environment, "HOTPATH_DIR="+shm.Directory)
	}
	if uring := c.cfg.IOUring.Get(); uring != nil {
		environment = append(environment, "HOTPATH_SOCKET="+uring.Socket)
	}
	app, err := startClient(transport, counting, environment...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, app.end()) })
	require.Eventually(t, func() bool {
		_, total := c.delivered()
		return total == counted
	}, patience()*2, 10*time.Millisecond, app.Status)
	return app
}

// quietDuring proves that the collector hears of nobody but the application, says nothing, and goes on delivering.
func (c *collector) quietDuring(t *testing.T, app *child, what func()) {
	t.Helper()
	who := fmt.Sprintf("application %d", app.PID)
	before := c.logs.Len()
	what()
	c.mu.Lock()
	batches := c.resources[who]
	c.mu.Unlock()
	time.Sleep(5 * interval()) // until it would have told of the end of somebody
	resources, total := c.delivered()
	assert.Equal(t, []string{who}, resources)
	assert.EqualValues(t, counted, total)
	assert.Equal(t, before, c.logs.Len(), "%v", c.logs.All()[before:])
	c.mu.Lock()
	defer c.mu.Unlock()
	assert.Greater(t, c.resources[who], batches)
}

func TestRunningCollectorAndApplicationDoNotNotice(t *testing.T) {
	needRoot(t)
	for _, transport := range []string{shmName, bpfName, uringName} {
		t.Run(transport, func(t *testing.T) {
			p := newPlaces(t)
			c := runCollector(t, fmt.Sprintf("hotpath: {shm: {directory: %q}, bpf: {}, io_uring: {socket: %q}}", p.shm, p.socket))
			app := c.application(t, transport)
			c.quietDuring(t, app, func() {
				o := doctor(t, nil, "--json", "--dir", p.shm, "--config", p.config)
				for _, name := range []string{shmName, bpfName, uringName} {
					assert.True(t, o.verdict(name).Available, o.verdict(name).Reason)
				}
				assert.Contains(t, o.verdict(shmName).InUse, "in use by another collector")
				assert.Contains(t, o.Sources[shmName].InUse, "in use by another collector")
				assert.Contains(t, o.verdict(uringName).InUse, "another Collector listens there")
			})
		})
	}
}

func TestKilledDoctorLeavesNothingBehind(t *testing.T) {
	needRoot(t)
	p := newPlaces(t)
	for _, after := range []time.Duration{50, 100, 150, 200, 300, 400} {
		cmd := exec.Command("/proc/self/exe", "doctor", "--json", "--dir", p.shm, "--config", p.config)
		require.NoError(t, cmd.Start())
		time.Sleep(after * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	assert.Eventually(t, func() bool {
		return len(files(p.folder)) == 0 && len(files(filepath.Dir(p.config))) == 1
	}, 20*time.Second, 50*time.Millisecond, "%v %v", files(p.folder), files(filepath.Dir(p.config)))
}

// files are the names in a folder.
func files(folder string) (names []string) {
	entries, _ := os.ReadDir(folder)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestNothingIsLeftBehind(t *testing.T) {
	needRoot(t)
	p := newPlaces(t)
	o := doctor(t, nil, "--json", "--dir", p.shm, "--config", p.config)
	require.True(t, o.verdict(shmName).Available)
	require.True(t, o.verdict(uringName).Available)
	assert.Empty(t, files(p.folder))
	assert.Equal(t, []string{"collector.yaml"}, files(filepath.Dir(p.config)))

	require.NoError(t, os.Mkdir(p.shm, 0o700))
	require.NoError(t, os.Mkdir(filepath.Dir(p.socket), 0o700))
	o = doctor(t, nil, "--json", "--dir", p.shm, "--config", p.config)
	require.True(t, o.verdict(shmName).Available)
	assert.Empty(t, files(p.shm))
	assert.Empty(t, files(filepath.Dir(p.socket)))
	info, err := os.Stat(p.shm)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	for _, name := range append(files("/dev/shm"), files("/run")...) {
		assert.False(t, strings.HasPrefix(name, ".hotpath-doctor-"), name)
	}
}
