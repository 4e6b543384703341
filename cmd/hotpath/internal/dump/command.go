// Package dump is the command hotpath dump. It reads a file (file.go) with the decoder of the receiver, which tells of every record and goes on after
// what is wrong (decode.go); adds up the values (value.go); asks the receiver what it would do with the file (verdict.go); and tells all of that as
// text (text.go) or JSON (json.go).
package dump

import (
	"github.com/spf13/cobra"

	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/exit"
)

const long = `Dump decodes one segment, of any process and in whatever state, and tells everything that is wrong with it: where, what was
read and what the format asks for (docs/segment-format.md), and what the Collector would do with the file. It is for whoever writes
a client.

FILE is a segment's file in the directory, a copy of one, or a descriptor of a memfd such as /proc/1234/fd/1023. It is only read.

Exit status: 0 where nothing is wrong, 1 where something is, 64 where FILE cannot be read.`

// Command returns the command.
func Command() *cobra.Command {
	var asJSON, stripes bool
	c := &cobra.Command{
		Use:   "dump FILE",
		Short: "Decode one segment file, and report what is wrong with it",
		Long:  long,
		Example: `  hotpath dump /dev/shm/hotpath/1234-0123456789abcdef
  hotpath dump --json /proc/1234/fd/1023 | jq .inconsistencies`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			d, err := read(args[0])
			if err != nil {
				return err
			}
			write := writeText
			if asJSON {
				write = writeJSON
			}
			if err := write(c.OutOrStdout(), d, stripes); err != nil {
				return err
			}
			if len(d.Faults) > 0 {
				return exit.Status(1)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	c.Flags().BoolVar(&stripes, "stripes", false, "tell the value of each stripe, too")
	return c
}
