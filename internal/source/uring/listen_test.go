package uring

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
	"github.com/hotpath-metrics/hotpath/internal/source/uring/uringtest"
)

func TestSocketHasTheModeAndIsRemoved(t *testing.T) {
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	f := newFixture(t, func(c *Config, _ *segments.Limits) {
		c.Mode = "0660"
		c.Socket = filepath.Join(filepath.Dir(c.Socket), "made", "socket")
	})
	f.begin()
	info, err := os.Stat(f.cfg.Socket)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o660), info.Mode().Perm())
	assert.Equal(t, os.ModeSocket, info.Mode().Type())
	require.NoError(t, f.Shutdown(context.Background()))
	_, err = os.Stat(f.cfg.Socket)
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestSocketThatAnotherCollectorHasIsLeftAlone(t *testing.T) {
	for name, socket := range map[string]string{"a path": "", "an abstract name": "@hotpath-test-" + t.Name()} {
		t.Run(name, func(t *testing.T) {
			with := func(c *Config, _ *segments.Limits) {
				if socket != "" {
					c.Socket = socket
				}
			}
			f := setUp(t, with)
			honest := f.bystander()
			second := newFixture(t, func(c *Config, _ *segments.Limits) { c.Socket = f.cfg.Socket })
			assert.ErrorContains(t, second.Start(context.Background(), nil), "is in use: another Collector listens there")
			require.NoError(t, second.Shutdown(context.Background()))
			honest.check()
			f.bystander().check()
		})
	}
}

func TestSocketOfAnotherProgramIsLeftAlone(t *testing.T) {
	f := newFixture(t)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrUnix{Name: f.cfg.Socket}))
	require.NoError(t, unix.Listen(fd, 1))
	assert.ErrorContains(t, f.Start(context.Background(), nil), "is in use")
	unix.Close(fd) // what is left of it is stale
	f.begin()
	f.bystander().check()
}

func TestWhatIsNoSocketIsLeftAlone(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, os.WriteFile(f.cfg.Socket, []byte("precious"), 0o600))
	assert.ErrorContains(t, f.Start(context.Background(), nil), "is there already and no socket")
	b, err := os.ReadFile(f.cfg.Socket)
	require.NoError(t, err)
	assert.Equal(t, "precious", string(b))
	require.NoError(t, f.Shutdown(context.Background()))
}

func TestMissingDirectoryIsSaid(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *segments.Limits) { c.Socket = "/proc/nothing/socket" })
	assert.ErrorContains(t, f.Start(context.Background(), nil), "make the socket's directory: mkdir /proc/nothing")
	require.NoError(t, f.Shutdown(context.Background()))
}

func TestOptionalSourceTriesAgain(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *segments.Limits) { c.Optional = true })
	require.NoError(t, os.WriteFile(f.cfg.Socket, nil, 0o600))
	require.NoError(t, f.Start(context.Background(), nil))
	assert.ErrorContains(t, f.Collect(context.Background(), &emittest.Recorder{}), "no socket")
	require.NoError(t, os.Remove(f.cfg.Socket))
	f.collect()
	f.bystander().check()
	require.NoError(t, f.Shutdown(context.Background()))
	require.NoError(t, f.Shutdown(context.Background()), "twice is no harm")
	assert.ErrorIs(t, f.Collect(context.Background(), &emittest.Recorder{}), errStopped)
	_, err := uringtest.Dial(f.cfg.Socket)
	assert.Error(t, err)
}

func TestShutdownWithoutStart(t *testing.T) {
	assert.NoError(t, newFixture(t).Shutdown(context.Background()))
}

