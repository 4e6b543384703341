// Package top is the command hotpath top.
package top

import "github.com/spf13/cobra"

// Command returns the command.
func Command() *cobra.Command {
	return &cobra.Command{
		Use:   "top",
		Short: "Show what the processes of this host count, live",
	}
}
