package c

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
	"github.com/hotpath-metrics/hotpath/internal/quota"
	"github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
	"github.com/hotpath-metrics/hotpath/internal/source/shm"
)

// directory is a new directory on tmpfs.
func directory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "hotpath-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// client is a running program.
type client struct {
	t      testing.TB
	dir    string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Scanner
	before []string // lines it printed before "ready"
	status string   // the line after
}

// start runs a program until it says "ready".
func start(t testing.TB, program, dir string, args ...string) *client {
	t.Helper()
	return startWith(t, nil, program, dir, args...)
}

func startWith(t testing.TB, env []string, program, dir string, args ...string) *client {
	t.Helper()
	c := launch(t, env, program, dir, args...)
	c.await()
	return c
}

func launch(t testing.TB, env []string, program, dir string, args ...string) *client {
	t.Helper()
	c := &client{t: t, dir: dir, cmd: exec.Command(program, args...)}
	c.cmd.Env = append(append(os.Environ(), "HOTPATH_DIR="+dir), env...)
	c.cmd.Stderr = os.Stderr
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.stdin = stdin
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.stdout = bufio.NewScanner(stdout)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.kill)
	return c
}

func (c *client) await() {
	c.t.Helper()
	deadline := time.AfterFunc(2*time.Minute, c.kill)
	defer deadline.Stop()
	for c.stdout.Scan() {
		if status, ok := strings.CutPrefix(c.stdout.Text(), "ready "); ok {
			c.status = status
			return
		}
		c.before = append(c.before, c.stdout.Text())
	}
	c.t.Fatalf("%s: %v before it was ready", strings.Join(c.cmd.Args, " "), c.cmd.Wait())
}

// step lets a program that waits for a line go on, to where it is ready again.
func (c *client) step() {
	c.t.Helper()
	c.before = nil
	if _, err := io.WriteString(c.stdin, "\n"); err != nil {
		c.t.Fatal(err)
	}
	c.await()
}

func (c *client) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// finish lets the program end by itself.
func (c *client) finish() {
	c.t.Helper()
	c.stdin.Close()
	for c.stdout.Scan() { // a child that goes on has closed it once it is on its own
	}
	if err := c.cmd.Wait(); err != nil {
		c.t.Errorf("%s: %v", strings.Join(c.cmd.Args, " "), err)
	}
}

func (c *client) collect() *emittest.Recorder {
	c.t.Helper()
	return collect(c.t, c.dir)
}

// collect is one collection by a collector that starts now.
func collect(t testing.TB, dir string) *emittest.Recorder {
	t.Helper()
	cfg := shm.DefaultConfig()
	cfg.Directory = dir
	limits := segments.Limits{
		Limits:      quota.Limits{Segments: 10000, SegmentsPerUID: 10000, Series: 1 << 20, SeriesPerUID: 1 << 20, SeriesPerSegment: 1 << 20},
		SegmentSize: 1 << 30,
	}
	telemetry := &skips{t: t}
	s := shm.New(cfg, limits, zap.NewNop(), telemetry)
	if err := s.Start(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	var r emittest.Recorder
	if err := s.Collect(context.Background(), &r); err != nil {
		t.Fatal(err)
	}
	return &r
}

// skips fails the test for everything that the reader will not take from our own clients.
type skips struct {
	source.Ignored
	t testing.TB
}

func (s *skips) SegmentSkipped(reason string) { s.t.Errorf("a segment was skipped: %s", reason) }
func (s *skips) SeriesSkipped(reason string, n int64) {
	s.t.Errorf("%d series were skipped: %s", n, reason)
}
