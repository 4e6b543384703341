package process_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/process"
	"github.com/hotpath-metrics/hotpath/internal/process/processtest"
)

const first = processtest.First

// cycle is what a source does at a collection.
func cycle(t *process.Table) {
	t.Sweep()
	t.Release()
}

func TestOwnProcessIsFoundFromAnyOfItsThreads(t *testing.T) {
	table := process.At("/proc", 10)
	defer table.Close()
	p := table.Of(int32(os.Getpid()))
	require.False(t, p.Unknown)
	assert.EqualValues(t, os.Getpid(), p.PID)
	assert.EqualValues(t, os.Geteuid(), p.UID)
	exe, err := os.Executable()
	require.NoError(t, err)
	assert.Equal(t, filepath.Base(exe), p.Executable)
	assert.WithinDuration(t, time.Now(), time.Unix(0, p.Start), time.Hour)

	tid := make(chan int32)
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		tid <- int32(unix.Gettid())
		<-done
	}()
	assert.Same(t, p, table.Of(<-tid))
	cycle(table)
	close(done)
	assert.False(t, p.Dead())
}

func TestStartTimeIsWhenTheProcessWasForked(t *testing.T) {
	before := time.Now()
	cmd := child(t)
	after := time.Now()
	table := process.At("/proc", 10)
	defer table.Close()
	p := table.Of(int32(cmd.Process.Pid))
	start := time.Unix(0, p.Start)
	assert.True(t, start.After(before.Add(-30*time.Millisecond)) && start.Before(after.Add(30*time.Millisecond)), "%v not in %v to %v", start, before, after)
}

func child(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func TestZombieIsDeadAfterTheNextSweep(t *testing.T) {
	cmd := child(t)
	table := process.At("/proc", 10)
	defer table.Close()
	p := table.Of(int32(cmd.Process.Pid))
	require.NoError(t, cmd.Process.Kill())
	status := filepath.Join("/proc", itoa(cmd.Process.Pid), "stat")
	require.Eventually(t, func() bool {
		stat, err := os.ReadFile(status)
		return err == nil && string(stat[len(itoa(cmd.Process.Pid))+len(" (sleep) "):][:1]) == "Z"
	}, 10*time.Second, time.Millisecond)
	assert.False(t, p.Dead(), "what it wrote is not read yet")
	table.Sweep()
	assert.True(t, p.Dead())
	assert.Same(t, p, table.Of(int32(cmd.Process.Pid)), "events that are still to be read are its own")
	table.Release()
	other := table.Of(int32(cmd.Process.Pid))
	assert.NotSame(t, p, other)
	assert.Equal(t, "sleep", other.Executable, "a zombie has a name")
}

func TestDescriptorsAreGivenBack(t *testing.T) {
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(entries)
	}
	children := []*exec.Cmd{child(t), child(t), child(t)}
	before := count()
	table := process.At("/proc", 2)
	for _, c := range children {
		table.Of(int32(c.Process.Pid))
	}
	assert.Equal(t, before+2, count())
	require.NoError(t, children[0].Process.Kill())
	_ = children[0].Wait()
	before = count()
	table.Sweep()
	assert.Equal(t, before-1, count())
	table.Close()
	assert.Equal(t, before-2, count())
}

func itoa(n int) string { return strconv.Itoa(n) }

func TestThreadsOfOneProcessShareIt(t *testing.T) {
	proc := processtest.New(t)
	proc.Start(first, 1000, "shop", 100)
	proc.Thread(first, first+1, 1000)
	table := proc.Table(10)
	p := table.Of(first + 1)
	assert.Equal(t, process.Identity{PID: first, UID: 1000, Executable: "shop"}, p.Identity)
	assert.Same(t, p, table.Of(first))
	assert.Same(t, p, table.Of(first+1))
}

func TestThreadThatIsGoneIsAProcessOfItsOwn(t *testing.T) {
	proc := processtest.New(t)
	table := proc.Table(10)
	p := table.Of(first)
	assert.True(t, p.Unknown)
	assert.Equal(t, process.Identity{PID: first, UID: process.NoUID}, p.Identity)
	assert.Zero(t, p.Start)
	assert.Same(t, p, table.Of(first))
	assert.False(t, p.Dead(), "it may have written more")
	cycle(table)
	assert.True(t, p.Dead())
	assert.NotSame(t, p, table.Of(first))
}

func TestProcessWithAnEarlierOnesPidIsAnother(t *testing.T) {
	proc := processtest.New(t)
	proc.Start(first, 0, "a", 100)
	table := proc.Table(10)
	a := table.Of(first)
	proc.End(first)
	proc.Start(first, 0, "b", 101)
	assert.Same(t, a, table.Of(first), "it was not looked at since")
	cycle(table)
	assert.True(t, a.Dead())
	b := table.Of(first)
	assert.NotSame(t, a, b)
	assert.Equal(t, "b", b.Executable)
	cycle(table)
	assert.False(t, b.Dead())
	assert.Same(t, b, table.Of(first))
}

