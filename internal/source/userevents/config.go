package userevents

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/hotpath-metrics/hotpath/internal/quota"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/mapping"
)

// Config is the block `user_events` of the receiver's configuration.
type Config struct {
	// Instance is the name of the trace instance that the collector makes in tracefs. No two collectors
	// of a machine can have the same.
	Instance string `mapstructure:"instance"`
	// BufferSizeKB is how much the kernel keeps for each CPU until the collector reads it, in KiB.
	BufferSizeKB int `mapstructure:"buffer_size_kb"`
	// OTLP takes what OpenTelemetry's exporters write as the event otlp_metrics.
	OTLP bool `mapstructure:"otlp"`
	// OTLPCumulative makes running totals of sums and histograms that come as deltas by OTLP.
	OTLPCumulative bool `mapstructure:"otlp_cumulative"`
	// Events says which further events to take, and what metrics to make of them.
	Events mapping.Events `mapstructure:"events"`
	// Optional lets the receiver start where user_events cannot be used; it is tried again at each collection.
	Optional bool `mapstructure:"optional"`

	_ struct{}
}

// DefaultConfig returns the configuration that takes hotpath's own events and OTLP.
func DefaultConfig() Config {
	return Config{Instance: "hotpath", BufferSizeKB: 1024, OTLP: true}
}

// Bounds of BufferSizeKB. Below the lower one a buffer is full before anybody can be woken.
const (
	minBufferSizeKB = 64
	maxBufferSizeKB = 1 << 20
)

var instanceName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$`)

// Validate names every key that is wrong, but for those of events, which validate themselves.
func (c Config) Validate() error {
	var errs error
	if !instanceName.MatchString(c.Instance) {
		errs = errors.Join(errs, fmt.Errorf("instance: %q must have 1 to 64 letters, digits, '_', '-' and '.'", c.Instance))
	}
	if c.BufferSizeKB < minBufferSizeKB || c.BufferSizeKB > maxBufferSizeKB {
		errs = errors.Join(errs, fmt.Errorf("buffer_size_kb: must be from %d to %d, is %d", minBufferSizeKB, maxBufferSizeKB, c.BufferSizeKB))
	}
	if c.OTLPCumulative && !c.OTLP {
		errs = errors.Join(errs, errors.New("otlp_cumulative: needs otlp"))
	}
	return errs
}

// Limits bound what writers can make the collector hold. Each is positive.
type Limits struct {
	// Processes is how many are told apart at most.
	Processes int
	// Segments are those of hotpath's clients; series are what each kind of event may make.
	quota.Limits
	// PendingBytes is how much OTLP may wait for its delivery.
	PendingBytes int
}
