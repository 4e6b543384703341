package doctor

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestCheckThatHangsIsReportedAndItsPlaceRemoved(t *testing.T) {
	dir := t.TempDir()
	left, shared, home := filepath.Join(dir, "left"), filepath.Join(dir, "shared"), filepath.Join(dir, "home")
	for _, path := range []string{filepath.Join(left, "behind"), shared, filepath.Join(home, "of", "another")} {
		require.NoError(t, os.MkdirAll(path, 0o700))
	}
	began := time.Now()
	f := run(context.Background(), exec.Command("sh", "-c", `echo '{"leaves":["`+left+`"],"shared":["`+shared+`","`+home+`"]}'; sleep 60 & sleep 60`), 200*time.Millisecond)
	assert.Equal(t, "the check did not end within 200ms", f.Source.Reason)
	assert.False(t, f.Source.Available)
	assert.Less(t, time.Since(began), 2*time.Second)
	assert.NoDirExists(t, left)
	assert.NoDirExists(t, shared)
	assert.DirExists(t, home, "somebody else is in it")
}

func TestCheckThatCrashesIsReported(t *testing.T) {
	f := run(context.Background(), exec.Command("sh", "-c", "echo; echo 'panic: index out of range' >&2; echo 'goroutine 1' >&2; exit 2"), time.Second)
	assert.Equal(t, "the check crashed: panic: index out of range", f.Source.Reason)
	f = run(context.Background(), exec.Command("sh", "-c", "kill -SEGV $$"), time.Second)
	assert.Equal(t, "the check crashed: signal: segmentation fault", f.Source.Reason)
	f = run(context.Background(), exec.Command("true"), time.Second)
	assert.Equal(t, "the check crashed: it said nothing", f.Source.Reason)
	f = run(context.Background(), exec.Command("/nonexistent"), time.Second)
	assert.Contains(t, f.Source.Reason, "start the check")
}

func TestInterruptedDoctorRemovesWhatItMade(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	left := filepath.Join(t.TempDir(), "left")
	require.NoError(t, os.Mkdir(left, 0o700))
	time.AfterFunc(100*time.Millisecond, cancel)
	f := run(ctx, exec.Command("sh", "-c", `echo '{"leaves":["`+left+`"]}'; sleep 60`), time.Minute)
	assert.Equal(t, "the check was interrupted", f.Source.Reason)
	assert.NoDirExists(t, left)
}

func TestHungChecksHoldNothingUp(t *testing.T) {
	needRoot(t)
	began := time.Now()
	o := doctor(t, []string{"uid=65534"}, "--json", "--timeout", "1ms")
	assert.Less(t, time.Since(began), 2*time.Second)
	assert.Equal(t, noSource, o.status)
	for _, name := range names {
		assert.Equal(t, "the check did not end within 1ms", o.Sources[name].Reason)
		assert.Equal(t, "the check did not end within 1ms", o.Clients[name].Reason)
	}
}

func TestIsQuick(t *testing.T) {
	began := time.Now()
	doctor(t, nil, "--json")
	assert.Less(t, time.Since(began), 5*time.Second)
}

func TestStatusIsOneWhereNoSourceWorks(t *testing.T) {
	needRoot(t)
	p := newPlaces(t)
	require.NoError(t, os.Mkdir(p.shm, 0o755))
	o := doctor(t, []string{"uid=65534", refused(unix.SYS_IO_URING_SETUP, unix.EPERM)}, "--json", "--dir", p.shm)
	assert.Equal(t, noSource, o.status)
	for name, v := range o.Sources {
		assert.False(t, v.Available, name)
		assert.NotEmpty(t, v.Reason, name)
		assert.NotEmpty(t, v.Fix, name)
	}
	assert.True(t, o.Clients[bpfName].Available, "a root Collector can read it")
}

func TestDirectoryOfTheEnvironmentIsThatOfClients(t *testing.T) {
	p := newPlaces(t)
	t.Setenv("HOTPATH_DIR", p.shm)
	o := options{}
	assert.Equal(t, p.shm, o.directory())
	o.dir = "/other"
	assert.Equal(t, "/other", o.directory())
	out := doctor(t, nil, "--json", "--dir", "not/absolute")
	assert.Equal(t, 64, out.status)
	assert.Contains(t, out.err, "is not an absolute path")
}
