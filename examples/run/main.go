// Command run shows hotpath at work, without a backend: it starts the Collector
// that `make build` left and two sample applications, one in C and one in Go,
// and prints what arrives until Ctrl-C. `make run` calls it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	build := flag.String("build", "_build", "folder with otelcol-hotpath, kv-c and kv-go")
	config := flag.String("config", "examples/collector-debug.yaml", "the Collector's configuration")
	limit := flag.Duration("for", 0, "stop after this long; 0 waits for Ctrl-C")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *limit)
		defer cancel()
	}
	if err := run(ctx, *build, *config); err != nil {
		fmt.Fprintln(os.Stderr, "run:", err)
		os.Exit(1)
	}
}

const introduction = `
Three processes run now:
  kv-c     a toy key-value server in C, which counts with client/c/hotpath.h
  kv-go    the same in Go, which counts with the package in client/go
  otelcol-hotpath   an OpenTelemetry Collector with the hotpath receiver
The two servers know nothing of the Collector and send nothing: they count in shared memory,
  %s
and every 5 seconds the Collector reads it and prints what an OTLP backend would get. The first
table comes in a second. Ctrl-C ends everything.
`

func run(ctx context.Context, build, config string) (err error) {
	parent := "/dev/shm"
	if _, err := os.Stat(parent); err != nil {
		return errors.New("/dev/shm is missing: mount a tmpfs there, hotpath's shared memory lives on it")
	}
	dir, err := os.MkdirTemp(parent, "hotpath-run-")
	if err != nil {
		return fmt.Errorf("create directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fmt.Printf(introduction, dir)

	if build, err = filepath.Abs(build); err != nil {
		return err
	}
	collector, output, err := start(dir, filepath.Join(build, "otelcol-hotpath"), "--config", config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end(collector)) }()
	for _, name := range []string{"kv-c", "kv-go"} {
		application, lines, err := start(dir, filepath.Join(build, name))
		if err != nil {
			return err
		}
		go func() { _, _ = io.Copy(os.Stdout, lines) }()
		defer func() { _ = end(application) }()
	}

	shown := make(chan error, 1)
	go func() { shown <- show(os.Stdout, output) }()
	select {
	case err := <-shown:
		return errors.Join(err, errors.New("the Collector ended by itself"))
	case <-ctx.Done():
	}
	fmt.Println("\nEnding: first the servers, then the Collector, which delivers their last counts and removes their segments.")
	return nil
}

// start runs a program that does not see the terminal's Ctrl-C, and dies with this one.
func start(dir, program string, args ...string) (*exec.Cmd, io.Reader, error) {
	cmd := exec.Command(program, args...) //nolint:gosec // the programs that make run built
	cmd.Env = append(os.Environ(), "HOTPATH_DIR="+dir, "OTEL_SERVICE_NAME="+filepath.Base(program))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("start %s: %w", program, err)
	}
	return cmd, output, nil
}

// end asks a program to end, and insists after ten seconds.
func end(cmd *exec.Cmd) error {
	_ = cmd.Process.Signal(syscall.SIGTERM)
	insist := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
	defer insist.Stop()
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(cmd.Path), err)
	}
	return nil
}
