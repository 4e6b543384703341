package shm

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"go.opentelemetry.io/collector/confmap"
)

// Config is the block `shm` of the receiver's configuration.
type Config struct {
	// Directory is where clients put their segments, an absolute path. It should be
	// on tmpfs, and is made if it is missing.
	Directory string `mapstructure:"directory"`
	// Mode is the directory's mode, in octal. Empty leaves a directory of the collector's own user as it is,
	// and makes or adopts one with 1777.
	Mode string `mapstructure:"mode"`
	// Group, a name or number, owns the directory. Empty leaves it alone.
	Group string `mapstructure:"group"`
	// Optional lets the receiver start where the directory cannot be used; it is tried again at each collection.
	Optional bool `mapstructure:"optional"`

	_ struct{}
}

// DefaultConfig returns the configuration that clients expect by default.
func DefaultConfig() Config {
	return Config{Directory: "/dev/shm/hotpath"}
}

// Unmarshal takes bare numbers for mode and group as well, of which YAML makes integers.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	var text struct {
		Mode  string `mapstructure:"mode"`
		Group string `mapstructure:"group"`
	}
	// Where one key fails the other is decoded all the same. What an environment variable holds is text, too, and stays
	// as it is there: Get would tell what YAML makes of it.
	if conf.Unmarshal(&text, confmap.WithIgnoreUnused()) != nil {
		digits := map[string]any{}
		for key, known := range map[string]string{"mode": text.Mode, "group": text.Group} {
			if n, ok := conf.Get(key).(int); ok && known == "" {
				digits[key] = strconv.Itoa(n)
			}
		}
		if err := conf.Merge(confmap.NewFromStringMap(digits)); err != nil {
			return fmt.Errorf("merge numbers: %w", err)
		}
	}
	return conf.Unmarshal(c)
}

// Validate names every key that is wrong.
func (c Config) Validate() error {
	var errs error
	if !filepath.IsAbs(c.Directory) || filepath.Clean(c.Directory) == "/" {
		errs = errors.Join(errs, fmt.Errorf("directory: %q must be an absolute path of a directory of its own", c.Directory))
	}
	if _, err := c.mode(); err != nil {
		errs = errors.Join(errs, err)
	}
	return errs
}

// quoteHint is for whoever wrote 02770 or 0o2770, of which YAML makes decimal 1528. None is mistaken for another
// mode: no mode with 7 in the hundreds is a decimal number with 7 in the hundreds.
const quoteHint = `; in YAML quote one that begins with a zero, as in mode: "02770"`

func (c Config) mode() (uint32, error) {
	if c.Mode == "" {
		return 0o1777, nil
	}
	mode, err := strconv.ParseUint(c.Mode, 8, 32)
	if err != nil || mode > 0o7777 {
		return 0, fmt.Errorf("mode: %q must be an octal number up to 7777, such as 1777 or 2770%s", c.Mode, quoteHint)
	}
	if mode&0o700 != 0o700 {
		return 0, fmt.Errorf("mode: %q must let the owner read, write and search (7 in the hundreds)%s", c.Mode, quoteHint)
	}
	return uint32(mode), nil
}
