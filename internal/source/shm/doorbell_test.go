package shm

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/source/segments/segmentstest"
)

// ringerEnv makes this binary a stranger that rings a doorbell as fast as it can, until its input ends.
const ringerEnv = "HOTPATH_TEST_RINGER"

// ringer is the doorbell as a client has it.
type ringer struct{ page []byte }

func openRinger(path string) (ringer, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return ringer{}, fmt.Errorf("open doorbell: %w", err)
	}
	defer unix.Close(fd)
	page, err := unix.Mmap(fd, 0, layout.DoorbellSize, unix.PROT_READ, unix.MAP_SHARED)
	return ringer{page}, err
}

// ring returns how many were woken.
func (r ringer) ring() int {
	n, _, errno := unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&r.page[0])), futexWake, futexEvery, 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

func ringForever(path string) {
	r, err := openRinger(path)
	if err != nil {
		panic(err)
	}
	var n int
	var over atomic.Bool
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		over.Store(true)
	}()
	for began := time.Now(); !over.Load(); n++ {
		r.ring()
		if n == 1000 {
			fmt.Println("ringing")
		}
		if rest := time.Until(began.Add(time.Duration(n) * time.Microsecond)); rest > time.Millisecond {
			time.Sleep(rest) // no more than a million a second
		}
	}
	fmt.Println(n)
	os.Exit(0)
}

func (f *fixture) bellPath() string { return filepath.Join(f.dir, layout.Doorbell) }

func (f *fixture) ringer() ringer {
	f.Helper()
	r, err := openRinger(f.bellPath())
	require.NoError(f, err)
	f.Cleanup(func() { _ = unix.Munmap(r.page) })
	return r
}

// answered rings until somebody is woken by it, and drains.
func (f *fixture) answered(r ringer, drains *atomic.Int64) {
	f.Helper()
	before := drains.Load()
	require.Eventually(f, func() bool { return r.ring() == 1 }, 10*time.Second, time.Millisecond)
	require.Eventually(f, func() bool { return drains.Load() > before }, 10*time.Second, time.Millisecond)
}

// ringing counts the drains of a source that is not started yet.
func (f *fixture) ringing() *atomic.Int64 {
	drains := new(atomic.Int64)
	f.src.drain = func() bool {
		drains.Add(1)
		return false
	}
	return drains
}

func (f *fixture) bell() *doorbell {
	f.src.mu.Lock()
	defer f.src.mu.Unlock()
	return f.src.bell
}

func TestDoorbellIsThereForEverybodyToRing(t *testing.T) {
	defer unix.Umask(unix.Umask(0o077))
	f := unstarted(t)
	drains := f.ringing()
	f.start()
	st := stat(t, f.bellPath())
	assert.EqualValues(t, unix.S_IFREG|0o444, st.Mode)
	assert.EqualValues(t, layout.DoorbellSize, st.Size)
	assert.Positive(t, st.Blocks, "its page is there")
	assert.Zero(t, drains.Load())
	r := f.ringer()
	for range 3 {
		f.answered(r, drains)
	}
	f.publish("a", segmentstest.Requests(1))
	f.one()
	assert.Empty(t, f.tel.Skipped(), "it is no segment")
	assert.Zero(t, f.logs.Len(), "%v", f.logs.All())
}

func TestRingIsReadWhenItIsRungForAndNotOnlyAtCollections(t *testing.T) {
	f := setUp(t)
	live := f.publish("a", recording(1))
	ring, bell := live.Ring(0), f.ringer()
	recorded := uint64(0)
	read := func() uint64 {
		f.src.mu.Lock()
		defer f.src.mu.Unlock()
		return uint64(f.tel.Measurements["read"])
	}
	for range 10 {
		for quarter := ring.Head.Load() + layout.MinRingWords/4; ring.Head.Load() < quarter; recorded++ {
			ring.Record(calls.Of(1, get))
		}
		require.Eventually(t, func() bool {
			bell.ring()
			return read() == recorded
		}, 10*time.Second, time.Millisecond)
	}
	assert.Equal(t, recorded, f.one().Counters["calls,op=get"])
	assert.Zero(t, f.tel.Measurements["lost"])
}

