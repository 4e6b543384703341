// Package top is the command hotpath top: the readings of package reading as a table (table.go), as JSON (json.go) or, in a terminal, live
// (model.go), where rows are put together by tree.go and drawn by view.go.
package top

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/reading"
	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/screen"
	"github.com/hotpath-metrics/hotpath/internal/source/shm"
)

// minInterval keeps a typing error from reading without a pause.
const minInterval = 50 * time.Millisecond

type options struct {
	interval  time.Duration
	directory string
	choice    reading.Choice
	filter    string
	order     order
	once      bool
	json      bool
}

const long = `Top shows what the processes of this host count right now: of each series the total and how fast it grows, of
histograms the percentiles of what was recorded since the reading before. It needs no Collector, and disturbs neither one that
runs nor the processes: it reads, and locks and removes nothing. What has ended is shown until the Collector has taken it.

It sees the segments in the directory that its user may read and, as root, those that processes keep in memfds. It does not see
what clients send by user_events or io_uring, which only a Collector takes.

In a terminal, ? tells the keys. Elsewhere, or with --once, it makes two readings, prints a table and ends. A filter is words, all
of which have to be in the name of a metric, in its attributes (written as key=value), or in service, command or pid.

With --json it prints each reading as one object on one line, the first after one interval:

  {"time", "interval_seconds", "notes": [what is not seen], "processes": [
    {"service", "command", "pid", "owner_uid", "start_time", "state": "live" or "ended", "resource": {attributes}, "series": [
      {"name", "kind", "unit", "attributes": {}, "value", "rate"}
      {"name", "kind": "histogram", "unit", "attributes": {}, "rate",
       "count", "sum", "zero_count", "scale", "offset", "buckets": [as in OTLP], "p50", "p90", "p99"}]}]}

A rate is per second; it is missing where there was no reading before. Integers are exact; a number that JSON does not have is
"NaN", "Infinity" or "-Infinity".`

// Command returns the command.
func Command() *cobra.Command {
	var o options
	c := &cobra.Command{
		Use:   "top",
		Short: "Show what the processes of this host count, live",
		Long:  long,
		Example: `  hotpath top
  hotpath top --service kv --sort total
  hotpath top --once --filter 'kv.requests op=get'
  hotpath top --once --json | jq '.processes[].series[] | {name, rate}'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr()) },
	}
	flags := c.Flags()
	flags.DurationVarP(&o.interval, "interval", "d", time.Second, "time from one reading to the next")
	flags.StringVar(&o.directory, "directory", directory(), "where segments are: the Collector's shm::directory; by default $HOTPATH_DIR")
	flags.Int64SliceVar(&o.choice.PIDs, "pid", nil, "show only processes with these `PID`s")
	flags.StringSliceVar(&o.choice.Services, "service", nil, "show only these services")
	flags.StringSliceVar(&o.choice.Commands, "command", nil, "show only processes that run these executables")
	flags.StringVar(&o.filter, "filter", "", "show only series that have all these words")
	flags.Var(&o.order, "sort", "rate, name, total or process")
	flags.BoolVar(&o.once, "once", false, "print one table, or with --json one object, and end")
	flags.BoolVar(&o.json, "json", false, "print each reading as JSON")
	return c
}

func directory() string {
	if dir := os.Getenv("HOTPATH_DIR"); dir != "" {
		return dir
	}
	return shm.DefaultConfig().Directory
}

func (o *options) run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	if o.interval < minInterval {
		return fmt.Errorf("--interval: must be at least %v, is %v", minInterval, o.interval)
	}
	w, err := reading.Start(ctx, o.directory, o.choice)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close(context.WithoutCancel(ctx))) }()
	if !o.json && !o.once && isScreen(stdout) {
		return o.live(ctx, w)
	}
	return o.print(ctx, w, stdout, stderr)
}

// isScreen says whether w is a terminal on which the cursor can be moved.
func isScreen(w io.Writer) bool {
	out, ok := w.(*os.File)
	return ok && term.IsTerminal(out.Fd()) && os.Getenv("TERM") != "dumb"
}

// print writes readings as text.
func (o *options) print(ctx context.Context, w *reading.Watch, stdout, stderr io.Writer) error {
	if _, err := w.Read(ctx); err != nil {
		return quiet(err)
	}
	tick := time.NewTicker(o.interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		r, err := w.Read(ctx)
		if err != nil {
			return quiet(err)
		}
		if err := o.printReading(r, stdout, stderr); err != nil {
			return err
		}
		if o.once || !o.json {
			return nil
		}
	}
}

func (o *options) printReading(r *reading.Reading, stdout, stderr io.Writer) error {
	f := parseFilter(o.filter)
	if o.json {
		return writeJSON(stdout, r, f)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(stderr, "%s\n", screen.Escape(note))
	}
	return writeTable(stdout, sorted(r, f, o.order, false))
}

// quiet is for being told to end.
func quiet(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
