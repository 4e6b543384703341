package userevents

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/userevent"
)

// childEnv makes this binary another program: one of the children below, with its arguments.
const childEnv = "HOTPATH_TEST_CHILD"

var children = map[string]func(args []string){
	"collector": childCollector,
	"count":     childCount,
	"write":     childWrite,
}

func TestMain(m *testing.M) {
	if name := os.Getenv(childEnv); name != "" {
		children[name](os.Args[1:])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child runs this binary as another program until it says that it is ready.
func child(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	ready := make([]byte, 6)
	_, err = out.Read(ready)
	require.NoError(t, err)
	require.Equal(t, "ready\n", string(ready))
	return cmd
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// childCollector collects once in a while, until it is killed.
func childCollector([]string) {
	s := New(testConfig(countEntry("hp_stale", "")), testLimits, zap.NewNop(), newTelemetry())
	must(s.Start(context.Background(), nil))
	os.Stdout.WriteString("ready\n")
	select {}
}

// childCount writes consecutive numbers until it is killed, and says in a shared file how far it came.
func childCount(args []string) {
	progress, err := os.OpenFile(args[1], os.O_RDWR, 0)
	must(err)
	memory, err := unix.Mmap(int(progress.Fd()), 0, 8, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(err)
	done := (*uint64)(unsafe.Pointer(&memory[0]))
	w, err := newWriter(args[0], 0)
	must(err)
	must(w.listened(time.Minute))
	os.Stdout.WriteString("ready\n")
	for n := uint64(1); ; n++ {
		must(w.write(word(n)))
		*done = n
	}
}

// childWrite registers an event as soon as it may, writes once, and ends.
func childWrite(args []string) {
	payload, err := hex.DecodeString(args[1])
	must(err)
	var w *writer
	for until := time.Now().Add(time.Minute); ; {
		if w, err = newWriter(args[0], 0); err == nil || !strings.Contains(err.Error(), userevent.ErrDeclared.Error()) || time.Now().After(until) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	must(err)
	must(w.listened(time.Minute))
	must(w.write(payload))
	os.Stdout.WriteString("ready\n")
}

// writer writes one event, whether anybody listens or not.
type writer struct {
	name  string
	fd    int
	index [4]byte
}

// newWriter registers an event for as long as the writer is open.
func newWriter(declaration string, flags uint16) (*writer, error) {
	fd, err := userevent.Open()
	if err != nil {
		return nil, err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	enabled := new(uint32)
	defer runtime.KeepAlive(enabled)
	index, err := userevent.Register(fd, unsafe.Pointer(enabled), 0, 4, flags, declaration)
	if err == nil {
		err = userevent.Unregister(fd, unsafe.Pointer(enabled), 0)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	name, _, _ := strings.Cut(declaration, " ")
	w := &writer{name: name, fd: fd}
	*(*uint32)(unsafe.Pointer(&w.index)) = index
	return w, nil
}

func (w *writer) close() { unix.Close(w.fd) }

// write fails with EBADF while nobody listens.
func (w *writer) write(payload []byte) error {
	_, err := unix.Writev(w.fd, [][]byte{w.index[:], payload})
	return err
}

// listened waits until the source under test listens.
func (w *writer) listened(most time.Duration) error {
	for until := time.Now().Add(most); ; time.Sleep(10 * time.Millisecond) {
		enabled, err := os.ReadFile(instances + testInstance + "/set_event")
		if err == nil && strings.Contains(string(enabled), ":"+w.name) {
			return nil
		}
		if time.Now().After(until) {
			return fmt.Errorf("nobody listens to %s: %q, %w", w.name, enabled, err)
		}
	}
}

const (
	instances    = "/sys/kernel/tracing/instances/"
	testInstance = "hotpath-test"
)