func TestRestartKeepsTheDoorbellThatClientsHave(t *testing.T) {
	f := unstarted(t)
	drains := f.ringing()
	f.start()
	r := f.ringer()
	f.answered(r, drains)
	before := stat(t, f.bellPath())
	require.NoError(t, f.src.Shutdown(context.Background()))
	assert.Zero(t, r.ring())
	f.renew()
	drains = f.ringing()
	f.start()
	assert.Equal(t, before.Ino, stat(t, f.bellPath()).Ino)
	f.answered(r, drains)
	f.collect()
	assert.Equal(t, before.Ino, stat(t, f.bellPath()).Ino)
}

func TestWhateverBecomesOfTheDoorbellTheNextCollectionMakesItAgain(t *testing.T) {
	replaced := func(squat func(path string) error) func(string) error {
		return func(p string) error {
			if err := os.Remove(p); err != nil {
				return err
			}
			return squat(p)
		}
	}
	written := func(mode os.FileMode, content []byte) func(string) error {
		return replaced(func(p string) error {
			if err := os.WriteFile(p, content, 0o600); err != nil {
				return err
			}
			return os.Chmod(p, mode)
		})
	}
	for name, harm := range map[string]func(path string) error{
		"removed":          os.Remove,
		"truncated":        func(p string) error { return os.Truncate(p, 0) },
		"longer":           func(p string) error { return os.Truncate(p, 1<<20) },
		"writable":         func(p string) error { return os.Chmod(p, 0o666) },
		"of two names":     func(p string) error { return os.Link(p, p+"2") },
		"another file":     written(0o444, nil),
		"another word":     written(0o444, []byte(strings.Repeat("x", layout.DoorbellSize))),
		"a fifo":           replaced(func(p string) error { return unix.Mkfifo(p, 0o444) }),
		"a symbolic link":  replaced(func(p string) error { return os.Symlink("/etc/hostname", p) }),
		"a full directory": replaced(func(p string) error { return os.MkdirAll(filepath.Join(p, "full"), 0o755) }),
	} {
		t.Run(name, func(t *testing.T) {
			f := unstarted(t)
			drains := f.ringing()
			f.start()
			f.answered(f.ringer(), drains)
			old := f.bell()
			require.NoError(t, harm(f.bellPath()))
			f.collect()
			st := stat(t, f.bellPath())
			assert.EqualValues(t, unix.S_IFREG|0o444, st.Mode)
			assert.EqualValues(t, layout.DoorbellSize, st.Size)
			f.answered(f.ringer(), drains)
			select {
			case <-old.gone:
			case <-time.After(10 * time.Second):
				t.Error("somebody waits at the old one")
			}
			f.collect()
			assert.Equal(t, st.Ino, stat(t, f.bellPath()).Ino)
			assert.Zero(t, f.logs.Len(), "%v", f.logs.All())
		})
		t.Run(name+" before the start", func(t *testing.T) {
			f := setUp(t)
			require.NoError(t, f.src.Shutdown(context.Background()))
			require.NoError(t, harm(f.bellPath()))
			f.renew()
			drains := f.ringing()
			f.start()
			f.answered(f.ringer(), drains)
			assert.EqualValues(t, unix.S_IFREG|0o444, stat(t, f.bellPath()).Mode)
		})
	}
}

func TestReplacedDirectoryGetsADoorbellOfItsOwn(t *testing.T) {
	f := unstarted(t)
	drains := f.ringing()
	f.start()
	r := f.ringer()
	f.answered(r, drains)
	old := f.bell()
	require.NoError(t, os.Rename(f.dir, f.dir+".old"))
	f.collect()
	<-old.gone
	assert.Zero(t, r.ring())
	f.answered(f.ringer(), drains)
}

// The runtime signals its threads whenever it likes, and then the kernel looks at the page again.
func TestWaitThatFailsEndsUntilTheNextCollection(t *testing.T) {
	f := unstarted(t)
	drains := f.ringing()
	f.start()
	f.answered(f.ringer(), drains)
	old := f.bell()
	require.NoError(t, os.Truncate(f.bellPath(), 0))
	require.Eventually(t, func() bool {
		_ = unix.Tgkill(os.Getpid(), int(old.thread.Load()), unix.SIGURG)
		return old.failed.Load() != nil
	}, 10*time.Second, time.Millisecond)
	<-old.gone
	require.NoError(t, os.Truncate(f.bellPath(), layout.DoorbellSize))
	f.collect()
	f.answered(f.ringer(), drains)
	f.collect()
	require.Equal(t, 1, f.logs.Len(), "%v", f.logs.All())
	assert.Contains(t, fmt.Sprint(f.logs.All()[0].ContextMap()["error"]), "bad address")
}

