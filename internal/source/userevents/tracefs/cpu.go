package tracefs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// CPU is the buffer of one CPU.
type CPU struct {
	ID    int
	fd    int
	stats string
}

// CPUs opens the buffers of all CPUs that there can be, sorted by id. Those that were never online have none yet.
func (i *Instance) CPUs() ([]*CPU, error) {
	entries, err := os.ReadDir(filepath.Join(i.path, "per_cpu"))
	if err != nil {
		return nil, fmt.Errorf("list CPUs: %w", err)
	}
	var cpus []*CPU
	for _, e := range entries {
		id, err := strconv.Atoi(strings.TrimPrefix(e.Name(), "cpu"))
		if err != nil {
			continue
		}
		dir := filepath.Join(i.path, "per_cpu", e.Name())
		fd, err := unix.Open(filepath.Join(dir, "trace_pipe_raw"), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			for _, c := range cpus {
				c.Close()
			}
			return nil, fmt.Errorf("open buffer of CPU %d: %w", id, err)
		}
		cpus = append(cpus, &CPU{ID: id, fd: fd, stats: filepath.Join(dir, "stats")})
	}
	slices.SortFunc(cpus, func(a, b *CPU) int { return a.ID - b.ID })
	return cpus, nil
}

// ErrNoBuffer says that a CPU was never online.
var ErrNoBuffer = errors.New("the CPU has no buffer yet")

// Read takes the oldest sub-buffer, or what there is of it, into b, which has the size of one. It
// returns 0 if there is nothing, and [ErrNoBuffer]. Events that were read are gone.
func (c *CPU) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(c.fd, b)
		switch {
		case err == nil:
			return n, nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return 0, nil
		case errors.Is(err, unix.ENODEV):
			return 0, ErrNoBuffer
		default:
			return 0, fmt.Errorf("read buffer of CPU %d: %w", c.ID, err)
		}
	}
}

// Lost returns how many events the CPU's buffer had no room for since the instance was made: those that were overwritten
// before they were read, and those that could not be written. It is the kernel's own count, exact but for events
// that are larger than any buffer takes: those the kernel counts nowhere.
func (c *CPU) Lost() (uint64, error) {
	text, err := os.ReadFile(c.stats)
	if err != nil {
		return 0, fmt.Errorf("read counters of CPU %d: %w", c.ID, err)
	}
	return lost(string(text))
}

func lost(stats string) (uint64, error) {
	var sum uint64
	found := 0
	for line := range strings.Lines(stats) {
		key, value, _ := strings.Cut(line, ":")
		switch key {
		case "overrun", "commit overrun", "dropped events":
			n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read counter %q: %w", key, err)
			}
			sum += n
			found++
		}
	}
	if found != 3 {
		return 0, fmt.Errorf("read counters: %d of 3 in %q", found, stats)
	}
	return sum, nil
}

// Close gives the descriptor back.
func (c *CPU) Close() { unix.Close(c.fd) }
