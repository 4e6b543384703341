package bpf

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
)

const adds = "counts.adds"

func TestSegmentThatIsAnnouncedIsHeldAtOnce(t *testing.T) {
	f := start(t)
	began := time.Now()
	p := spawn(t, command("stay", "7"))
	eventually(t, func() bool { return f.held(p.pid) == 1 }, "the segment is not found")
	t.Logf("from the start of the program to its segment: %v", time.Since(began))
	found := of(f.collect(), p.pid)
	require.Len(t, found, 1)
	assert.EqualValues(t, 7, found[0].Counters[adds])
	assert.Equal(t, "counts", found[0].Resource["process.executable.name"])
	assert.Equal(t, "counts", found[0].Resource["service.name"])
	assert.False(t, found[0].Info.Seen)
}

func TestSegmentsThatAreThereAlreadyAreFound(t *testing.T) {
	need(t)
	a := spawn(t, command("stay", "1"))
	b := spawn(t, command("closed", "20")) // by its mapping
	c := spawn(t, command("child", "300"))
	f := start(t)
	assert.Equal(t, 3, f.held(a.pid, b.pid, c.pid))
	r := f.collect()
	assert.EqualValues(t, 1+20+300, total(r, adds, a.pid, b.pid, c.pid))
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", c.pid, c.pid))
	require.NoError(t, err)
	child, err := strconv.Atoi(strings.TrimSpace(string(children)))
	require.NoError(t, err)
	assert.EqualValues(t, 300, total(r, adds, child))
	for _, pid := range []int{a.pid, b.pid, c.pid, child} {
		for _, p := range of(r, pid) {
			assert.True(t, p.Info.Seen, "an earlier collector may have delivered it")
		}
	}
}

func TestEndOfAProcessGivesItsSegmentBack(t *testing.T) {
	f := start(t)
	p := spawn(t, command("stay", "7"))
	eventually(t, func() bool { return f.held(p.pid) == 1 }, "the segment is not found")
	p.end()
	eventually(t, func() bool { return f.held(p.pid) == 0 }, "the segment is still open")
	assert.EqualValues(t, 7, total(f.collect(), adds, p.pid))
	f.collect() // tells of the end
	assert.Empty(t, of(f.collect(), p.pid))
}

// dead runs a program that counts and is killed at once, and returns its pid.
func dead(t *testing.T, n int) int {
	cmd := command("die", strconv.Itoa(n))
	assert.Error(t, cmd.Run())
	return cmd.Process.Pid
}

func TestProcessThatIsKilledAtOnceIsDeliveredExactly(t *testing.T) {
	f := start(t)
	const rounds = 100
	var pids []int
	for range rounds {
		pids = append(pids, dead(t, 3))
	}
	f.exact(pids, 3)
}

// exact wants n of each process that has ended; where this kernel takes the memory away too early, of each that was not
// counted as too short.
func (f *fixture) exact(pids []int, n int) {
	t := f.t
	delivered := map[int]uint64{}
	var got, want uint64
	eventually(t, func() bool {
		r := f.collect()
		got = 0
		for _, pid := range pids {
			delivered[pid] = max(delivered[pid], total(r, adds, pid))
			got += delivered[pid]
		}
		want = uint64(n) * (uint64(len(pids)) - uint64(f.tel.reasons()[string(errTooShort)]))
		return got == want && f.held(pids...) == 0
	}, "what was counted is not delivered")
	t.Logf("%d of %d counted", got, n*len(pids))
	if f.loaded.exact {
		assert.EqualValues(t, n*len(pids), got)
	}
}

func TestManySeriesAreCopiedFromADyingProcess(t *testing.T) {
	f := start(t)
	if !f.loaded.exact {
		return // TestProcessThatIsKilledAtOnce says what becomes of it
	}
	f.mu.Lock() // so that nobody opens it in time
	cmd := command("series", "2")
	require.NoError(t, cmd.Run())
	f.mu.Unlock()
	var found []*emittest.Process
	eventually(t, func() bool { found = of(f.collect(), cmd.Process.Pid); return len(found) > 0 }, "nothing was copied")
	require.Len(t, found, 1)
	var counted uint64
	for name, n := range found[0].Counters {
		if name != adds {
			counted += n
		}
	}
	assert.EqualValues(t, 2*400, counted)
	assert.Len(t, found[0].Histograms, 400)
}

// Also if the process's real user is not the memfd's owner, and although nothing wakes the reader for the pages.
func TestSegmentThatIsOpenAndCopiedCountsOnce(t *testing.T) {
	for _, how := range []string{"stay", "setuid"} {
		t.Run(how, func(t *testing.T) {
			f := start(t)
			p := spawn(t, command(how, "7"))
			eventually(t, func() bool { return f.held(p.pid) == 1 }, "the segment is not found")
			f.mu.Lock()
			f.loaded.release(uint32(p.pid), f.processes[uint32(p.pid)][0].Origin.(*origin).address)
			f.mu.Unlock()
			p.end()
			eventually(t, func() bool { return f.held(p.pid) == 0 }, "the segment is still open")
			assert.EqualValues(t, 7, total(f.collect(), adds, p.pid))
			assert.NotContains(t, f.tel.reasons(), string(errNotCopied))
		})
	}
}

