package bpf

import (
	"errors"

	"github.com/hotpath-metrics/hotpath/internal/source/bpf/probe"
)

// Config is the block `bpf` of the receiver's configuration.
type Config struct {
	// Segments takes the segments that hotpath's clients keep in memfds.
	Segments bool `mapstructure:"segments"`
	// Probes count at places in programs that nobody changed.
	Probes probe.Configs `mapstructure:"probes"`
	// Optional lets the receiver start where BPF cannot be used; it is tried again at each collection.
	Optional bool `mapstructure:"optional"`

	_ struct{}
}

// DefaultConfig returns the configuration that takes segments.
func DefaultConfig() Config { return Config{Segments: true} }

// Validate names every key that is wrong.
func (c Config) Validate() error {
	if !c.Segments && len(c.Probes) == 0 {
		return errors.New("segments: is false, and there are no probes")
	}
	return nil
}
