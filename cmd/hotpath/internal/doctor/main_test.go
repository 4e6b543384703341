package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/spf13/cobra"

	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/exit"
)

// TestMain is also the program that doctor runs as each of its checks, and what the tests run it under.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "doctor":
			os.Exit(execute())
		case "confined":
			confined(os.Args[2:])
		case "reality":
			reality(os.Args[2:])
		}
	}
	os.Exit(m.Run())
}

// execute is the tool's main.
func execute() int {
	root := &cobra.Command{Use: "hotpath", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(Command())
	err := root.ExecuteContext(context.Background())
	var status exit.Status
	switch {
	case errors.As(err, &status):
		return int(status)
	case err != nil:
		fmt.Fprintln(os.Stderr, "hotpath:", err)
		return exit.Usage
	}
	return 0
}
