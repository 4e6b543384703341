package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// job is one check.
type job struct {
	what     string
	receiver string // that asks for it; "" is for the machine as it is
}

// command is a check's process.
func (o *options) command(j job, name string) *exec.Cmd {
	args := []string{"doctor", checkCommand, j.what, "--name", name, "--receiver", j.receiver, "--timeout", o.timeout.String(), "--dir", o.dir}
	for _, uri := range o.configs {
		args = append(args, "--config", uri)
	}
	return exec.Command("/proc/self/exe", args...) //nolint:gosec // this program
}

// examine makes all checks at once.
func (o *options) examine(ctx context.Context, asked []Asked) *Report {
	r := &Report{Machine: machine(o.directory()), Sources: map[string]Verdict{}, Clients: map[string]Verdict{}, Config: asked}
	var jobs []job
	for _, name := range append([]string{probesName}, names...) {
		jobs = append(jobs, job{what: name})
	}
	for _, a := range asked {
		jobs = append(jobs, job{a.Source, a.Receiver})
	}
	found := make([]findings, len(jobs))
	free := make(chan struct{}, atOnce())
	var checking sync.WaitGroup
	for i, j := range jobs {
		name := fmt.Sprintf("hotpath-doctor-%d-%d", os.Getpid(), i)
		checking.Go(func() {
			free <- struct{}{}
			found[i] = run(ctx, o.command(j, name), o.timeout)
			<-free
		})
	}
	checking.Wait()
	probes, found := found[0].Source, found[1:]
	for i, name := range names {
		source := found[i].Source
		if name == bpfName {
			source.Probes = &probes
		}
		r.Sources[name] = source
		r.Clients[name] = Verdict{Reason: source.Reason} // if it hung, or crashed
		if found[i].Client != nil {
			r.Clients[name] = *found[i].Client
		}
	}
	for i, f := range found[len(names):] {
		if a := &r.Config[i]; a.Reason == "" { // else it was decided before
			a.Verdict = f.Source
		}
	}
	r.Notes = append(r.Notes, r.Machine.Rseq.speed())
	if r.Machine.UID != 0 {
		r.Notes = append(r.Notes, Note{"Most commands behind -> are for root. What would work for root:", "sudo hotpath doctor"})
	}
	return r
}

// atOnce is for how many checks there are descriptors.
func atOnce() int {
	const own, each = 16, 8
	var open unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &open) != nil {
		return 1
	}
	return int(min(max(open.Cur, own+each)-own, 1024)) / each
}

// run makes a check that ends in time, whatever becomes of its process.
func run(ctx context.Context, cmd *exec.Cmd, timeout time.Duration) findings {
	failed := func(why string) findings { return findings{Source: Verdict{Reason: why}} }
	var out, trouble bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &trouble
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return failed(err.Error())
	}
	defer stdin.Close() //nolint:errcheck // it only ends
	if err := cmd.Start(); err != nil {
		f := failed(fmt.Sprintf("start the check: %v", err))
		if errors.Is(err, unix.EMFILE) {
			f.Source.Fix = moreDescriptors
		}
		return f
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	late := false
	select {
	case err = <-ended:
	case <-time.After(timeout):
		late = true
	case <-ctx.Done():
		late = true
	}
	if late {
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		err = <-ended
	}
	said := parse(out.Bytes())
	if said.Findings == nil {
		said.remove()
	}
	switch {
	case said.Findings != nil:
		return *said.Findings
	case ctx.Err() != nil:
		return failed("the check was interrupted")
	case late:
		return failed(fmt.Sprintf("the check did not end within %v", timeout))
	}
	return failed(fmt.Sprintf("the check crashed: %s", crash(trouble.String(), err)))
}

// parse reads what a check wrote.
func parse(out []byte) (all message) {
	for lines := json.NewDecoder(bytes.NewReader(out)); ; {
		var m message
		if lines.Decode(&m) != nil {
			return all
		}
		all.Leaves, all.Shared = append(all.Leaves, m.Leaves...), append(all.Shared, m.Shared...)
		if m.Findings != nil {
			all.Findings = m.Findings
		}
	}
}

// crash is the line of a trace that says what happened.
func crash(trace string, err error) string {
	for line := range strings.Lines(trace) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	if err == nil {
		err = errors.New("it said nothing")
	}
	return err.Error()
}
