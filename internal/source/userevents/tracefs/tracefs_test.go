package tracefs

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestMissingTracefsIsExplained(t *testing.T) {
	_, err := find([]string{t.TempDir(), "/nonexistent"})
	require.ErrorIs(t, err, ErrNotMounted)
	for _, text := range []string{"mount -t tracefs", "Linux 6.4", "CONFIG_USER_EVENTS", "source shm"} {
		assert.ErrorContains(t, err, text)
	}
}

func TestKernelWithoutUserEventsIsExplained(t *testing.T) {
	err := usable(t.TempDir())
	require.ErrorIs(t, err, ErrUnsupported)
	for _, text := range []string{"CONFIG_USER_EVENTS", "Linux 6.4", "Ubuntu 23.10", "Azure Linux 3", "WSL2", "source shm"} {
		assert.ErrorContains(t, err, text)
	}
}

func TestDeniedAccessIsExplained(t *testing.T) {
	err := denied("/sys/kernel/tracing", unix.EACCES)
	require.ErrorIs(t, err, os.ErrPermission)
	assert.ErrorContains(t, err, "CAP_DAC_OVERRIDE")
}

func TestLostEventsAreAddedUp(t *testing.T) {
	const stats = "entries: 5\noverrun: 100\ncommit overrun: 20\nbytes: 7\noldest event ts: 1.000001\n" +
		"now ts: 2.000002\ndropped events: 3\nread events: 9\n"
	n, err := lost(stats)
	require.NoError(t, err)
	assert.EqualValues(t, 123, n)
	_, err = lost("overrun: 100\n")
	assert.Error(t, err)
	_, err = lost("overrun: x\ncommit overrun: 20\ndropped events: 3\n")
	assert.Error(t, err)
}

func TestNamesAreThoseThatTheKernelMayMean(t *testing.T) {
	assert.Equal(t, []Name{{Group, "a"}}, Names("a"))
	assert.Equal(t, []Name{{GroupMulti, "a.1f"}, {Group, "a.1f"}}, Names("a.1f"))
	for _, name := range []string{".1f", "a.", "a.xyz"} {
		assert.Equal(t, []Name{{Group, name}}, Names(name), name)
	}
	for _, name := range []string{"..", ".", "../../a", "a/b", "/"} {
		assert.Empty(t, Names(name), name)
	}
	base, multi := Base("a.b.1f")
	assert.Equal(t, "a.b", base)
	assert.True(t, multi)
}

func TestStatusListsNamesAndTellsChanges(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "user_events_status")
	write := func(text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) }
	write("first # Used by ftrace\nsecond\n\nActive: 2\nBusy: 1\n")
	s, err := Root{dir}.Status()
	require.NoError(t, err)
	defer s.Close()
	names := func() (list []string) {
		for n := range s.Names() {
			list = append(list, string(n))
		}
		return list
	}
	changed, err := s.Read()
	require.NoError(t, err)
	assert.True(t, changed)
	assert.Equal(t, []string{"first", "second"}, names())
	changed, err = s.Read()
	require.NoError(t, err)
	assert.False(t, changed)
	long := slices.Repeat([]byte("x"), 5000)
	write(string(long) + "\nthird\n\nActive: 2\n")
	changed, err = s.Read()
	require.NoError(t, err)
	assert.True(t, changed)
	assert.Equal(t, []string{string(long), "third"}, names())
}

func TestClockTellsTheTime(t *testing.T) {
	var c Clock
	c.Anchor()
	before := time.Now().UnixNano()
	now := c.Unix(uint64(boot()))
	after := time.Now().UnixNano()
	const tolerance = int64(time.Millisecond)
	assert.GreaterOrEqual(t, now, before-tolerance)
	assert.LessOrEqual(t, now, after+tolerance)
}

func TestPollEndsWhenItIsStopped(t *testing.T) {
	p, err := NewPoll()
	require.NoError(t, err)
	defer p.Close()
	ids, err := p.Wait(nil, time.Millisecond)
	require.NoError(t, err)
	assert.Empty(t, ids)
	go p.Stop()
	_, err = p.Wait(nil, -1)
	assert.ErrorIs(t, err, os.ErrClosed)
}
