package shm

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
	"github.com/hotpath-metrics/hotpath/internal/source/segments/segmentstest"
)

func stat(t *testing.T, path string) *syscall.Stat_t {
	t.Helper()
	info, err := os.Lstat(path)
	require.NoError(t, err)
	return info.Sys().(*syscall.Stat_t)
}

func TestDirectoryIsMadeWithModeAndGroupWhateverTheUmask(t *testing.T) {
	defer unix.Umask(unix.Umask(0o077))
	f := unstarted(t)
	f.cfg.Mode = "2770"
	if os.Getuid() == 0 {
		f.cfg.Group = "12345"
	}
	f.renew()
	f.start()
	st := stat(t, f.dir)
	assert.EqualValues(t, 0o2770, st.Mode&0o7777)
	if os.Getuid() == 0 {
		assert.EqualValues(t, 12345, st.Gid)
	}
	assert.EqualValues(t, 0o600, stat(t, filepath.Join(f.dir, lockName)).Mode&0o7777)
}

func TestDirectoryIsMadeForEverybodyByDefault(t *testing.T) {
	f := setUp(t)
	assert.EqualValues(t, 0o1777, stat(t, f.dir).Mode&0o7777)
}

func TestStartSaysWhatIsWrongWithTheDirectory(t *testing.T) {
	for name, tt := range map[string]struct {
		make func(path string) error
		want string
	}{
		"a file":               {func(p string) error { return os.WriteFile(p, nil, 0o600) }, "it is not a directory: remove it or set shm::directory"},
		"a symbolic link":      {func(p string) error { return os.Symlink(os.TempDir(), p) }, "it is a symbolic link: remove it or set shm::directory"},
		"a parent that is not": {func(p string) error { return os.RemoveAll(filepath.Dir(p)) }, "make it by hand or set shm::directory"},
	} {
		t.Run(name, func(t *testing.T) {
			f := unstarted(t)
			require.NoError(t, tt.make(f.dir))
			require.ErrorContains(t, f.src.Start(context.Background(), nil), tt.want)
		})
	}
}

func TestOptionalSourceStartsWithoutADirectoryAndTakesItLater(t *testing.T) {
	f := unstarted(t)
	f.cfg.Optional = true
	f.renew()
	require.NoError(t, os.WriteFile(f.dir, nil, 0o600))
	f.start()
	require.Error(t, f.src.Collect(context.Background(), &segmentstest.Sink{}))
	require.NoError(t, os.Remove(f.dir))
	assert.Empty(t, f.collect())
	f.publish("a", segmentstest.Requests(1))
	f.one()
}

func TestDirectoryThatIsNotOnTmpfsIsWarnedAboutAndUsed(t *testing.T) {
	f := unstarted(t)
	f.cfg.Directory = filepath.Join(t.TempDir(), "hotpath")
	f.dir = f.cfg.Directory
	var fs unix.Statfs_t
	require.NoError(t, unix.Statfs(filepath.Dir(f.dir), &fs))
	if fs.Type == unix.TMPFS_MAGIC {
		t.Skip("needs a temporary directory that is not on tmpfs")
	}
	f.renew()
	f.start()
	assert.Equal(t, 1, f.logs.FilterMessageSnippet("not on tmpfs").Len())
	f.publish("a", segmentstest.Requests(1))
	f.one()
}

func TestRootAdoptsADirectoryOfAnotherUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	f := unstarted(t)
	require.NoError(t, os.Mkdir(f.dir, 0o700))
	require.NoError(t, os.Chown(f.dir, 1234, 1234))
	f.start()
	st := stat(t, f.dir)
	assert.EqualValues(t, 0, st.Uid)
	assert.EqualValues(t, 0o1777, st.Mode&0o7777)
}

func TestDirectoryOfThisUserKeepsItsModeUnlessOneIsConfigured(t *testing.T) {
	f := unstarted(t)
	require.NoError(t, os.Mkdir(f.dir, 0o700))
	f.start()
	assert.EqualValues(t, 0o700, stat(t, f.dir).Mode&0o7777)

	// A client of the same user came first and made it for everybody.
	f = unstarted(t)
	require.NoError(t, os.Mkdir(f.dir, 0o700))
	require.NoError(t, os.Chmod(f.dir, os.ModeSticky|0o777))
	f.cfg.Mode, f.cfg.Group = "2750", "1"
	f.renew()
	f.start()
	st := stat(t, f.dir)
	assert.EqualValues(t, 0o2750, st.Mode&0o7777)
	assert.EqualValues(t, 1, st.Gid)
}

func TestSecondCollectorOnADirectoryStopsWithAClearError(t *testing.T) {
	f := setUp(t)
	second := New(f.cfg, f.limits, f.src.logger, segmentstest.NewTelemetry())
	err := second.Start(context.Background(), nil)
	require.ErrorContains(t, err, f.dir)
	require.ErrorContains(t, err, "in use by another collector")
	require.NoError(t, second.Shutdown(context.Background()))

	require.NoError(t, f.src.Shutdown(context.Background()))
	require.NoError(t, second.Start(context.Background(), nil))
	require.NoError(t, second.Shutdown(context.Background()))
}