func TestWhoRingsAMillionTimesASecondCostsNoMoreThanThePace(t *testing.T) {
	f := unstarted(t)
	drains := f.ringing()
	f.start()
	stranger := exec.Command("/proc/self/exe")
	stranger.Env = append(os.Environ(), ringerEnv+"="+f.bellPath())
	stranger.Stderr = os.Stderr
	in, err := stranger.StdinPipe()
	require.NoError(t, err)
	out, err := stranger.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, stranger.Start())
	_, err = io.ReadFull(out, make([]byte, len("ringing\n")))
	require.NoError(t, err)

	before, began := drains.Load(), time.Now()
	var start, end unix.Rusage
	require.NoError(t, unix.Getrusage(unix.RUSAGE_SELF, &start))
	time.Sleep(time.Second)
	require.NoError(t, unix.Getrusage(unix.RUSAGE_SELF, &end))
	took, n := time.Since(began), drains.Load()-before
	require.NoError(t, in.Close())
	rung, err := io.ReadAll(out)
	require.NoError(t, err)
	require.NoError(t, stranger.Wait())

	used := time.Duration(end.Utime.Nano() + end.Stime.Nano() - start.Utime.Nano() - start.Stime.Nano())
	t.Logf("%d drains and %v of CPU in %v, rung %s times", n, used, took, strings.TrimSpace(string(rung)))
	assert.Positive(t, n)
	assert.LessOrEqual(t, n, took.Milliseconds()+1)
	assert.Less(t, used, took/4)
}

func TestNobodyWakesWhileNobodyRings(t *testing.T) {
	f := unstarted(t)
	drains := f.ringing()
	f.start()
	f.answered(f.ringer(), drains)
	switches := func() string {
		b, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/status", f.bell().thread.Load()))
		require.NoError(t, err)
		_, after, found := strings.Cut(string(b), "\nvoluntary_ctxt_switches:")
		require.True(t, found)
		return after
	}
	require.Eventually(t, func() bool { // it waits again
		before := switches()
		time.Sleep(100 * time.Millisecond)
		return switches() == before
	}, 10*time.Second, time.Millisecond)
	before, drained := switches(), drains.Load()
	time.Sleep(500 * time.Millisecond)
	assert.Equal(t, before, switches())
	assert.Equal(t, drained, drains.Load())
	f.collect()
	assert.Equal(t, before, switches())
}

func TestDrainsFollowEachOtherAtThePaceWhileThereIsMore(t *testing.T) {
	f := unstarted(t)
	var left, drains atomic.Int64
	left.Store(50)
	f.src.drain = func() bool {
		drains.Add(1)
		time.Sleep(500 * time.Microsecond)
		return left.Add(-1) > 0
	}
	f.start()
	began := time.Now()
	f.answered(f.ringer(), &drains)
	require.Eventually(t, func() bool { return left.Load() == 0 }, 10*time.Second, time.Millisecond)
	assert.GreaterOrEqual(t, time.Since(began), 49*4*500*time.Microsecond)
	time.Sleep(20 * time.Millisecond)
	assert.EqualValues(t, 50, drains.Load())
}

func TestShutdownDoesNotWaitForTheDoorbell(t *testing.T) {
	for name, prepare := range map[string]func(f *fixture, r ringer){
		"that nobody rings":            func(*fixture, ringer) {},
		"that is rung":                 func(_ *fixture, r ringer) { r.ring() },
		"that was truncated":           func(f *fixture, _ ringer) { require.NoError(f, os.Truncate(f.bellPath(), 0)) },
		"that was removed":             func(f *fixture, _ ringer) { require.NoError(f, os.Remove(f.bellPath())) },
		"in a directory that was left": func(f *fixture, _ ringer) { require.NoError(f, os.RemoveAll(f.dir)) },
	} {
		t.Run(name, func(t *testing.T) {
			f := unstarted(t)
			drains := f.ringing()
			f.start()
			r := f.ringer()
			f.answered(r, drains)
			time.Sleep(5 * time.Millisecond)
			prepare(f, r)
			began := time.Now()
			require.NoError(t, f.src.Shutdown(context.Background()))
			took := time.Since(began)
			t.Log(took)
			assert.Less(t, took, 5*time.Second)
		})
	}
}

