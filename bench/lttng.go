package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// recordLTTng has a session daemon record the tracepoint into buffers that overwrite their oldest. What it returns ends that.
func recordLTTng(ctx context.Context, home string) (func() error, error) {
	lttng := func(arguments ...string) error {
		cmd := exec.CommandContext(ctx, arguments[0], arguments[1:]...) // #nosec G204 -- commands of LTTng
		cmd.Env = append(os.Environ(), "LTTNG_HOME="+home)
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(arguments, " "), err, output)
		}
		return nil
	}
	const session = "hotpath-bench"
	pidFile := filepath.Join(home, "sessiond.pid")
	if lttng("lttng", "list") != nil { // there is none yet
		if err := lttng("lttng-sessiond", "--no-kernel", "--daemonize", "--pidfile="+pidFile); err != nil {
			return nil, err
		}
	}
	end := func() error { return errors.Join(lttng("lttng", "destroy", session), endDaemon(pidFile)) }
	for _, command := range []string{
		"create " + session + " --snapshot --output=" + home,
		"enable-channel --userspace --session=" + session + " flight",
		"enable-event --userspace --session=" + session + " --channel=flight hotpath_bench:add",
		"start " + session,
	} {
		if err := lttng(append([]string{"lttng"}, strings.Fields(command)...)...); err != nil {
			return nil, errors.Join(err, end())
		}
	}
	return end, nil
}

// endDaemon ends a daemon that this program started.
func endDaemon(pidFile string) error {
	text, err := os.ReadFile(pidFile) // #nosec G304 -- in a directory of this program's
	if errors.Is(err, os.ErrNotExist) {
		return nil // it was there before
	}
	if err != nil {
		return fmt.Errorf("read pid: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err == nil {
		err = unix.Kill(pid, unix.SIGTERM)
	}
	return err
}