func TestCollectorThatIsRefusedLeavesTheDirectoryAsItIs(t *testing.T) {
	f := setUp(t)
	before := stat(t, f.dir)
	cfg := f.cfg
	cfg.Mode, cfg.Group = "2750", "1"
	require.ErrorContains(t, New(cfg, f.limits, f.src.logger, segmentstest.NewTelemetry()).Start(context.Background(), nil), "another collector")
	after := stat(t, f.dir)
	assert.Equal(t, before.Mode, after.Mode)
	assert.Equal(t, before.Gid, after.Gid)
}

func TestSourceThatCannotStartYetWarnsAboutTheDirectoryOnce(t *testing.T) {
	f := unstarted(t)
	f.cfg.Directory = filepath.Join(t.TempDir(), "hotpath")
	var fs unix.Statfs_t
	require.NoError(t, unix.Statfs(filepath.Dir(f.cfg.Directory), &fs))
	if fs.Type == unix.TMPFS_MAGIC {
		t.Skip("needs a temporary directory that is not on tmpfs")
	}
	f.dir = f.cfg.Directory
	f.cfg.Optional = true
	f.renew()
	first := New(f.cfg, f.limits, f.src.logger, segmentstest.NewTelemetry())
	require.NoError(t, first.Start(context.Background(), nil))
	defer first.Shutdown(context.Background())
	f.logs.TakeAll()

	f.start()
	for range 3 {
		require.ErrorContains(t, f.src.Collect(context.Background(), &segmentstest.Sink{}), "another collector")
	}
	assert.Zero(t, f.logs.Len(), "%v", f.logs.All())
	require.NoError(t, first.Shutdown(context.Background()))
	for range 3 {
		f.collect()
	}
	assert.Equal(t, 1, f.logs.FilterMessageSnippet("not on tmpfs").Len())
	assert.Equal(t, 1, f.logs.Len(), "%v", f.logs.All())
}

func TestWhatOthersPutInTheLocksPlaceDoesNotKeepTheCollectorOut(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to make files of another user")
	}
	for name, squat := range map[string]func(path string) error{
		"a locked file": func(p string) error {
			fd, err := unix.Open(p, unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o666)
			if err != nil {
				return err
			}
			t.Cleanup(func() { unix.Close(fd) })
			return unix.Flock(fd, unix.LOCK_EX)
		},
		"a fifo":           func(p string) error { return unix.Mkfifo(p, 0o666) },
		"a symbolic link":  func(p string) error { return os.Symlink("/etc/hostname", p) },
		"a full directory": func(p string) error { return os.MkdirAll(filepath.Join(p, "full"), 0o755) },
	} {
		t.Run(name, func(t *testing.T) {
			f := unstarted(t)
			require.NoError(t, os.Mkdir(f.dir, os.ModeSticky|0o777))
			path := filepath.Join(f.dir, lockName)
			require.NoError(t, squat(path))
			require.NoError(t, os.Lchown(path, 1234, 1234))
			f.start()
			st := stat(t, path)
			assert.EqualValues(t, 0, st.Uid)
			assert.EqualValues(t, unix.S_IFREG|0o600, st.Mode)
			f.publish("a", segmentstest.Requests(1))
			f.one()
			assert.Empty(t, f.tel.Skipped())
		})
	}
}

func TestLockOnTheDirectoryItselfDoesNotKeepTheCollectorOut(t *testing.T) {
	f := unstarted(t)
	require.NoError(t, os.Mkdir(f.dir, 0o755))
	fd, err := unix.Open(f.dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, unix.Flock(fd, unix.LOCK_EX))
	f.start()
}

func TestRemovedLockFileIsTakenAgain(t *testing.T) {
	f := setUp(t)
	f.publish("a", segmentstest.Requests(1))
	require.NoError(t, os.Remove(filepath.Join(f.dir, lockName)))
	f.one()
	f.src.Commit()
	require.ErrorContains(t, New(f.cfg, f.limits, f.src.logger, segmentstest.NewTelemetry()).Start(context.Background(), nil), "another collector")
}

func TestCollectorThatLostItsLockToAnotherSaysSoAndDeliversNothing(t *testing.T) {
	f := setUp(t)
	f.publish("a", segmentstest.Requests(1))
	require.NoError(t, os.Remove(filepath.Join(f.dir, lockName)))
	second := New(f.cfg, f.limits, f.src.logger, segmentstest.NewTelemetry())
	require.NoError(t, second.Start(context.Background(), nil))
	defer second.Shutdown(context.Background())
	for range 2 {
		var s segmentstest.Sink
		require.ErrorContains(t, f.src.Collect(context.Background(), &s), "another collector")
		assert.Empty(t, s.Processes)
	}
}

