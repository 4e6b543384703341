package probe

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
)

// everything has probes of all sorts.
const everything = `
- metric: {name: calls, type: counter}
  uprobe: {binary: '${target}', symbol: do_work}
- metric: {name: d, type: histogram, unit: s}
  uprobe: {binary: '${target}', symbol: do_work}
  value: duration
- metric: {name: events, type: counter}
  uprobe: {binary: '${target}', symbol: do_work}
  mode: events
- metric: {name: guarded, type: counter}
  usdt: {binary: '${target}', provider: app, name: guarded}
- metric: {name: library, type: counter}
  uprobe: {binary: libwork.so, symbol: shared_work}
`

func TestHostCollectFailsUntilStartAndAfterShutdown(t *testing.T) {
	f := newFixture(t, ample, everything)
	require.ErrorIs(t, f.Collect(context.Background(), &emittest.Recorder{}), errStopped)
	require.NoError(t, f.begin())
	f.end()
	require.ErrorIs(t, f.Collect(context.Background(), &emittest.Recorder{}), errStopped)
}

func TestHostShutdownTwiceOrWithoutStart(t *testing.T) {
	f := newFixture(t, ample, everything)
	f.end()
	require.NoError(t, f.begin())
	f.end()
	f.end()
}

func TestHostStartAgainAfterShutdown(t *testing.T) {
	f := newFixture(t, ample, everything)
	for range 3 {
		require.NoError(t, f.begin())
		run(t, "target", "work", "10")
		p := only(t, f.collect())
		require.EqualValues(t, 10, p.Counters["calls"])
		require.EqualValues(t, 10, p.Counters["events"])
		f.end()
	}
}

// descriptors are those that this process has of BPF and of perf.
func descriptors(t *testing.T) (n int) {
	t.Helper()
	all, err := filepath.Glob("/proc/self/fd/*")
	require.NoError(t, err)
	for _, fd := range all {
		if to, err := os.Readlink(fd); err == nil && (strings.Contains(to, "bpf") || strings.Contains(to, "perf")) {
			n++
		}
	}
	return n
}

func TestNothingIsLeftOpen(t *testing.T) {
	need(t)
	before := descriptors(t)
	f := newFixture(t, ample, everything)
	require.NoError(t, f.begin())
	require.Greater(t, descriptors(t), before+10)
	run(t, "target", "work", "10")
	run(t, "caller", "10")
	f.lookAgain()
	f.collect()
	f.end()
	assert.Equal(t, before, descriptors(t))
	refused(t, everything+"\n- metric: {name: n, type: counter}\n  uprobe: {binary: '${target}', symbol: no_such}")
	assert.Equal(t, before, descriptors(t), "after a Start that failed")
}

func TestHitsWhileProbesComeAndGo(t *testing.T) {
	need(t)
	p := exec.Command(program("target"), "threads", "20000")
	require.NoError(t, p.Start())
	f := newFixture(t, ample, everything)
	for range 3 {
		require.NoError(t, f.begin())
		time.Sleep(20 * time.Millisecond)
		f.collect()
		f.end()
	}
	require.NoError(t, p.Wait())
}

func TestAProgramOutlivesACollectorThatIsKilled(t *testing.T) {
	if os.Getenv(ofAnother) != "" {
		newFixture(t, ample, everything).attachAndDie()
	}
	need(t)
	p := spawn(t, "target", "wait", "0", "threads", "1000", "work", "1000", "guarded", "10", "semaphore", "0", "wait", "0")
	child := exec.Command("/proc/self/exe", "-test.run=^TestAProgramOutlivesACollectorThatIsKilled$")
	child.Env = append(os.Environ(), ofAnother+"="+programs)
	out, err := child.CombinedOutput()
	require.ErrorContains(t, err, "killed", "%s", out)
	require.True(t, bytes.Contains(out, []byte("attached")), "%s", out)
	p.release()
	p.says("semaphore 0")
	p.says("waiting")
	f := start(t, everything)
	require.Empty(t, f.collect().Processes)
	other := spawn(t, "target", "work", "10", "wait", "0")
	require.EqualValues(t, 10, of(f.collect(), other.pid).Counters["calls"])
}

// attachAndDie kills this process while its probes are attached.
func (f *fixture) attachAndDie() {
	if err := f.begin(); err != nil || len(f.probes[0].files) == 0 {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("attached")
	self, _ := os.FindProcess(os.Getpid())
	_ = self.Kill()
	select {}
}
