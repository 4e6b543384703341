// Package dump is the command hotpath dump.
package dump

import "github.com/spf13/cobra"

// Command returns the command.
func Command() *cobra.Command {
	return &cobra.Command{
		Use:   "dump",
		Short: "Decode one segment file, and report what is wrong with it",
	}
}
