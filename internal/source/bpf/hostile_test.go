package bpf

import (
	"context"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
)

// nobody has a program run as another user.
func nobody(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	return cmd
}

func TestManyMemfdsOfAUserLeaveRoomForOthers(t *testing.T) {
	need(t)
	spawn(t, nobody(command("forge", "50", "sealed")))
	good := spawn(t, command("stay", "7"))
	limits := testLimits
	limits.Segments, limits.SegmentsPerUID = 20, 10
	f := newSource(t, limits)
	f.begin()
	assert.Equal(t, 1, f.held(good.pid))
}

func TestRefusalsAreForgottenWithTheirMemfds(t *testing.T) {
	f := start(t)
	gone, stays := spawn(t, command("forge", "20", "sealed")), spawn(t, command("forge", "20", "sealed"))
	forged := memfdsOf(t, gone.pid)
	left := memfdsOf(t, stays.pid)
	f.lookAgain()
	f.collect()
	require.Subset(t, keysOf(f.refused), forged)
	gone.end()
	for key, r := range f.refused {
		r.seen = r.seen.Add(-time.Hour)
		f.refused[key] = r
	}
	f.listed, f.mapped = time.Time{}, time.Time{}
	f.collect()
	assert.NotSubset(t, keysOf(f.refused), forged)
	assert.Subset(t, keysOf(f.refused), left)
}

func keysOf(refused map[segments.Key]refusal) (keys []segments.Key) {
	for key := range refused {
		keys = append(keys, key)
	}
	return keys
}

func TestRefusalsOfManyMemfdsAreFewLines(t *testing.T) {
	need(t)
	spawn(t, command("forge", "300", "sealed"))
	core, logs := observer.New(zapcore.DebugLevel)
	tel := newTelemetry()
	s := New(DefaultConfig(), testLimits, zap.New(core), tel)
	require.NoError(t, s.Start(context.Background(), nil))
	assert.NoError(t, s.Shutdown(context.Background()))
	assert.GreaterOrEqual(t, tel.reasons()[string(segment.ErrMagic)], int64(300))
	assert.LessOrEqual(t, logs.Len(), 30, "ten of each message")
}

func TestSegmentWaitsForADescriptor(t *testing.T) {
	f := start(t)
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	fd, err := unix.Dup(0)
	require.NoError(t, err)
	unix.Close(fd)
	f.mu.Lock()
	p := spawn(t, command("stay", "7"))
	low := limit
	low.Cur = uint64(fd) + 10 // the kernel still gives some, which are kept back
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &low))
	f.mu.Unlock()
	eventually(t, func() bool { return f.tel.reasons()[string(segments.ErrDescriptors)] > 0 }, "the segment is not refused")
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	f.lookAgain()
	assert.EqualValues(t, 7, total(f.collect(), adds, p.pid))
}

func TestFloodOfAnnouncementsDelaysNobody(t *testing.T) {
	f := start(t)
	spawn(t, nobody(command("flood", "3000", "30000")))
	began := time.Now()
	f.collect()
	assert.Less(t, time.Since(began), 2*time.Second)
	p := spawn(t, command("stay", "7"))
	eventually(t, func() bool { return f.held(p.pid) == 1 }, "the segment is not found")
}

func TestAtExitFloodOfAnnouncementsLeavesRoomForLastValues(t *testing.T) {
	f := start(t)
	if !f.loaded.exact {
		t.Skip("this kernel gives the memory of a process up too early")
	}
	f.mu.Lock() // as by a collection that takes long
	spawn(t, nobody(command("flood", "300000")))
	pid := dead(t, 7)
	f.mu.Unlock()
	eventually(t, func() bool { return total(f.collect(), adds, pid) == 7 }, "what was counted is not delivered")
	assert.Positive(t, f.tel.dropped)
}

func TestProcessesThatHadEndedAreNotWatched(t *testing.T) {
	f := start(t)
	pid := uint32(dead(t, 1))
	f.mu.Lock()
	require.NoError(t, f.loaded.watch(pid))
	f.mapped = time.Time{}
	f.mu.Unlock()
	f.collect()
	assert.Error(t, f.loaded.collection.Maps[segmentsMapProcesses].Lookup(pid, &segmentsProcess{}))
}
