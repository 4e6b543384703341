// Package doctor is the command hotpath doctor.
package doctor

import "github.com/spf13/cobra"

// Command returns the command.
func Command() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Say which sources and transports work here, and what to change for one that does not",
	}
}
