package shm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
	"github.com/hotpath-metrics/hotpath/internal/source/segments/segmentstest"
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
	f.write("private", segmentstest.Requests(1).Bytes())
	f.write("bad", []byte("HOTPATH\n and nothing else"))
	require.NoError(t, os.Chmod(filepath.Join(f.dir, "bad"), 0o644))
	own := segmentstest.Requests(2)
	own.PID = 43
	f.write("own", counting(own, 4))
	require.NoError(t, os.Chown(filepath.Join(f.dir, "own"), nobody, nobody))

	end := unprivileged(t)
	f.start()
	assert.Equal(t, 1, f.logs.FilterMessageSnippet("belongs to another user").Len())
	p := f.one()
	assert.EqualValues(t, nobody, p.Owner)
	assert.Equal(t, map[string]uint64{"requests": 4}, p.Counters)
	f.src.Commit()
	f.one()
	assert.Equal(t, []string{"bad", "private"}, f.names(), "what belongs to others stays")
	assert.Equal(t, map[string]int64{"unreadable": 1, "truncated": 1}, f.tel.Skipped())
	require.NoError(t, f.src.Shutdown(context.Background()))
	end()

	// Root takes the directory over though the lock file is another user's, and reads what that could not.
	f.renew()
	f.start()
	p = f.one()
	assert.EqualValues(t, 0, p.Owner)
	assert.EqualValues(t, 42, p.Attribute("process.pid"))
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
	f.publish("a", segmentstest.Requests(1))
	other, err := segmenttest.Publish(f.dir, ".b", segmentstest.Requests(1).Bytes()) // even the id is equal
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
	path := f.write("a", counting(segmentstest.Requests(1), 4))
	require.NoError(t, os.Chown(path, 1234, 0))
	require.NoError(t, os.Chmod(path, 0o640))
	require.NoError(t, os.Chown(f.dir, nobody, 0))
	require.NoError(t, os.Chmod(f.dir, os.ModeSetgid|0o770))
	unprivileged(t)
	f.start()
	p := f.one()
	assert.Equal(t, map[string]uint64{"requests": 4}, p.Counters)
	assert.EqualValues(t, 1234, p.Owner)
	f.src.Commit()
	assert.Empty(t, f.names())
	assert.Empty(t, f.tel.Skipped())
}

func TestDeadSegmentThatCannotBeRemovedIsDeliveredAndLoggedOnce(t *testing.T) {
	requireRoot(t)
	f := unstarted(t)
	require.NoError(t, os.Mkdir(f.dir, 0o755))
	require.NoError(t, os.Chmod(f.dir, os.ModeSticky|0o777))
	empty := segmentstest.Requests(2)
	empty.PID, empty.Records = 43, empty.Records[:1]
	for name, b := range map[string][]byte{"a": counting(segmentstest.Requests(1), 4), "empty": empty.Bytes()} {
		path := f.write(name, b)
		require.NoError(t, os.Chown(path, 1234, 0))
		require.NoError(t, os.Chmod(path, 0o644))
	}
	end := unprivileged(t)
	f.start()
	f.logs.TakeAll()
	assert.Equal(t, map[string]uint64{"requests": 4}, f.one().Counters)
	f.src.Commit()
	assert.Equal(t, emit.Gone, f.one().State)
	f.src.Commit()
	endThousands(f)
	for range 3 {
		f.src.rescan = true
		assert.Empty(t, f.collect())
		f.src.Commit()
	}
	assert.Equal(t, []string{"a", "empty"}, f.names())
	assert.Equal(t, map[string]int64{"not_removable": 2}, f.tel.Skipped())
	assert.Equal(t, 2, f.logs.Len(), "%v", f.logs.All())

	end()
	assert.Empty(t, f.collect())
	assert.Empty(t, f.names(), "removed as soon as it can be")
}

// endThousands delivers so many dead segments that copies of any earlier one are not known any more.
func endThousands(f *fixture) {
	f.Helper()
	for i := range 4096 {
		s := segmentstest.Requests(uint64(1000 + i))
		s.PID = uint64(1000 + i)
		b := s.Bytes()
		temporary := filepath.Join(f.dir, ".temporary")
		require.NoError(f, os.WriteFile(temporary, b[:segmenttest.CatalogueOffset+4096], 0o600))
		require.NoError(f, os.Truncate(temporary, int64(len(b))))
		require.NoError(f, os.Rename(temporary, filepath.Join(f.dir, fmt.Sprint(i))))
		if i%512 == 511 {
			f.noticed()
			assert.Len(f, f.collect(), 512)
			f.src.Commit()
			f.collect()
			f.src.Commit()
		}
	}
}
