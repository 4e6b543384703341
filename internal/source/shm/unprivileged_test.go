package shm

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
)

const nobody = 65534

// unprivileged makes the whole process another user until the test's end, or the returned call.
func unprivileged(t *testing.T) (end func()) {
	t.Helper()
	require.NoError(t, syscall.Setresuid(-1, nobody, -1))
	back := false
	end = func() {
		if !back {
			back = true
			require.NoError(t, syscall.Setresuid(-1, 0, -1))
		}
	}
	t.Cleanup(end)
	return end
}

func requireRoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to become another user")
	}
}

func TestUnprivilegedCollectorWarnsAndServesItsOwnUser(t *testing.T) {
	requireRoot(t)
	f := unstarted(t)
	require.NoError(t, os.Mkdir(f.dir, 0o755))
	require.NoError(t, os.Chmod(f.dir, os.ModeSticky|0o777))
	f.write("private", requests(1).Bytes())
	f.write("bad", []byte("HOTPATH\n and nothing else"))
	require.NoError(t, os.Chmod(filepath.Join(f.dir, "bad"), 0o644))
	own := requests(2)
	own.PID = 43
	f.write("own", counting(own, 4))
	require.NoError(t, os.Chown(filepath.Join(f.dir, "own"), nobody, nobody))

	end := unprivileged(t)
	f.start()
	assert.Equal(t, 1, f.logs.FilterMessageSnippet("belongs to another user").Len())
	p := f.one()
	assert.EqualValues(t, nobody, p.Owner)
	assert.Equal(t, map[string]uint64{"requests": 4}, p.counters)
	f.src.Commit()
	f.one()
	assert.Equal(t, []string{"bad", "private"}, f.names(), "what belongs to others stays")
	assert.Equal(t, map[string]int64{"unreadable": 1, "truncated": 1}, f.tel.skips())
	require.NoError(t, f.src.Shutdown(context.Background()))
	end()

	// Root takes the directory over though the lock file is another user's, and reads what that could not.
	f.renew()
	f.start()
	p = f.one()
	assert.EqualValues(t, 0, p.Owner)
	assert.EqualValues(t, 42, p.resource("process.pid"))
	assert.Equal(t, []string{"private"}, f.names())
}

func TestDirectoryThatIsNotWritableIsAnError(t *testing.T) {
	requireRoot(t)
	f := unstarted(t)
	require.NoError(t, os.Mkdir(f.dir, 0o755))
	unprivileged(t)
	require.ErrorContains(t, f.src.Start(context.Background(), nil), "must be able to write in the directory")
}

func TestDirectoryThatIsNotReadableIsAnError(t *testing.T) {
	requireRoot(t)
	f := unstarted(t)
	require.NoError(t, os.Mkdir(f.dir, 0o711))
	unprivileged(t)
	require.ErrorContains(t, f.src.Start(context.Background(), nil), "must be able to list it")
}

func TestSquatterThatCannotBeRemovedIsAnErrorThatNamesIt(t *testing.T) {
	requireRoot(t)
	f := unstarted(t)
	require.NoError(t, os.Mkdir(f.dir, 0o755))
	require.NoError(t, os.Chmod(f.dir, os.ModeSticky|0o777))
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, lockName), nil, 0o600))
	unprivileged(t)
	require.ErrorContains(t, f.src.Start(context.Background(), nil), "belongs to user 0")
}

func TestSegmentsOfAnotherUserNeverMerge(t *testing.T) {
	requireRoot(t)
	f := setUp(t)
	f.publish("a", requests(1))
	other, err := segmenttest.Publish(f.dir, ".b", requests(1).Bytes()) // even the id is equal
	require.NoError(t, err)
	t.Cleanup(other.Die)
	require.NoError(t, os.Chown(other.Path, nobody, nobody))
	require.NoError(t, os.Rename(other.Path, filepath.Join(f.dir, "b")))
	f.noticed()
	processes := f.collect()
	require.Len(t, processes, 2)
	assert.NotEqual(t, processes[0].Owner, processes[1].Owner)
}

func TestCollectorThatOwnsTheDirectoryRemovesTheDeadOfOtherUsers(t *testing.T) {
	requireRoot(t)
	f := unstarted(t)
	require.NoError(t, os.Mkdir(f.dir, 0o755))
	path := f.write("a", counting(requests(1), 4))
	require.NoError(t, os.Chown(path, 1234, 0))
	require.NoError(t, os.Chmod(path, 0o640))
	require.NoError(t, os.Chown(f.dir, nobody, 0))
	require.NoError(t, os.Chmod(f.dir, os.ModeSetgid|0o770))
	unprivileged(t)
	f.start()
	p := f.one()
	assert.Equal(t, map[string]uint64{"requests": 4}, p.counters)
	assert.EqualValues(t, 1234, p.Owner)
	f.src.Commit()
	assert.Empty(t, f.names())
	assert.Empty(t, f.tel.skips())
}

func TestDeadSegmentThatCannotBeRemovedIsDeliveredAndLoggedOnce(t *testing.T) {
	requireRoot(t)
	f := unstarted(t)
	require.NoError(t, os.Mkdir(f.dir, 0o755))
	require.NoError(t, os.Chmod(f.dir, os.ModeSticky|0o777))
	empty := requests(2)
	empty.PID, empty.Records = 43, empty.Records[:1]
	for name, b := range map[string][]byte{"a": counting(requests(1), 4), "empty": empty.Bytes()} {
		path := f.write(name, b)
		require.NoError(t, os.Chown(path, 1234, 0))
		require.NoError(t, os.Chmod(path, 0o644))
	}
	end := unprivileged(t)
	f.start()
	f.logs.TakeAll()
	assert.Equal(t, map[string]uint64{"requests": 4}, f.one().counters)
	f.src.Commit()
	assert.Equal(t, emit.Gone, f.one().State)
	f.src.Commit()
	for range 3 {
		clear(f.src.retired) // as if thousands had ended since
		f.src.rescan = true
		assert.Empty(t, f.collect())
		f.src.Commit()
	}
	assert.Equal(t, []string{"a", "empty"}, f.names())
	assert.Equal(t, map[string]int64{"not_removable": 2}, f.tel.skips())
	assert.Equal(t, 2, f.logs.Len(), "%v", f.logs.All())

	end()
	assert.Empty(t, f.collect())
	assert.Empty(t, f.names(), "removed as soon as it can be")
}
