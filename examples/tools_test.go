// Package examples tests the files that operators copy, with the tools that will read them.
package examples

import (
	"os"
	"os/exec"
	"testing"
)

// tool returns a command, or skips the test where it is not installed and may be missing.
func tool(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, err.Error())
	}
	return exec.Command(path, args...)
}

func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("CI runs everything; this needs %s", what)
	}
	t.Skipf("this needs %s", what)
}

// says runs a command that must succeed, and returns what it printed.
func says(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return string(out)
}
