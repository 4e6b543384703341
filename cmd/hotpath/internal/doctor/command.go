// Package doctor is the command hotpath doctor: it says which sources and transports work on this machine, by trying each.
//
// Each check (trial.go and the files named after the sources) is a process of its own (examine.go, worker.go), so that none can hang or
// crash the others; it tries the Collector's own source with the client's own code in a place beside the real one.
package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/exit"
	"github.com/hotpath-metrics/hotpath/internal/source/shm"
	"github.com/hotpath-metrics/hotpath/receiver/hotpathreceiver"
)

// options are the flags.
type options struct {
	configs []string
	dir     string
	json    bool
	timeout time.Duration
}

func (o *options) addTo(flags *pflag.FlagSet) {
	flags.StringArrayVarP(&o.configs, "config", "c", nil, "check what a Collector's `FILE` asks for; repeat to merge")
	flags.StringVar(&o.dir, "dir", "", "`FOLDER` of segments ($HOTPATH_DIR, or "+shm.DefaultConfig().Directory+")")
	flags.DurationVar(&o.timeout, "timeout", 4*time.Second, "`TIME` that a check may take")
}

// directory is where clients publish.
func (o *options) directory() string {
	if o.dir != "" {
		return o.dir
	}
	if dir := os.Getenv("HOTPATH_DIR"); dir != "" {
		return dir
	}
	return shm.DefaultConfig().Directory
}

// configOf is what a check is about: the block of a receiver, or the defaults.
func (o *options) configOf(receiver string) (*hotpathreceiver.Config, error) {
	if receiver == "" {
		cfg := defaultConfig()
		block := cfg.Shm.GetOrInsertDefault()
		block.Directory = filepath.Clean(o.directory())
		return cfg, nil
	}
	all, err := resolve(context.Background(), o.configs)
	if err != nil {
		return nil, err
	}
	found, err := configured(all)
	if err != nil {
		return nil, err
	}
	cfg, ok := found[receiver]
	if !ok {
		return nil, fmt.Errorf("the configuration has no receiver %s any more", receiver)
	}
	return cfg, nil
}

// Command returns the command.
func Command() *cobra.Command {
	var o options
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Say which sources and transports work here, and what to change for one that does not",
		Long: `Doctor tries each way of counting: a Collector's source, and a client that tells
it something, both run as the user who runs doctor. What does not work comes
with the reason, and behind -> the one command or setting that changes it. It
takes a second and removes what it makes. Collectors and applications that run
do not notice.

Run it as the Collector's user and as the application's, in their containers.

Exit status: 0 if a source works, 1 if none does, 2 if a configuration asks for
one that does not, 64 if a flag or the configuration is wrong.`,
		Example: `  # What works for me? What would for root?
  hotpath doctor
  sudo hotpath doctor

  # Will this Collector start as its own user?
  sudo -u otel hotpath doctor --config /etc/otelcol/config.yaml

  # Will an application with HOTPATH_DIR publish there?
  hotpath doctor --dir /run/app/hotpath

  # In the container of an application
  docker run --rm -v $PWD/hotpath:/hotpath IMAGE /hotpath doctor

  # What is to be done, for a script
  hotpath doctor --json | jq -r '.sources[] | select(.available|not) | .fix'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c) },
	}
	o.addTo(c.Flags())
	c.Flags().BoolVar(&o.json, "json", false, "print JSON")
	c.AddCommand(newCheckCommand(), newClientCommand())
	return c
}

func (o *options) run(c *cobra.Command) error {
	if o.timeout <= 0 {
		return fmt.Errorf("timeout %v: must be positive", o.timeout)
	}
	if !filepath.IsAbs(o.directory()) {
		return fmt.Errorf("directory %q is not an absolute path", o.directory())
	}
	var list []Asked
	if len(o.configs) > 0 {
		all, err := resolve(c.Context(), o.configs)
		if err != nil {
			return err
		}
		found, err := configured(all)
		if err != nil {
			return err
		}
		list = asked(all, found)
	}
	report := o.examine(c.Context(), list)
	if err := o.print(c, report); err != nil {
		return fmt.Errorf("print report: %w", err)
	}
	if status := report.status(); status != fineOutcome {
		return exit.Status(status)
	}
	return nil
}

func (o *options) print(c *cobra.Command, r *Report) error {
	if !o.json {
		return newTable(c.OutOrStdout()).print(r)
	}
	out := json.NewEncoder(c.OutOrStdout())
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(r)
}
