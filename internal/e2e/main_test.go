// Package e2e tests hotpath from end to end: applications that use the public
// clients, the Collector that builder-config.yaml describes, and what receives its OTLP.
package e2e

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// programs is where what the tests compile is put.
var programs string

func TestMain(m *testing.M) {
	var err error
	if programs, err = os.MkdirTemp("", "hotpath-e2e-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(programs)
	os.Exit(code)
}

// eventually waits until a condition holds, and fails the test if that takes too long.
func eventually(t testing.TB, within time.Duration, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v there is still no %s", within, what)
		}
	}
}

// directory is a new directory for segments.
func directory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "hotpath-e2e-")
	if err != nil {
		missing(t, "a writable /dev/shm: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
