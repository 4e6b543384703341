package doctor

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
)

const checkCommand = "check"

// message is a line that a check's process writes.
type message struct {
	// Leaves are what it makes and removes, with all that is in it, in the order in which to remove it if it cannot.
	Leaves []string `json:"leaves,omitempty"`
	// Shared are those in which others may be at home by then.
	Shared   []string  `json:"shared,omitempty"`
	Findings *findings `json:"findings,omitempty"`
}

// newCheckCommand makes one check, in a process of its own, which ends with its standard input.
func newCheckCommand() *cobra.Command {
	var o options
	var receiver, name string
	c := &cobra.Command{
		Use:    checkCommand,
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := o.configOf(receiver)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithCancel(c.Context())
			go func() {
				_, _ = io.Copy(io.Discard, c.InOrStdin())
				cancel()
				time.Sleep(o.timeout) // it cleans up
				os.Exit(1)
			}()
			out := json.NewEncoder(c.OutOrStdout())
			t := &trial{
				name: name, directory: o.directory(), config: cfg, asked: receiver != "",
				patience: o.timeout / 3,
				leave:    func(m message) { _ = out.Encode(m) },
			}
			t.logger, t.heard = newComplaints()
			found := checks[args[0]](ctx, t)
			return out.Encode(message{Findings: &found})
		},
	}
	o.addTo(c.Flags())
	c.Flags().StringVar(&receiver, "receiver", "", "the receiver that asks")
	c.Flags().StringVar(&name, "name", "", "what to call all that the check makes")
	return c
}

// remove removes what a check left behind.
func (m *message) remove() {
	for _, path := range m.Leaves {
		_ = os.RemoveAll(path)
	}
	for _, path := range m.Shared {
		_ = os.Remove(path)
	}
}
