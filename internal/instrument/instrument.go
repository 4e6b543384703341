// Package instrument is the part of the configuration that says what metric comes out: the block `metric` of an event or a probe.
package instrument

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// Config is an OpenTelemetry instrument.
type Config struct {
	// Name has up to 255 letters, digits, '_', '.', '-' and '/', and begins with a letter.
	Name string `mapstructure:"name"`
	// Type is counter, updowncounter, gauge or histogram.
	Type string `mapstructure:"type"`
	// Unit has up to 63 ASCII characters.
	Unit string `mapstructure:"unit"`
	// Description has up to 1023 bytes.
	Description string `mapstructure:"description"`

	_ struct{}
}

var kinds = map[string]emit.Kind{
	"counter":       emit.KindCounter,
	"updowncounter": emit.KindUpDownCounter,
	"gauge":         emit.KindGauge,
	"histogram":     emit.KindHistogram,
}

// Validate names every key that is wrong.
func (c Config) Validate() error {
	var errs error
	if !segment.ValidName(c.Name) {
		errs = errors.Join(errs, fmt.Errorf("name: %q must have 1 to %d letters, digits, '_', '.', '-' and '/', and begin with a letter",
			c.Name, segment.MaxName))
	}
	if kinds[c.Type] == 0 {
		errs = errors.Join(errs, fmt.Errorf("type: %q must be counter, updowncounter, gauge or histogram", c.Type))
	}
	if !segment.ValidUnit(c.Unit) {
		errs = errors.Join(errs, fmt.Errorf("unit: %q must have up to %d ASCII characters", c.Unit, segment.MaxUnit))
	}
	if len(c.Description) > segment.MaxDescription || !utf8.ValidString(c.Description) {
		errs = errors.Join(errs, fmt.Errorf("description: must have up to %d bytes of UTF-8", segment.MaxDescription))
	}
	return errs
}

// Kind returns that of a valid configuration.
func (c *Config) Kind() emit.Kind { return kinds[c.Type] }

// NeedsValue says that hits alone make nothing of it.
func (c *Config) NeedsValue() bool { return c.Type == "gauge" || c.Type == "histogram" }

// RisesOnly says that it takes no negative values.
func (c *Config) RisesOnly() bool { return c.Type == "counter" || c.Type == "histogram" }

// Sums says that its value is the sum of what is recorded.
func (c *Config) Sums() bool { return c.Type == "counter" || c.Type == "updowncounter" }

// Instrument returns it, with totals that are doubles or not.
func (c *Config) Instrument(double bool) emit.Instrument {
	return emit.Instrument{Name: c.Name, Unit: c.Unit, Description: c.Description, Kind: c.Kind(), Double: double}
}
