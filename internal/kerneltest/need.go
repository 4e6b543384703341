package kerneltest

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Need skips a test where user_events can't be used. internal/tools/user_events.sh runs all of these tests where it can.
func Need(t *testing.T) {
	t.Helper()
	err := UserEvents()
	if err == nil {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal(err)
	}
	t.Skipf("%v; make test-user-events runs this test in a virtual machine", err)
}

// UserEvents says what keeps user_events from being used here, if anything.
func UserEvents() error {
	for _, path := range []string{"/sys/kernel/tracing/user_events_data", "/sys/kernel/debug/tracing/user_events_data"} {
		err := unix.Access(path, unix.W_OK)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("use %s: %w", path, err)
		}
	}
	return errors.New("this kernel has no user_events (CONFIG_USER_EVENTS), or tracefs is not mounted")
}