func TestRemovedDirectoryIsMadeAgainAndWhatIsHeldIsStillDelivered(t *testing.T) {
	f := setUp(t)
	old := f.publish("a", segmentstest.Requests(1))
	f.one()
	f.src.Commit()
	require.NoError(t, os.RemoveAll(f.dir))
	old.Word(segmenttest.StripeWord(0, 1)).Store(5)
	assert.Equal(t, map[string]uint64{"requests": 5}, f.one().Counters)
	f.src.Commit()
	assert.EqualValues(t, 0o1777, stat(t, f.dir).Mode&0o7777)

	other := segmentstest.Requests(2)
	other.PID, other.StartTime = 43, 2000
	f.publish("b", other)
	assert.Len(t, f.collect(), 2)
	f.src.Commit()
	old.Die()
	f.collect()
	f.src.Commit()
	f.collect()
	f.src.Commit()
	assert.EqualValues(t, 2000, f.one().Start)
}

func TestMovedDirectoryIsReplacedAndItsDeadAreStillRemoved(t *testing.T) {
	f := setUp(t)
	live := f.publish("a", segmentstest.Requests(1))
	f.one()
	moved := f.dir + ".old"
	require.NoError(t, os.Rename(f.dir, moved))
	assert.Equal(t, map[string]uint64{"requests": 0}, f.one().Counters)
	require.DirExists(t, f.dir)
	live.Die()
	f.one()
	f.src.Commit()
	assert.NoFileExists(t, filepath.Join(moved, "a"))
}

func TestDirectoryReplacedByAFileIsAnErrorAndWhatIsHeldIsStillDelivered(t *testing.T) {
	f := setUp(t)
	f.publish("a", segmentstest.Requests(1))
	require.NoError(t, os.RemoveAll(f.dir))
	require.NoError(t, os.WriteFile(f.dir, nil, 0o600))
	var s segmentstest.Sink
	require.ErrorContains(t, f.src.Collect(context.Background(), &s), "not a directory")
	assert.Len(t, s.Processes, 1)
}

func TestUnwatchedDirectoryIsListedAtEachCollection(t *testing.T) {
	f := setUp(t)
	f.src.mu.Lock()
	f.src.dir.watch.close()
	f.src.dir.watch = nil
	f.src.mu.Unlock()
	f.src.watching.Wait()
	live, err := segmenttest.Publish(f.dir, "a", segmentstest.Requests(1).Bytes())
	require.NoError(t, err)
	defer live.Die()
	f.one()
}

func TestShutdownIsSafeWithoutStartAndTwice(t *testing.T) {
	f := unstarted(t)
	require.NoError(t, f.src.Shutdown(context.Background()))
	require.Error(t, f.src.Collect(context.Background(), &segmentstest.Sink{}))
	f.src.Commit()
	f.start()
	f.publish("a", segmentstest.Requests(1))
	f.one()
	require.NoError(t, f.src.Shutdown(context.Background()))
	require.NoError(t, f.src.Shutdown(context.Background()))
}

func TestCollectStopsWhenItsContextEnds(t *testing.T) {
	f := setUp(t)
	f.publish("a", segmentstest.Requests(1)).Die()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var s segmentstest.Sink
	require.ErrorIs(t, f.src.Collect(ctx, &s), context.Canceled)
	f.src.Commit()
	assert.Equal(t, []string{"a"}, f.names(), "what was not handed over was not accepted")
	f.one()
}

func TestValidateNamesEveryKeyThatIsWrong(t *testing.T) {
	require.NoError(t, DefaultConfig().Validate())
	for name, tt := range map[string]struct {
		cfg  Config
		want []string
	}{
		"a relative directory": {Config{Directory: "hotpath", Mode: "1777"}, []string{"directory"}},
		"no directory":         {Config{Mode: "1777"}, []string{"directory"}},
		"the root":             {Config{Directory: "/", Mode: "1777"}, []string{"directory"}},
		"a mode of letters":    {Config{Directory: "/a", Mode: "rwx"}, []string{"mode"}},
		"a decimal mode":       {Config{Directory: "/a", Mode: "1999"}, []string{"mode"}},
		"too many bits":        {Config{Directory: "/a", Mode: "17777"}, []string{"mode"}},
		"an owner shut out":    {Config{Directory: "/a", Mode: "077"}, []string{"mode"}},
		"all of it":            {Config{Mode: "8"}, []string{"directory", "mode"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := tt.cfg.Validate()
			require.Error(t, err)
			for _, key := range tt.want {
				require.ErrorContains(t, err, key+":")
			}
		})
	}
}

func TestUnknownGroupIsNamedAtStart(t *testing.T) {
	f := unstarted(t)
	f.cfg.Group = "no such group " + strings.Repeat("x", 8)
	f.cfg.Directory += "-of-a-group"
	f.renew()
	require.ErrorContains(t, f.src.Start(context.Background(), nil), "shm::group")
	require.NoDirExists(t, f.cfg.Directory, "what the next start would take as it is")
}
