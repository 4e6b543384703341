package uring

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/source/uring/uringtest"
)

// The test's own binary plays the other process, in a role that the environment names, with arguments.
const (
	roleEnv = "HOTPATH_TEST_ROLE"
	argsEnv = "HOTPATH_TEST_ARGS"
)

var roles = map[string]func(args []string) error{}

func runChild(role string) {
	if err := roles[role](strings.Fields(os.Getenv(argsEnv))); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// program is another process.
type program struct {
	testing.TB
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func sibling(t testing.TB, role string, args ...string) *program {
	t.Helper()
	return spawn(t, command(role, args...))
}

func siblingAs(t testing.TB, uid uint32, role string, args ...string) *program {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be another user")
	}
	cmd := command(role, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	return spawn(t, cmd)
}

func command(role string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleEnv+"="+role, argsEnv+"="+strings.Join(args, " "))
	cmd.Stderr = os.Stderr
	cmd.Dir = "/"
	return cmd
}

func spawn(t testing.TB, cmd *exec.Cmd) *program {
	t.Helper()
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	p := &program{TB: t, Cmd: cmd, in: in, out: bufio.NewReader(out)}
	t.Cleanup(p.kill)
	return p
}

// expect waits for a line.
func (p *program) expect(says string) {
	p.Helper()
	line, err := p.out.ReadString('\n')
	require.NoError(p, err, line)
	require.Contains(p, line, says)
}

// wait is for the end of a program that ends by itself.
func (p *program) wait() {
	p.Helper()
	if p.out == nil {
		return
	}
	_ = p.in.Close()
	_, _ = io.Copy(io.Discard, p.out)
	_ = p.Wait()
	p.out = nil
}

func (p *program) kill() {
	_ = p.Process.Kill()
	p.wait()
}

// process is the only one that is delivered with a pid.
func (f *fixture) process(pid int) (state, requests string) {
	f.Helper()
	for _, p := range f.collect().Processes {
		if p.Resource["process.pid"] == strconv.Itoa(pid) {
			return fmt.Sprint(p.Info.State), fmt.Sprint(p.Counters["requests"])
		}
	}
	return "", ""
}

func init() {
	roles["connections"] = connections
	roles["count"] = count
	roles["burst"] = burst
	roles["heirs"] = heirs
	roles["hold"] = hold
	roles["exec"] = execute
}

// connections makes as many as it is allowed.
func connections(args []string) error {
	n := 0
	for ; n < 1000; n++ {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		if err := unix.Connect(fd, &unix.SockaddrUnix{Name: args[0]}); err != nil {
			return err
		}
		b := make([]byte, 300)
		got, _, err := unix.Recvfrom(fd, b, 0)
		if err != nil || got < 8 || b[4] != uringtest.TypeGreeting {
			break
		}
	}
	fmt.Printf("refused after %d\n", n)
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}

func me() uringtest.Hello {
	return uringtest.Hello{Start: uint64(time.Now().UnixNano()), PID: uint64(os.Getpid()), ID: uint64(time.Now().UnixNano()), Instance: [16]byte{byte(os.Getpid()), byte(os.Getpid() >> 8)}}
}

// count counts for ever, and says to what after it was posted, unless it has a second argument. It comes back when the Collector does.
func count(args []string) error {
	h := me()
	var c *uringtest.Client
	for n := uint64(1); ; n++ {
		if c == nil || hungUp(c) {
			if c != nil {
				c.Close()
			}
			var err error
			if c, err = uringtest.Connect(args[0], h, requests); err != nil {
				time.Sleep(10 * time.Millisecond)
				n--
				continue
			}
			if err := c.Tell(uringtest.Word{Index: 1, Value: n}, uringtest.Word{Index: uringtest.Complete}); err != nil {
				return err
			}
		}
		for c.Target.Room() == 0 && !hungUp(c) {
			time.Sleep(time.Millisecond)
		}
		if c.Target.Room() > 0 {
			if err := c.Flood(uringtest.Word{Index: 1, Value: n}); err != nil {
				return err
			}
			if len(args) == 1 {
				_, _ = os.Stdout.Write(binary.NativeEndian.AppendUint64(nil, n))
			}
		}
	}
}

func hungUp(c *uringtest.Client) bool {
	_, _, err := unix.Recvfrom(c.Socket, make([]byte, 1), unix.MSG_DONTWAIT|unix.MSG_PEEK)
	return !errors.Is(err, unix.EAGAIN)
}

// burst counts to a number in batches and kills itself at once.
func burst(args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	// Where Yama restricts it, the process has to allow a collector without privileges to take its ring.
	_ = unix.Prctl(unix.PR_SET_PTRACER, unix.PR_SET_PTRACER_ANY, 0, 0, 0)
	c, err := uringtest.Connect(args[0], me(), requests)
	if err != nil {
		return err
	}
	words := make([]uringtest.Word, n)
	for i := range words {
		words[i] = uringtest.Word{Index: 1, Value: uint64(i + 1)}
	}
	if err := c.Tell(words...); err != nil {
		return err
	}
	return unix.Kill(os.Getpid(), unix.SIGKILL)
}

// heirs leaves its socket and rings to a child, and kills itself.
func heirs(args []string) error {
	c, err := uringtest.Connect(args[0], me(), requests)
	if err != nil {
		return err
	}
	if err := c.Tell(uringtest.Word{Index: 1, Value: 5}); err != nil {
		return err
	}
	child := command("hold")
	for _, fd := range []int{c.Socket, c.Target.FD, c.Sender.FD} {
		child.ExtraFiles = append(child.ExtraFiles, os.NewFile(uintptr(fd), "inherited"))
	}
	child.Stdin, child.Stdout = os.Stdin, os.Stdout
	if err := child.Start(); err != nil {
		return err
	}
	time.Sleep(time.Minute) // the child kills it
	return nil
}

// hold has what its parent had, kills that, and goes on posting.
func hold([]string) error {
	if err := unix.Kill(os.Getppid(), unix.SIGKILL); err != nil {
		return err
	}
	fmt.Println("holding")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}

// execute becomes another program.
func execute(args []string) error {
	c, err := uringtest.Connect(args[0], me(), requests)
	if err != nil {
		return err
	}
	if err := c.Tell(uringtest.Word{Index: 1, Value: 5}); err != nil {
		return err
	}
	fmt.Println("executing")
	return unix.Exec("/bin/cat", []string{"cat"}, nil)
}

func TestAllThatWasPostedBeforeSIGKILLIsDelivered(t *testing.T) {
	f := setUp(t)
	honest := f.bystander()
	for _, n := range []int{1, 2, 255, 1000, 4096, 20_000} {
		p := sibling(t, "burst", f.cfg.Socket, strconv.Itoa(n))
		p.wait()
		f.eventually(func(h *hub) bool { return len(h.clients) == 1 }, "its end is heard")
		_, requests := f.process(p.Process.Pid)
		assert.Equal(t, strconv.Itoa(n), requests)
	}
	honest.check()
}

func TestUnprivilegedClientIsNamedByTheKernel(t *testing.T) {
	f := setUp(t)
	p := siblingAs(t, 65534, "count", f.cfg.Socket)
	f.eventually(func(h *hub) bool { return len(h.clients) == 1 && h.read > 10 }, "it counts")
	found := f.collect().Processes
	require.Len(t, found, 1)
	assert.Equal(t, strconv.Itoa(p.Process.Pid), found[0].Resource["process.pid"])
	assert.Equal(t, "65534", found[0].Resource["process.user.id"])
	assert.EqualValues(t, 65534, found[0].Info.Owner)
}

func TestFiftyClientsKilledAtRandomAreExact(t *testing.T) {
	f := setUp(t)
	honest := f.bystander()
	const clients = 50
	last := values{}
	var programs []*program
	for i := range clients {
		if i%2 == 0 && os.Geteuid() == 0 {
			programs = append(programs, siblingAs(t, 65534, "count", f.cfg.Socket))
		} else {
			programs = append(programs, sibling(t, "count", f.cfg.Socket))
		}
	}
	said := make([]uint64, clients)
	for i, p := range programs {
		b := make([]byte, 8)
		for range 10 + 7*i {
			_, err := io.ReadFull(p.out, b)
			require.NoError(t, err)
		}
		require.NoError(t, p.Process.Kill())
		rest, err := io.ReadAll(p.out)
		require.NoError(t, err)
		if whole := len(rest) / 8 * 8; whole > 0 {
			copy(b, rest[whole-8:])
		}
		said[i] = binary.NativeEndian.Uint64(b)
		p.wait()
		if i%10 == 9 {
			last.take(f)
		}
	}
	f.eventually(func(h *hub) bool { return len(h.clients) == 1 }, "their ends are heard")
	last.take(f)
	for i, p := range programs {
		got := last[strconv.Itoa(p.Process.Pid)]
		assert.True(t, got == said[i] || got == said[i]+1, "said %d, delivered %d", said[i], got) // it was killed between posting and saying
	}
	honest.check()
}

// values are the last ones of processes, by pid: they are delivered once.
type values map[string]uint64

func (v values) take(f *fixture) {
	f.Helper()
	for _, p := range f.collect().Processes {
		if n, ok := p.Counters["requests"]; ok && p.Info.State != emit.Gone {
			pid := p.Resource["process.pid"]
			assert.GreaterOrEqual(f, n, v[pid], "it never goes back")
			v[pid] = n
		}
	}
}

func TestEndOfAProcessIsHeardThoughAChildHasItsSocket(t *testing.T) {
	f := setUp(t)
	p := sibling(t, "heirs", f.cfg.Socket)
	p.expect("holding")
	f.eventually(func(h *hub) bool { return len(h.clients) == 0 }, "its end is heard")
	state, requests := f.process(p.Process.Pid)
	assert.Equal(t, []string{"1", "5"}, []string{state, requests})
}

func TestProcessThatExecutesAnotherProgramEndsAfterAWhile(t *testing.T) {
	f := setUp(t)
	p := sibling(t, "exec", f.cfg.Socket)
	p.expect("executing")
	f.eventually(func(h *hub) bool { return len(h.clients) == 1 && len(h.sockets) == 0 }, "its socket is closed")
	state, requests := f.process(p.Process.Pid)
	assert.Equal(t, []string{"0", "5"}, []string{state, requests})
	f.inside(func(h *hub) { f.only(h).left = time.Now().Add(-2 * comeBack) })
	state, requests = f.process(p.Process.Pid)
	assert.Equal(t, []string{"1", "5"}, []string{state, requests})
	f.inside(func(h *hub) { assert.Empty(t, h.clients) })
}

func TestClientsGoOnOverRestartsOfTheCollector(t *testing.T) {
	f := setUp(t)
	var programs []*program
	for range 10 {
		programs = append(programs, sibling(t, "count", f.cfg.Socket, "quiet"))
	}
	last := map[string]uint64{}
	starts := map[string]int64{}
	for range 5 {
		f.eventually(func(h *hub) bool {
			n := 0
			for _, c := range h.clients {
				if c.complete && c.connection != nil && !c.unread {
					n++
				}
			}
			return n == len(programs)
		}, "all are back")
		processes := f.collect().Processes
		require.Len(t, processes, len(programs))
		for _, p := range processes {
			pid := p.Resource["process.pid"]
			require.GreaterOrEqual(t, p.Counters["requests"], last[pid], "it never goes back")
			last[pid] = p.Counters["requests"]
			if starts[pid] != 0 {
				require.Equal(t, starts[pid], p.Info.Start, "it is no reset")
			}
			starts[pid] = p.Info.Start
		}
		require.NoError(t, f.Shutdown(f.Context()))
		f.begin()
	}
}
