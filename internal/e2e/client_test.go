package e2e

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// client is an application that counts.
type client struct {
	*process
	in      io.WriteCloser
	answers chan string
}

// startC starts one of the C programs, startGo a mode of the Go program. Both return when it is ready.
func startC(t testing.TB, dir, name string, args ...string) *client {
	t.Helper()
	return start(t, dir, cProgram(t, name), args...)
}

func startGo(t testing.TB, dir string, args ...string) *client {
	t.Helper()
	return start(t, dir, goApp().use(t), args...)
}

func start(t testing.TB, dir, program string, args ...string) *client {
	t.Helper()
	return startThrough(t, []string{"HOTPATH_TRANSPORT=shm", "HOTPATH_DIR=" + dir}, program, args...)
}

// startThrough starts a program with the environment that names its transport.
func startThrough(t testing.TB, transport []string, program string, args ...string) *client {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), append(transport, "OTEL_SERVICE_NAME=shop",
		"OTEL_RESOURCE_ATTRIBUTES=service.version=1.2.3,deployment.environment.name=end%20to%20end")...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	// Not StdoutPipe: Wait would close that under the reader.
	out, outWriter, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = outWriter
	c := &client{in: in, answers: make(chan string, 1000)}
	c.process = launch(t, cmd)
	outWriter.Close()
	go func() {
		defer out.Close()
		defer close(c.answers)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			c.answers <- lines.Text()
		}
	}()
	if answer := c.answer(); answer != "ready" {
		t.Fatalf("%s said %q", cmd.Path, answer)
	}
	return c
}

func (c *client) answer() string {
	c.t.Helper()
	select {
	case a := <-c.answers:
		return a
	case <-time.After(time.Minute):
		c.t.Fatalf("%s says nothing", c.cmd.Path)
		return ""
	}
}

// do gives a command and returns the answer.
func (c *client) do(verb string, value ...any) int {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.in, append([]any{verb}, value...)...); err != nil {
		c.t.Fatal(err)
	}
	answer, err := strconv.Atoi(c.answer())
	if err != nil || answer < 0 {
		c.t.Fatalf("%s: %d %v", verb, answer, err)
	}
	return answer
}

// finish lets the application end by itself.
func (c *client) finish() {
	c.t.Helper()
	c.in.Close()
	if code := c.wait(time.Minute); code != 0 {
		c.t.Errorf("%s ended with %d", c.cmd.Path, code)
	}
}
