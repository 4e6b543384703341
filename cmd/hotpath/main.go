// Hotpath is the operators' tool: what works on this machine, what it costs, and what is being counted.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/bench"
	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/doctor"
	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/dump"
	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/exit"
	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/top"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	err := command().ExecuteContext(ctx)
	stop()
	var status exit.Status
	switch {
	case errors.As(err, &status):
		os.Exit(int(status))
	case err != nil:
		fmt.Fprintln(os.Stderr, "hotpath:", err)
		os.Exit(exit.Usage)
	}
}

func command() *cobra.Command {
	c := &cobra.Command{
		Use:   "hotpath",
		Short: "Find out which way of counting works here, what it costs, and what is being counted",
		Long: `Processes count in memory, and an OpenTelemetry Collector with the receiver hotpath delivers the counts.
This tool needs no Collector. On this machine, it tells

  hotpath doctor   which of the four sources works, and what to change for one that does not
  hotpath bench    what an update costs by each of them, beside what else there is
  hotpath top      what the processes of this host count right now
  hotpath dump     what is in one segment file`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	c.AddCommand(doctor.Command(), bench.Command(), top.Command(), dump.Command())
	return c
}