func TestThreadIdThatAnotherProcessHasNowIsFoundOutAtTheNextRelease(t *testing.T) {
	proc := processtest.New(t)
	proc.Start(first, 0, "a", 100)
	proc.Thread(first, first+1, 0)
	proc.Start(first+2, 0, "b", 100)
	table := proc.Table(10)
	a := table.Of(first + 1)
	proc.End(first + 1)
	proc.Thread(first+2, first+1, 0)
	assert.Same(t, a, table.Of(first+1))
	cycle(table)
	assert.False(t, a.Dead())
	b := table.Of(first + 1)
	assert.Equal(t, "b", b.Executable)
	assert.Same(t, a, table.Of(first))
}

func TestResolveFindsOutAtOnce(t *testing.T) {
	proc := processtest.New(t)
	proc.Start(first, 0, "a", 100)
	proc.Thread(first, first+1, 0)
	proc.Start(first+2, 0, "b", 100)
	table := proc.Table(10)
	a := table.Resolve(first + 1)
	assert.Equal(t, "a", a.Executable)
	assert.Same(t, a, table.Resolve(first+1))
	proc.End(first + 1)
	assert.Same(t, a, table.Resolve(first+1), "nobody has the id now: it was this process's")
	proc.Thread(first+2, first+1, 0)
	b := table.Resolve(first + 1)
	assert.Equal(t, "b", b.Executable)
	assert.Same(t, b, table.Of(first+1))
}

func TestResolveSeesTheProgramThatAProcessExecuted(t *testing.T) {
	proc := processtest.New(t)
	proc.Start(first, 0, "sh", 100)
	table := proc.Table(10)
	p := table.Of(first)
	proc.Start(first, 0, "shop", 100)
	assert.Same(t, p, table.Resolve(first))
	assert.Equal(t, "shop", p.Executable)
}

func TestProcessesBeyondTheLimitAreLeftOutUntilThereIsRoom(t *testing.T) {
	proc := processtest.New(t)
	for i := range int32(3) {
		proc.Start(first+i, 0, "a", 100)
	}
	proc.Thread(first, first+10, 0)
	table := proc.Table(2)
	require.NotNil(t, table.Of(first))
	require.NotNil(t, table.Of(first+1))
	assert.Nil(t, table.Of(first+2))
	assert.Nil(t, table.Of(first+2))
	assert.NotNil(t, table.Of(first+10), "it is of a process that is known")
	proc.End(first + 1)
	cycle(table)
	assert.NotNil(t, table.Of(first+2))
}

func TestManyThreadsAreForgottenAndFoundAgain(t *testing.T) {
	proc := processtest.New(t)
	proc.Start(first, 0, "a", 100)
	table := proc.Table(1)
	p := table.Of(first)
	for i := range int32(40) {
		proc.Thread(first, first+i, 0)
		assert.Same(t, p, table.Of(first+i))
	}
	assert.Same(t, p, table.Of(first+3))
}

func TestForeignNamespaceIsAnErrorThatSaysWhatToDo(t *testing.T) {
	link, err := os.Readlink("/proc/self/ns/pid")
	require.NoError(t, err)
	table, err := process.NewTable(1)
	if link == "pid:[4026531836]" {
		require.NoError(t, err)
		table.Close()
		return
	}
	assert.ErrorContains(t, err, "hostPID")
}

func BenchmarkSameThread(b *testing.B) {
	table := process.At("/proc", 10)
	tid := int32(os.Getpid())
	for b.Loop() {
		if table.Of(tid) == nil {
			b.Fatal()
		}
	}
}

func BenchmarkKnownThreads(b *testing.B) {
	proc := processtest.New(b)
	const threads = 64
	for i := range int32(threads) {
		proc.Start(first+i, 0, "a", 100)
	}
	table := proc.Table(threads)
	i := int32(0)
	for b.Loop() {
		i = (i + 1) % threads
		if table.Of(first+i) == nil {
			b.Fatal()
		}
	}
}

func BenchmarkResolve(b *testing.B) {
	table := process.At("/proc", 10)
	tid := int32(os.Getpid())
	for b.Loop() {
		if table.Resolve(tid) == nil {
			b.Fatal()
		}
	}
}

func TestOlderIsWhoWasForkedBeforeTheTableWasMade(t *testing.T) {
	proc := processtest.New(t)
	now := time.Now()
	for i, at := range []time.Time{now.Add(-time.Minute), now.Add(time.Minute)} {
		proc.Start(first+int32(i), 0, "a", processtest.Ticks(at))
	}
	table := proc.Table(10)
	assert.True(t, table.Of(first).Older)
	assert.False(t, table.Of(first+1).Older)
	assert.False(t, table.Of(first+2).Older, "nothing is known of it")
}
