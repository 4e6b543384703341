// Package bench is the command hotpath bench: it measures on the spot what an update costs by each mechanism (mechanism.go), beside what else there
// is. Collectors (collector.go) and clients (worker.go, internal/measure/worker) are processes of their own, which it drives in phases (run.go).
package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/exit"
)

// Command returns the command.
func Command() *cobra.Command {
	var (
		quick    bool
		interval time.Duration
		outputs  outputs
		emulated string
	)
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure what an update costs by each mechanism on this machine",
		Long: `Measures, for each mechanism that works here and beside it for what else there is: what an update costs the program and the Collector,
the system calls it makes, what becomes of updates at full speed, how long one takes to the next component of the Collector's pipeline, and the
memory of a series. Then it says which mechanism it would begin with, and why.

It takes two to three minutes, with --quick 20 seconds, and as much memory as a small Collector. The clients are this program and a C
program that it compiles where there is a C compiler; the Collector is the real receiver in a process of its own. It opens nothing but
loopback, abstract sockets, a directory of its own on /dev/shm and a trace instance of its own, and takes all of it away again. A Collector that
runs here is not disturbed. Applications that count by user_events notice that somebody listens, and pay for it meanwhile.

Times are CPU time, so a busy machine changes them little. Ratios change least. On an emulated machine only ratios are shown; there,
--json writes a file that --emulated takes on another machine, for mechanisms that this one does not have.`,
		Example: `  hotpath bench --quick
  hotpath bench --markdown table.md --svg chart.svg --json figures.json
  hotpath bench --markdown -            # instead of the table for people`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if interval == 0 {
				interval = map[bool]time.Duration{true: quickInterval, false: defaultInterval}[quick]
			}
			if interval < time.Second || interval > maxInterval {
				return fmt.Errorf("--collection-interval: must be from 1s to %v, is %v", maxInterval, interval)
			}
			var other *Result
			if emulated != "" {
				var err error
				if other, err = readResult(emulated); err != nil {
					return err
				}
			}
			if err := outputs.check(); err != nil {
				return err
			}
			to := &progress{out: cmd.ErrOrStderr(), terminal: isTerminal(os.Stderr)}
			result, err := measureAll(cmd.Context(), newPlan(quick, interval), to)
			to.end()
			if errors.Is(err, context.Canceled) {
				return interrupted
			}
			if err != nil {
				cmd.PrintErrln("hotpath: measure:", err)
				return failure
			}
			result.merge(other)
			result.Choice = choose(result)
			return outputs.write(cmd.OutOrStdout(), result)
		},
	}
	flags := c.Flags()
	flags.BoolVar(&quick, "quick", false, "take 20 seconds, and less care")
	flags.DurationVar(&interval, "collection-interval", 0, "the Collector's, for latency (default 10s, with --quick 1s)")
	flags.StringVar(&outputs.json, "json", "", "write the figures to a `file`, - for the standard output")
	flags.StringVar(&outputs.markdown, "markdown", "", "write the table in Markdown to a `file`, - for the standard output")
	flags.StringVar(&outputs.svg, "svg", "", "write a chart to a `file`, - for the standard output")
	flags.StringVar(&emulated, "emulated", "", "take what is not available here from the figures (--json) of an emulated machine in a `file`")
	c.AddCommand(workerCommand(), collectorCommand())
	return c
}

const maxInterval = 20 * time.Second

// Exit statuses where nothing was measured.
const (
	failure     = exit.Status(1)
	interrupted = exit.Status(130) // as of shells
)

func workerCommand() *cobra.Command {
	return &cobra.Command{
		Use: "worker PREFIX [SERIES]", Short: "Do what the standard input says", Hidden: true, Args: cobra.RangeArgs(1, 2),
		RunE: func(_ *cobra.Command, arguments []string) error {
			return serveWorker(arguments[0], strings.Join(arguments[1:], ""))
		},
	}
}

func collectorCommand() *cobra.Command {
	return &cobra.Command{
		Use: "collector KIND SETTINGS", Short: "Collect, and answer the standard input", Hidden: true, Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, arguments []string) error {
			return serveCollector(cmd.Context(), arguments[0], arguments[1])
		},
	}
}

func readResult(name string) (*Result, error) {
	text, err := os.ReadFile(name) // #nosec G304 -- that is what the user asked for
	if err != nil {
		return nil, fmt.Errorf("read figures: %w", err)
	}
	var r Result
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("read figures in %s: %w", name, err)
	}
	return &r, nil
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
