// Package tracefs is the kernel's side of the user_events source: an instance of
// ftrace of the collector's own, the buffers of its CPUs, the events that are registered.
// It moves bytes and says what they are not: parsing is left to packages page and format.
package tracefs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// mounts are where tracefs is mounted, the first by the kernel's documentation.
var mounts = []string{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"}

// needed is of the kernel.
const needed = "Linux 6.4 or later with CONFIG_USER_EVENTS=y, as Ubuntu 23.10, Azure Linux 3 and WSL2 have it"

// Errors of [Find], beside those that wrap [os.ErrPermission].
var (
	// ErrNotMounted says that no tracefs is to be seen.
	ErrNotMounted = errors.New("tracefs is not mounted: mount it by `mount -t tracefs tracefs /sys/kernel/tracing`, " +
		"and into the Collector's container if it has one; user_events also need " + needed + "; the source shm needs neither")
	// ErrUnsupported says that the kernel has no user_events.
	ErrUnsupported = errors.New("this kernel has no user_events: they need " + needed + "; the source shm works on any kernel")
)

// Root is the mounted tracefs of a kernel that has user_events.
type Root struct{ path string }

// Find looks for tracefs. Its errors say in a sentence what is missing and how to get it.
func Find() (Root, error) { return find(mounts) }

func find(mounts []string) (Root, error) {
	path, err := mounted(mounts)
	if err != nil {
		return Root{}, err
	}
	return Root{path}, usable(path)
}

// Mount returns where tracefs is mounted.
func Mount() (path string, err error) { return mounted(mounts) }

func mounted(mounts []string) (string, error) {
	failed := ErrNotMounted
	for _, path := range mounts {
		var fs unix.Statfs_t
		switch err := unix.Statfs(path, &fs); {
		case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
			failed = denied(path, err)
		case err == nil && fs.Type == unix.TRACEFS_MAGIC:
			return path, nil
		}
	}
	return "", failed
}

// usable says what keeps user_events from being used, if anything.
func usable(path string) error {
	data := filepath.Join(path, "user_events_data")
	fd, err := unix.Open(data, unix.O_RDWR|unix.O_CLOEXEC, 0)
	switch {
	case err == nil:
		unix.Close(fd)
		return nil
	case errors.Is(err, os.ErrNotExist):
		return ErrUnsupported
	case errors.Is(err, os.ErrPermission):
		return denied(data, err)
	}
	return fmt.Errorf("open user_events: %w", err)
}

func denied(path string, err error) error {
	return fmt.Errorf("use %s: %w: the Collector must run as root or with CAP_DAC_OVERRIDE, "+
		"and the kernel must not be locked down; the source shm needs no privileges", path, err)
}

func (r Root) join(names ...string) string {
	return filepath.Join(append([]string{r.path}, names...)...)
}

// put writes a value to a control file, in one call.
func put(path, value string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte(value)); err != nil {
		return fmt.Errorf("write %q to %s: %w", value, path, err)
	}
	return nil
}