func TestSocketThatIsRemovedIsMadeAgainAtOnceAndNothingIsLost(t *testing.T) {
	for name, remove := range map[string]func(t *testing.T, path string){
		"the socket":            func(t *testing.T, path string) { require.NoError(t, os.Remove(path)) },
		"the socket is renamed": func(t *testing.T, path string) { require.NoError(t, os.Rename(path, path+".old")) },
		"the directory": func(t *testing.T, path string) {
			gone := func() bool { return os.RemoveAll(filepath.Dir(path)) == nil }
			require.Eventually(t, gone, 5*time.Second, time.Millisecond, "the socket is back before the directory goes")
		},
		"the directory is renamed": func(t *testing.T, path string) {
			require.NoError(t, os.Rename(filepath.Dir(path), filepath.Dir(path)+".old"))
		},
		"the directory is replaced": func(t *testing.T, path string) {
			dir := filepath.Dir(path)
			require.NoError(t, os.Mkdir(dir+".new", 0o755))
			require.NoError(t, unix.Renameat2(unix.AT_FDCWD, dir+".new", unix.AT_FDCWD, dir, unix.RENAME_EXCHANGE))
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, func(c *Config, _ *segments.Limits) {
				c.Socket = filepath.Join(filepath.Dir(c.Socket), "made", "socket")
			})
			f.begin()
			honest := f.bystander()
			for range 3 {
				remove(t, f.cfg.Socket)
				require.Eventually(t, func() bool {
					c, err := uringtest.Dial(f.cfg.Socket)
					if err == nil {
						c.Close()
					}
					return err == nil
				}, 5*time.Second, time.Millisecond, "no collection is needed")
				honest.check()
				f.bystander().check()
				if _, err := os.Stat(filepath.Dir(f.cfg.Socket) + ".old"); err == nil {
					require.NoError(t, os.RemoveAll(filepath.Dir(f.cfg.Socket)+".old"))
				}
				_ = os.RemoveAll(filepath.Dir(f.cfg.Socket) + ".new")
			}
			assert.Empty(t, f.tel.Skipped())
		})
	}
}

func TestOthersInTheSocketsDirectoryWakeNobody(t *testing.T) {
	f := setUp(t)
	turns := f.turns()
	for range 100 {
		other := f.cfg.Socket + ".other"
		require.NoError(t, os.WriteFile(other, nil, 0o600))
		require.NoError(t, os.Remove(other))
	}
	time.Sleep(50 * time.Millisecond)
	assert.Equal(t, turns, f.turns())
}

func TestSocketWhosePlaceIsTakenIsMadeAgainLater(t *testing.T) {
	f := setUp(t)
	honest := f.bystander()
	other := filepath.Dir(f.cfg.Socket) + "/other"
	require.NoError(t, os.WriteFile(other, nil, 0o600))
	require.NoError(t, os.Rename(other, f.cfg.Socket))
	for range 2 {
		assert.ErrorContains(t, f.Collect(context.Background(), &emittest.Recorder{}), "is there already and no socket")
	}
	require.NoError(t, os.Remove(f.cfg.Socket))
	honest.check()
	f.bystander().check()
}

func TestSocketOfAKilledCollectorIsTakenOver(t *testing.T) {
	f := newFixture(t)
	killed := sibling(t, "collector", f.cfg.Socket)
	killed.expect("ready")
	assert.ErrorContains(t, f.Start(context.Background(), nil), "is in use: another Collector listens there")
	killed.kill()
	_, err := os.Lstat(f.cfg.Socket)
	require.NoError(t, err, "it is there still")
	f.begin()
	f.bystander().check()
}

func TestModeIsSetOfNothingThatIsInTheSocketsPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	l, err := listen(path, 0o666)
	require.NoError(t, err)
	defer l.close()
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	assert.ErrorIs(t, l.setMode(0o777), unix.ESTALE)
	st, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), st.Mode().Perm())
	require.NoError(t, os.Rename(path, path+".target"))
	require.NoError(t, os.Symlink(path+".target", path))
	assert.ErrorIs(t, l.setMode(0o777), unix.ESTALE)
	st, err = os.Stat(path + ".target")
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), st.Mode().Perm(), "nor through a link")
}
