package hotpathreceiver

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"

	"github.com/hotpath-metrics/hotpath/internal/source/bpf"
	"github.com/hotpath-metrics/hotpath/internal/source/shm"
	"github.com/hotpath-metrics/hotpath/internal/source/uring"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents"
)

// Config of the receiver. Where no source is named, shm runs with its defaults.
type Config struct {
	// CollectionInterval is the time from one collection to the next.
	CollectionInterval time.Duration `mapstructure:"collection_interval"`

	// Temporality of counters and histograms: cumulative or delta.
	Temporality Temporality `mapstructure:"temporality"`

	// Resource says what one resource stands for.
	Resource ResourceConfig `mapstructure:"resource"`

	// Limits on what clients can make the receiver hold.
	Limits Limits `mapstructure:"limits"`

	// Shm reads the segments that processes publish as files on a tmpfs.
	Shm configoptional.Optional[shm.Config] `mapstructure:"shm"`

	// UserEvents takes the tracepoints that processes write by user_events: hotpath's own, OTLP, and any that it is told of.
	UserEvents configoptional.Optional[userevents.Config] `mapstructure:"user_events"`

	// BPF reads the segments that processes keep in their own memory.
	BPF configoptional.Optional[bpf.Config] `mapstructure:"bpf"`

	// IOUring takes what processes send from ring to ring.
	IOUring configoptional.Optional[uring.Config] `mapstructure:"io_uring"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// ResourceConfig says what one resource stands for.
type ResourceConfig struct {
	// Per process, or per service: all processes of one owner that agree in their resource attributes
	// but for service.instance.id and process.*, the dead ones included.
	Per Per `mapstructure:"per"`

	// prevent unkeyed literal initialization
	_ struct{}
}

var (
	_ component.Config  = (*Config)(nil)
	_ confmap.Validator = (*Config)(nil)
)

func createDefaultConfig() component.Config {
	return &Config{
		CollectionInterval: 10 * time.Second,
		Temporality:        TemporalityCumulative,
		Resource:           ResourceConfig{Per: PerProcess},
		Limits:             defaultLimits,
		Shm:                configoptional.Default(shm.DefaultConfig()),
		UserEvents:         configoptional.Default(userevents.DefaultConfig()),
		BPF:                configoptional.Default(bpf.DefaultConfig()),
		IOUring:            configoptional.Default(uring.DefaultConfig()),
	}
}

// Validate returns all that is wrong, each named by its key. Blocks of sources validate themselves.
func (c *Config) Validate() error {
	var errs []error
	if c.CollectionInterval < minInterval {
		errs = append(errs, fmt.Errorf("collection_interval: must be at least %v, is %v", minInterval, c.CollectionInterval))
	}
	if err := c.Temporality.check(); err != nil {
		errs = append(errs, fmt.Errorf("temporality: %w", err))
	}
	if err := c.Resource.Per.check(); err != nil {
		errs = append(errs, fmt.Errorf("resource::per: %w", err))
	}
	return errors.Join(append(errs, c.Limits.check()...)...)
}

// minInterval keeps a typing error from turning the receiver into a busy loop.
const minInterval = 10 * time.Millisecond