func TestDoorbellEndsThoughItRests(t *testing.T) {
	f := unstarted(t)
	f.start()
	require.NoError(t, f.src.Shutdown(context.Background()))
	d, err := openDirectory(f.cfg, zap.NewNop())
	require.NoError(t, err)
	defer d.close()
	b, err := openDoorbell(d)
	require.NoError(t, err)
	drained := make(chan struct{}, 1)
	go b.run(func() (bool, time.Duration) {
		drained <- struct{}{}
		return true, time.Hour
	})
	r := f.ringer()
	require.Eventually(t, func() bool { return r.ring() == 1 }, 10*time.Second, time.Millisecond)
	<-drained
	began := time.Now()
	b.close()
	assert.Less(t, time.Since(began), 5*time.Second)
}

func TestObserverMakesNoDoorbell(t *testing.T) {
	f := unstarted(t)
	require.NoError(t, os.Mkdir(f.dir, 0o755))
	o := NewObserver(f.dir, f.limits, zap.NewNop(), segmentstest.NewTelemetry())
	require.NoError(t, o.Start(context.Background(), nil))
	require.NoError(t, o.Collect(context.Background(), &segmentstest.Sink{}))
	require.NoError(t, o.Shutdown(context.Background()))
	entries, err := os.ReadDir(f.dir)
	require.NoError(t, err)
	assert.Empty(t, entries)
}

func TestCollectorThatLostItsLockLeavesTheDoorbellToTheOther(t *testing.T) {
	f := unstarted(t)
	mine := f.ringing()
	f.start()
	r := f.ringer()
	f.answered(r, mine)
	require.NoError(t, os.Remove(filepath.Join(f.dir, lockName)))
	second := New(f.cfg, f.limits, f.src.logger, segmentstest.NewTelemetry()).(*source)
	require.NoError(t, second.Start(context.Background(), nil))
	old := f.bell()
	require.Error(t, f.src.Collect(context.Background(), &segmentstest.Sink{}))
	<-old.gone
	require.Eventually(t, func() bool { return r.ring() == 1 }, 10*time.Second, time.Millisecond, "the second waits there")
	require.NoError(t, second.Shutdown(context.Background()))
	f.collect()
	f.answered(r, mine)
}

func TestSquatterAtTheDoorbellThatCannotBeRemovedIsLoggedOnce(t *testing.T) {
	requireRoot(t)
	f := unstarted(t)
	require.NoError(t, os.Mkdir(f.dir, 0o755))
	require.NoError(t, os.Chmod(f.dir, os.ModeSticky|0o777))
	require.NoError(t, os.WriteFile(f.bellPath(), nil, 0o444))
	drains := f.ringing()
	end := unprivileged(t)
	f.start()
	for range 3 {
		f.collect()
	}
	assert.Nil(t, f.bell())
	assert.Equal(t, 1, f.logs.FilterMessageSnippet("Cannot wait for measurement rings").Len())
	end()
	require.NoError(t, os.Remove(f.bellPath()))
	unprivilegedAgain := unprivileged(t)
	f.collect()
	f.answered(f.ringer(), drains)
	assert.EqualValues(t, nobody, stat(t, f.bellPath()).Uid)
	unprivilegedAgain()
}

func TestUnprivilegedCollectorRemovesASquatterWhereItMay(t *testing.T) {
	requireRoot(t)
	f := unstarted(t)
	require.NoError(t, os.Mkdir(f.dir, 0o755))
	require.NoError(t, os.Chmod(f.dir, 0o777))
	require.NoError(t, os.WriteFile(f.bellPath(), make([]byte, layout.DoorbellSize), 0o444))
	drains := f.ringing()
	end := unprivileged(t)
	f.start()
	assert.EqualValues(t, nobody, stat(t, f.bellPath()).Uid)
	f.answered(f.ringer(), drains)
	require.NoError(t, f.src.Shutdown(context.Background()))
	before := stat(t, f.bellPath()).Ino
	f.renew()
	drains = f.ringing()
	f.start()
	assert.Equal(t, before, stat(t, f.bellPath()).Ino, "it is its own, though it cannot be opened to write")
	f.answered(f.ringer(), drains)
	end()
}
