// Command vm runs a shell command in a virtual machine: on a kernel with user_events, or, with KERNEL=6.12 or the like in the
// environment, on that of the distribution. See internal/kerneltest.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/hotpath-metrics/hotpath/internal/kerneltest"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: vm COMMAND...   (a shell command; the working directory is writable in the machine)")
		os.Exit(2)
	}
	os.Exit(run())
}

func run() int {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	dir, err := os.Getwd()
	if err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		return 1
	}
	status, err := kerneltest.Run(ctx, kerneltest.Job{
		Release:  os.Getenv("KERNEL"),
		Command:  strings.Join(os.Args[1:], " "),
		Dir:      dir,
		Env:      []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "CI=" + os.Getenv("CI"), "HOTPATH_OTELCOL=" + os.Getenv("HOTPATH_OTELCOL")},
		Writable: []string{dir},
		Stdout:   os.Stdout,
		Stderr:   os.Stderr,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		return 1
	}
	return status
}
