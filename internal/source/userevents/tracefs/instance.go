package tracefs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/source/userevents/page"
)

const (
	// clock counts nanoseconds since the machine booted, the time it slept included.
	clock = "boot"
	// watermark is how full a CPU's buffer has to be before a reader is woken, in percent. The rest is for what comes
	// until it runs.
	watermark = 25
)

// Instance is a trace buffer of its own for each CPU, with events of its own. A
// lock on its folder tells whether the collector that made it lives.
type Instance struct {
	root Root
	path string
	lock int // the folder

	// SubBufferSize is what one read of a buffer returns at most, in bytes.
	SubBufferSize int
	// Stale says that an earlier collector left the instance behind. What is in it was recorded while none ran.
	Stale bool
}

// Open makes an instance with bufferKB KiB for each CPU, or takes one over that an earlier collector left behind:
// the events that it enabled are still being recorded then. It fails where another collector uses it.
func (r Root) Open(name string, bufferKB int) (*Instance, error) {
	i := &Instance{root: r, path: r.Path(name), lock: -1}
	if err := i.acquire(); err != nil {
		return nil, err
	}
	if err := i.configure(bufferKB); err != nil {
		return nil, errors.Join(fmt.Errorf("configure trace instance %q: %w", name, err), i.Close())
	}
	return i, nil
}

// Path is where an instance is.
func (r Root) Path(name string) string { return r.join("instances", name) }

// InUse is about an instance on which another collector holds the lock.
func InUse(path string) error {
	return fmt.Errorf("trace instance %q is in use by another collector, which holds the lock on %s: "+
		"stop it or give this one another user_events::instance", filepath.Base(path), path)
}

// acquire makes the folder if need be and locks it.
func (i *Instance) acquire() error {
	name := filepath.Base(i.path)
	for range 100 {
		err := os.Mkdir(i.path, 0o700)
		if err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("make trace instance %q: %w", name, err)
		}
		i.Stale = err != nil
		fd, err := unix.Open(i.path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.ENOENT) {
			continue // a collector that ended removed it
		}
		if err != nil {
			return fmt.Errorf("open trace instance %q: %w", name, err)
		}
		if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
			unix.Close(fd)
			if errors.Is(err, unix.EWOULDBLOCK) {
				return InUse(i.path)
			}
			return fmt.Errorf("lock trace instance %q: %w", name, err)
		}
		var locked, current unix.Stat_t
		if unix.Fstat(fd, &locked) == nil && unix.Stat(i.path, &current) == nil && locked.Ino == current.Ino {
			i.lock = fd
			return nil
		}
		unix.Close(fd) // removed between the two
	}
	return fmt.Errorf("lock trace instance %q: it comes and goes", name)
}

// configure makes the instance what a collector reads, and keeps what is recorded in it if it is that already.
func (i *Instance) configure(bufferKB int) error {
	clocks, err := os.ReadFile(filepath.Join(i.path, "trace_clock"))
	if err != nil {
		return fmt.Errorf("read trace clocks: %w", err)
	}
	if !strings.Contains(string(clocks), "["+clock+"]") {
		// Times by another clock mean nothing: this empties the buffers.
		if err := i.put("trace_clock", clock); err != nil {
			return err
		}
	}
	settings := []struct{ file, value string }{
		// Names of tasks would be noted at every context switch of the machine. Instances inherit this
		// option and have no file for it in options/.
		{"trace_options", "norecord-cmd"},
		{"trace_options", "norecord-tgid"},
		{"trace_options", "noblock"}, // poll would say that there is always something
		// The newest stays: it is the state update that makes up for those which were lost.
		{"trace_options", "overwrite"},
		{"buffer_size_kb", strconv.Itoa(bufferKB)},
		{"buffer_percent", strconv.Itoa(watermark)},
		{"tracing_on", "1"},
	}
	for _, s := range settings {
		if err := i.put(s.file, s.value); err != nil {
			return err
		}
	}
	header, err := os.ReadFile(filepath.Join(i.path, "events", "header_page"))
	if err != nil {
		return fmt.Errorf("read header of sub-buffers: %w", err)
	}
	i.SubBufferSize, err = page.SubBufferSize(header)
	return err
}

func (i *Instance) put(file, value string) error {
	return put(filepath.Join(i.path, file), value)
}

// Close removes the instance, and with it all that it has enabled. What was opened in it has to be closed before. If
// another program has a file open in it, the instance stays, with nothing enabled.
func (i *Instance) Close() error {
	defer unix.Close(i.lock)
	err := unix.Rmdir(i.path)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("remove trace instance %s: %w", i.path, err)
	// Other subsystems' events are none of the collector's.
	for _, group := range groups {
		if e := i.put(filepath.Join("events", group, "enable"), "0"); e != nil && !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}