func TestAtExitCopyBelongsToTheSegmentsOwner(t *testing.T) {
	f := start(t)
	if !f.loaded.exact {
		t.Skip("this kernel gives the memory of a process up too early")
	}
	f.mu.Lock()
	p := spawn(t, command("setuid", "7"))
	p.end()
	f.mu.Unlock()
	var found []*emittest.Process
	eventually(t, func() bool { found = of(f.collect(), p.pid); return len(found) > 0 }, "nothing was copied")
	assert.Equal(t, "65534", found[0].Resource["process.user.id"])
	assert.Zero(t, f.copying)
}

func TestAtExitProgramAfterExecIsCopiedWhereAnotherWasOpen(t *testing.T) {
	f := start(t)
	if !f.loaded.exact {
		t.Skip("this kernel gives the memory of a process up too early")
	}
	cmd := command()
	cmd.Path, cmd.Args = "/usr/bin/setarch", []string{"setarch", "-R", program, "again", "7", "300"} // at the same address
	p := spawn(t, cmd)
	eventually(t, func() bool { return f.held(p.pid) == 1 }, "the segment is not found")
	f.mu.Lock()
	p.end()
	f.mu.Unlock()
	eventually(t, func() bool { return total(f.collect(), adds, p.pid) >= 300 }, "what was counted is not delivered")
}

func TestSegmentOfAProcessWhoseFirstThreadHasEndedIsFound(t *testing.T) {
	f := start(t)
	p := spawn(t, command("outlive"))
	eventually(t, func() bool { return f.held(p.pid) == 1 }, "the segment is not found when it is announced")
	require.NoError(t, f.Shutdown(context.Background()))
	again := start(t)
	assert.Equal(t, 1, again.held(p.pid), "the segment is not found by looking")
	p.end()
	eventually(t, func() bool { return again.held(p.pid) == 0 }, "the segment is still open")
}

func TestCopyWhoseEndIsNotHeardOfIsTaken(t *testing.T) {
	f := start(t)
	f.mu.Lock()
	f.keepPage(notice{kind: noticePage, pid: 1 << 30, address: pageSize, page: make([]byte, pageSize)})
	assert.Equal(t, 1, f.copying)
	f.copies[1<<30][0].began = time.Now().Add(-time.Minute)
	f.mu.Unlock()
	f.collect()
	assert.Empty(t, f.copies)
	assert.Zero(t, f.copying)
	assert.EqualValues(t, 1, f.tel.reasons()[string(segment.ErrMagic)])
}

func TestAtExitCopyThatThereIsNoRoomForIsCounted(t *testing.T) {
	f := start(t)
	if !f.loaded.exact {
		t.Skip("this kernel gives the memory of a process up too early")
	}
	f.mu.Lock()
	dead(t, 7)
	f.copying += maxCopying
	f.mu.Unlock()
	eventually(t, func() bool { return f.tel.reasons()[string(errNotCopied)] > 0 }, "the loss is not counted")
	f.mu.Lock()
	assert.Equal(t, maxCopying, f.copying)
	f.mu.Unlock()
}

func TestAtExitCopyHasNoRingsAndThatIsCounted(t *testing.T) {
	f := start(t)
	if !f.loaded.exact {
		t.Skip("this kernel gives the memory of a process up too early")
	}
	f.mu.Lock() // so that it cannot be opened in time
	cmd := command("record", "7")
	require.Error(t, cmd.Run())
	f.mu.Unlock()
	eventually(t, func() bool { return total(f.collect(), adds, cmd.Process.Pid) == 7 }, "what was added is not delivered")
	assert.EqualValues(t, 1, f.tel.reasons()[string(errNotCopied)])
}

// More than a ring has room for, between two collections.
func TestMeasurementsAreReadBetweenCollections(t *testing.T) {
	f := start(t)
	const n = 60_000
	p := spawn(t, command("recording", strconv.Itoa(n)))
	eventually(t, func() bool { f.collect(); return f.tel.Measured("read") == 1 }, "the first is not read")
	_, err := p.in.Write([]byte{1})
	require.NoError(t, err)
	eventually(t, func() bool { return f.tel.Measured("read")+f.tel.Measured("lost") == 1+n }, "they are not read")
	assert.Zero(t, f.tel.Measured("lost"))
	p.end()
	eventually(t, func() bool { f.collect(); return f.held(p.pid) == 0 }, "the segment is still open")
	eventually(t, func() bool { f.mu.Lock(); defer f.mu.Unlock(); return !f.draining }, "rings are still looked for")
}

