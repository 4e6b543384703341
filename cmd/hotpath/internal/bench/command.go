// Package bench is the command hotpath bench.
package bench

import "github.com/spf13/cobra"

// Command returns the command.
func Command() *cobra.Command {
	return &cobra.Command{
		Use:   "bench",
		Short: "Measure what an update costs by each mechanism on this machine",
	}
}
