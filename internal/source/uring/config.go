package uring

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/confmap"

	layout "github.com/hotpath-metrics/hotpath/client/go/uring"

	"github.com/hotpath-metrics/hotpath/internal/bytesize"
)

// Config is the block `io_uring` of the receiver's configuration.
type Config struct {
	// Socket is the path at which the collector listens, or an abstract name that begins with '@'.
	Socket string `mapstructure:"socket"`
	// Mode is the socket's mode, in octal: who may write to it may connect.
	Mode string `mapstructure:"mode"`
	// CQEntries is how many messages there is room for on the way from one client to the collector, a power of two.
	CQEntries int `mapstructure:"cq_entries"`
	// OverflowBudget is how much the kernel may hold of messages that a client sent though there was no room, reckoned by the time that it takes to send them.
	OverflowBudget bytesize.Size `mapstructure:"overflow_budget"`
	// Latency is how long messages may wait before they are read. Longer, fewer wake-ups.
	Latency time.Duration `mapstructure:"latency"`
	// Optional lets the receiver start where io_uring cannot be used; it is tried again at each collection.
	Optional bool `mapstructure:"optional"`

	_ struct{}
}

// DefaultConfig returns the configuration that clients expect by default.
func DefaultConfig() Config {
	return Config{Socket: layout.DefaultSocket, Mode: "0666", CQEntries: 4096, OverflowBudget: 1 << 20, Latency: 10 * time.Millisecond}
}

// Bounds of the configuration.
const (
	// maxSocket is the length of the longest path that a socket's address has room for (sun_path, with its zero).
	maxSocket    = 107
	minCQEntries = 64
	maxLatency   = time.Second
)

// Unmarshal takes a bare number for mode as well, of which YAML makes an integer.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	if n, ok := conf.Get("mode").(int); ok {
		if err := conf.Merge(confmap.NewFromStringMap(map[string]any{"mode": strconv.Itoa(n)})); err != nil {
			return fmt.Errorf("merge mode: %w", err)
		}
	}
	return conf.Unmarshal(c)
}

// Validate names every key that is wrong.
func (c Config) Validate() error {
	var errs error
	abstract := strings.HasPrefix(c.Socket, "@")
	if !abstract && !filepath.IsAbs(c.Socket) || abstract && len(c.Socket) == 1 || len(c.Socket) > maxSocket {
		errs = errors.Join(errs, fmt.Errorf("socket: %q must be an absolute path, or an abstract name that begins with @, of up to %d bytes", c.Socket, maxSocket))
	}
	if _, err := c.mode(); err != nil {
		errs = errors.Join(errs, err)
	}
	if n := c.CQEntries; n < minCQEntries || n > layout.MaxEntries || n&(n-1) != 0 {
		errs = errors.Join(errs, fmt.Errorf("cq_entries: must be a power of two from %d to %d, is %d", minCQEntries, layout.MaxEntries, n))
	}
	if c.OverflowBudget <= 0 {
		errs = errors.Join(errs, fmt.Errorf("overflow_budget: must be positive, is %d", c.OverflowBudget))
	}
	if c.Latency <= 0 || c.Latency > maxLatency {
		errs = errors.Join(errs, fmt.Errorf("latency: must be positive and up to %v, is %v", maxLatency, c.Latency))
	}
	return errs
}

func (c Config) mode() (uint32, error) {
	mode, err := strconv.ParseUint(c.Mode, 8, 32)
	if err != nil || mode > 0o777 || mode&0o600 != 0o600 {
		return 0, fmt.Errorf(`mode: %q must be an octal number up to 777 that lets the owner read and write, such as "0666" or "0660"; quote it in YAML`, c.Mode)
	}
	return uint32(mode), nil
}
