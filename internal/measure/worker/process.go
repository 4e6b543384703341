// Package worker has other processes do operations that are to be measured, one beside the other: each has clients, settings and
// memory of its own. There is one in C (c/worker.c; c/serve.h documents the protocol) and what makes one of a Go program.
package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience is how long a worker may take for its end, when its input has ended.
const patience = 5 * time.Second

// Process is a worker that was started.
type Process struct {
	PID      int
	Thread   int // does what is done by one
	Subjects []string

	ctx     context.Context
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers *bufio.Reader
	once    sync.Once
	err     error
}

// Took is what operations took.
type Took struct {
	CPU, Elapsed time.Duration
	Began        time.Duration // by measure.Now
}

// Start runs a program as a worker, with variables beside those of this process. When the context ends, so does its input.
func Start(ctx context.Context, path string, arguments []string, env ...string) (*Process, error) {
	cmd := exec.CommandContext(ctx, path, arguments...) // #nosec G204 G702 -- this program or one that it built
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal's Ctrl-C is for the one who started it
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("open pipe: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("open pipe: %w", err)
	}
	cmd.Cancel, cmd.WaitDelay = in.Close, patience // it may have to take something away
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start worker: %w", err)
	}
	p := &Process{PID: cmd.Process.Pid, ctx: ctx, cmd: cmd, in: in, answers: bufio.NewReader(out)}
	words, err := p.answer("ready")
	if err == nil {
		first, rest, _ := strings.Cut(words, " ")
		p.Thread, err = strconv.Atoi(first)
		p.Subjects = strings.Fields(rest)
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Ask sends a command and returns the answer, without its first word, which has to be this one.
func (p *Process) Ask(want, format string, arguments ...any) (string, error) {
	if _, err := fmt.Fprintf(p.in, format+"\n", arguments...); err != nil {
		return "", errors.Join(p.ctx.Err(), fmt.Errorf("tell worker: %w", err))
	}
	return p.answer(want)
}

func (p *Process) answer(want string) (string, error) {
	line, err := p.answers.ReadString('\n')
	if err != nil {
		return "", errors.Join(p.ctx.Err(), fmt.Errorf("the worker ended early: %w", err))
	}
	word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	switch word {
	case want:
		return rest, nil
	case "failed":
		return "", errors.New(rest)
	}
	return "", fmt.Errorf("the worker answered %q", line)
}

func (p *Process) did(format string, arguments ...any) (Took, error) {
	answer, err := p.Ask("did", format, arguments...)
	var t Took
	if err == nil {
		_, err = fmt.Sscan(answer, (*int64)(&t.CPU), (*int64)(&t.Elapsed), (*int64)(&t.Began))
	}
	return t, err
}

// Do has n operations done, divided among threads (of Go workers: 1, or all Ps).
func (p *Process) Do(subject string, threads, n int) (Took, error) {
	return p.did("do %s %d %d", subject, threads, n)
}

// Pace has n operations done, as many in a second.
func (p *Process) Pace(subject string, n int, perSecond float64) (Took, error) {
	return p.did("pace %s %d %g", subject, n, perSecond)
}

// Series has it make series, and count with each.
func (p *Process) Series(n int) error {
	_, err := p.did("series %d", n)
	return err
}

// Status is the sentence of its client.
func (p *Process) Status() (string, error) { return p.Ask("status", "status") }

// Close ends the worker.
func (p *Process) Close() error {
	p.once.Do(func() {
		if err := p.in.Close(); !errors.Is(err, os.ErrClosed) {
			p.err = err
		}
		late := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
		defer late.Stop()
		if err := p.cmd.Wait(); err != nil && p.ctx.Err() == nil {
			p.err = errors.Join(p.err, fmt.Errorf("end worker: %w", err))
		}
	})
	return p.err
}
