package shm

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
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

func (c Config) mode() (uint32, error) {
	if c.Mode == "" {
		return 0o1777, nil
	}
	mode, err := strconv.ParseUint(c.Mode, 8, 32)
	if err != nil || mode > 0o7777 {
		return 0, fmt.Errorf("mode: %q must be an octal number up to 7777, such as 1777 or 2770", c.Mode)
	}
	if mode&0o700 != 0o700 {
		return 0, fmt.Errorf("mode: %q must let the owner read, write and search (7 in the hundreds)", c.Mode)
	}
	return uint32(mode), nil
}

// Limits bound what clients can make the collector hold. Each is positive.
type Limits struct {
	// Segments is how many are held open at most, SegmentsPerUID of one owner.
	Segments, SegmentsPerUID int
	// Series is how many are delivered at most, SeriesPerUID of one owner and SeriesPerSegment of one segment.
	Series, SeriesPerUID, SeriesPerSegment int
	// SegmentSize is how many bytes of one segment are read in one collection at most.
	SegmentSize int64
}
