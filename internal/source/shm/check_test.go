package shm

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/source/segments"
	"github.com/hotpath-metrics/hotpath/internal/source/segments/segmentstest"
)

const trialName = ".trial"

func TestTrialIsWithinTheDirectoryOrBesideIt(t *testing.T) {
	f := unstarted(t)
	place, err := Try(f.cfg, trialName)
	require.NoError(t, err)
	assert.True(t, place.Missing)
	assert.Equal(t, filepath.Join(filepath.Dir(f.dir), trialName), place.Directory)
	assert.NoDirExists(t, place.Directory, "a source makes it")
	assert.NoDirExists(t, f.dir)

	require.NoError(t, os.Mkdir(f.dir, 0o755))
	place, err = Try(f.cfg, trialName)
	require.NoError(t, err)
	assert.False(t, place.Missing)
	assert.Equal(t, filepath.Join(f.dir, trialName), place.Directory)
	assert.DirExists(t, place.Directory)
	require.NoError(t, place.Validate())
	assert.Empty(t, place.Warnings)
	assert.NoError(t, place.InUse)
}

func TestTrialLeavesTheCollectorOfTheDirectoryAlone(t *testing.T) {
	f := setUp(t)
	f.publish("a", segmentstest.Requests(1))
	logged := f.logs.Len()
	place, err := Try(f.cfg, trialName)
	require.NoError(t, err)
	other := unstarted(t)
	other.cfg = f.cfg
	other.renew()
	assert.EqualError(t, place.InUse, other.src.Start(context.Background(), nil).Error(), "as another collector is told")
	assert.Len(t, f.collect(), 1)
	assert.Equal(t, logged, f.logs.Len())
	assert.Empty(t, f.tel.Skipped())
}

func TestTrialSaysWhatStartSays(t *testing.T) {
	for name, spoil := range map[string]func(f *fixture){
		"file":    func(f *fixture) { require.NoError(t, os.WriteFile(f.dir, nil, 0o600)) },
		"link":    func(f *fixture) { require.NoError(t, os.Symlink("/dev/shm", f.dir)) },
		"no list": func(f *fixture) { f.cfg.Directory = "/dev/null/x" },
	} {
		t.Run(name, func(t *testing.T) {
			f := unstarted(t)
			spoil(f)
			f.renew()
			_, err := Try(f.cfg, trialName)
			assert.EqualError(t, err, f.src.Start(context.Background(), nil).Error())
		})
	}
}

// What doctor publishes in the directory is gone at once.
func TestFileThatIsRemovedWhileItIsOpenedIsNoTrouble(t *testing.T) {
	f := setUp(t)
	path := filepath.Join(f.dir, ".file")
	require.NoError(t, os.WriteFile(path, segmentstest.Requests(1).Bytes(), 0o600))
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, os.Remove(path))
	var st unix.Stat_t
	require.NoError(t, unix.Fstat(fd, &st))
	f.src.mu.Lock()
	defer f.src.mu.Unlock()
	assert.False(t, f.src.examine("file", fd, segments.KeyOf(&st)))
	assert.Empty(t, f.tel.Skipped())
	assert.Empty(t, f.src.skipped)
}
