package e2e

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a program that runs, and ends with the test at the latest.
type process struct {
	t     testing.TB
	cmd   *exec.Cmd
	log   output
	ended chan struct{} // closed when it did
	err   error         // valid then
}

// launch starts a program. What it writes to standard error is kept.
func launch(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, ended: make(chan struct{})}
	cmd.Stderr = &p.log
	// Its children may hold the other end of its pipes for longer than it lives.
	cmd.WaitDelay = time.Second
	// If the test is killed, it goes too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s %d wrote:\n%s", filepath.Base(cmd.Path), p.pid(), p.log.last(4<<10))
		}
	})
	return p
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// wait waits for the program to end, and returns its exit code.
func (p *process) wait(within time.Duration) int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(within):
		p.t.Fatalf("%s still runs after %v", filepath.Base(p.cmd.Path), within)
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// status is a number from /proc/PID/status.
func (p *process) status(key string) int {
	return statusOf(p.t, filepath.Join("/proc", strconv.Itoa(p.pid()), "status"), key)
}

// contextSwitches is how often threads of the process went to sleep.
func (p *process) contextSwitches() (n int) {
	p.t.Helper()
	tasks, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(p.pid()), "task", "*", "status"))
	if err != nil || len(tasks) == 0 {
		p.t.Fatalf("list threads: %v %v", tasks, err)
	}
	for _, task := range tasks {
		n += statusOf(p.t, task, "voluntary_ctxt_switches")
	}
	return n
}

func statusOf(t testing.TB, path, key string) int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			n, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("%s has no %s", path, key)
	return 0
}

// output is what a program wrote so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *output) last(n int) string {
	text := o.String()
	return text[max(0, len(text)-n):]
}

// freePort is a TCP port of the loopback interface that nobody listens on.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