func TestChildKeepsItsParentsSegmentAliveAndIsNotTakenForIt(t *testing.T) {
	f := start(t)
	p := spawn(t, command("heir", "7"))
	// From its memory, or from the segment that its child keeps alive: once.
	eventually(t, func() bool {
		return total(f.collect(), adds, p.pid) == 7 || !f.loaded.exact && f.tel.reasons()[string(errTooShort)] > 0
	}, "the parent's count is not delivered")
	p.end()
	eventually(t, func() bool { f.collect(); return f.held(p.pid) == 0 }, "the segment is still open")
}

func TestSegmentsInOtherNamespacesAreFound(t *testing.T) {
	f := start(t)
	cmd := command()
	cmd.Path, cmd.Args = "/usr/bin/unshare", []string{"unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--net", "--ipc", program, "stay", "7777"}
	spawn(t, cmd)
	var r *emittest.Recorder
	eventually(t, func() bool { r = f.collect(); return r.Total(adds) >= 7777 }, "the segment is not found")
	for _, p := range r.Find(adds) {
		if p.Counters[adds] != 7777 {
			continue
		}
		assert.NotEqual(t, "1", p.Resource["process.pid"], "the kernel's word, not the process's")
		exe, err := os.Readlink("/proc/" + p.Resource["process.pid"] + "/exe")
		require.NoError(t, err)
		assert.Equal(t, filepath.Base(program), filepath.Base(exe))
	}
}

// memfdsOf are those that a process has open.
func memfdsOf(t *testing.T, pid int) (keys []segments.Key) {
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, n := range names {
		var st unix.Stat_t
		if link, err := os.Readlink(dir + n.Name()); err == nil && link == name && unix.Stat(dir+n.Name(), &st) == nil {
			keys = append(keys, segments.KeyOf(&st))
		}
	}
	return keys
}

func TestForgedMemfdsAreRefusedAndCountedOnce(t *testing.T) {
	f := start(t)
	bare, sealed := spawn(t, command("forge", "300")), spawn(t, command("forge", "30", "sealed"))
	good := spawn(t, command("stay", "7"))
	f.lookAgain()
	f.collect() // those without seals might be about to get them
	f.lookAgain()
	assert.EqualValues(t, 7, total(f.collect(), adds, good.pid))
	for pid, want := range map[int]segment.Reason{bare.pid: errSeals, sealed.pid: segment.ErrMagic} {
		keys := memfdsOf(t, pid)
		assert.NotEmpty(t, keys)
		for _, k := range keys {
			assert.Equal(t, want, f.refused[k].reason)
			assert.True(t, f.refused[k].told)
		}
	}
	before := f.tel.reasons()
	assert.GreaterOrEqual(t, before[string(errSeals)], int64(300))
	assert.GreaterOrEqual(t, before[string(segment.ErrMagic)], int64(30))
	f.lookAgain()
	f.collect()
	assert.Less(t, f.tel.reasons()[string(errSeals)], before[string(errSeals)]+300, "each is counted once")
}

func TestCollectorThatStartsAgainFindsTheLiving(t *testing.T) {
	f := newSource(t, testLimits)
	require.NoError(t, f.Start(context.Background(), nil))
	p := spawn(t, command("stay", "7"))
	eventually(t, func() bool { return f.held(p.pid) == 1 }, "the segment is not found")
	f.collect()
	require.NoError(t, f.Shutdown(context.Background()))
	r := start(t).collect()
	require.Len(t, of(r, p.pid), 1)
	assert.EqualValues(t, 7, total(r, adds, p.pid))
	assert.True(t, of(r, p.pid)[0].Info.Seen)
}

func TestShutdownLeavesNothingOpen(t *testing.T) {
	need(t)
	open := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(names)
	}
	p := spawn(t, command("stay", "7"))
	before := open()
	f := newSource(t, testLimits)
	require.NoError(t, f.Start(context.Background(), nil))
	assert.Equal(t, 1, f.held(p.pid))
	require.NoError(t, f.Shutdown(context.Background()))
	require.NoError(t, f.Shutdown(context.Background()))
	assert.LessOrEqual(t, open(), before)
	assert.Error(t, f.Collect(context.Background(), nil))
}

func TestAtExitStormOfProcessesIsExact(t *testing.T) {
	f := start(t)
	if !f.loaded.exact {
		t.Skip("this kernel gives the memory of a process up too early")
	}
	const writers, each = 8, 40
	var group sync.WaitGroup
	var mu sync.Mutex
	var pids []int
	for range writers {
		group.Go(func() {
			for range each {
				pid := dead(t, 5)
				mu.Lock()
				pids = append(pids, pid)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	f.exact(pids, 5)
}
