package probe

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/confmap"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/internal/aggregate"
	"github.com/hotpath-metrics/hotpath/internal/instrument"
)

// Configs is the list `probes` of the configuration.
type Configs []Config

// Config is a probe: docs/probes.md describes its keys.
type Config struct {
	// Metric is what becomes of the hits.
	Metric instrument.Config `mapstructure:"metric"`
	// Uprobe is a function, USDT a tracepoint: one of them is given.
	Uprobe *Uprobe `mapstructure:"uprobe"`
	USDT   *USDT   `mapstructure:"usdt"`
	// Value is what is recorded of a hit; nil records 1.
	Value *Operand `mapstructure:"value"`
	// Scale is what values are multiplied with; nil is 1, or 1e-9 for durations.
	Scale *float64 `mapstructure:"scale"`
	// Attributes are those of the metric, by key.
	Attributes map[string]Operand `mapstructure:"attributes"`
	// Filter says whose hits count.
	Filter Filter `mapstructure:"filter"`
	// Mode is aggregate or events.
	Mode string `mapstructure:"mode"`
	// MaxSeries is how many series the probe has at most; a histogram counts once for each bucket that it uses.
	MaxSeries int `mapstructure:"max_series"`
	// SingleStep allows places where the kernel has to single-step the instruction.
	SingleStep bool `mapstructure:"single_step"`
	// Fetch brings in memory that an operand names and nobody has used yet. A program can hold the Collector up by that.
	Fetch bool `mapstructure:"fetch"`

	_ struct{}
}

// Uprobe is a function.
type Uprobe struct {
	// Binary is a path, with wildcards, or the name of files that processes have mapped.
	Binary string `mapstructure:"binary"`
	// Symbol is the function's name.
	Symbol string `mapstructure:"symbol"`
	// Offset is added to the symbol's address; without a symbol it is an address.
	Offset uint64 `mapstructure:"offset"`
	// ABI is how the function takes its arguments: c or go. Empty: as the file says.
	ABI string `mapstructure:"abi"`

	_ struct{}
}

// USDT is a tracepoint in a program.
type USDT struct {
	// Binary is a path, with wildcards, or the name of files that processes have mapped.
	Binary   string `mapstructure:"binary"`
	Provider string `mapstructure:"provider"`
	Name     string `mapstructure:"name"`

	_ struct{}
}

// Operand is a number or string at hand where a probe is hit: exactly one of Arg, Return and Duration.
type Operand struct {
	// Arg is the number of an argument.
	Arg *int `mapstructure:"arg"`
	// Return is what the function returns.
	Return bool `mapstructure:"return"`
	// Duration is the time from its entry to its return, in nanoseconds.
	Duration bool `mapstructure:"duration"`
	// Type is what is taken of it: s8 to s64, u8 to u64, bool or string. Empty: what the tracepoint says, or s64.
	Type string `mapstructure:"type"`
	// Length is how many bytes are taken of a string.
	Length int `mapstructure:"length"`

	_ struct{}
}

// Filter says whose hits count: all that are given have to agree.
type Filter struct {
	// Executable is the file name of the program.
	Executable *string `mapstructure:"executable"`
	// UID is the effective user id.
	UID *uint32 `mapstructure:"uid"`
	// Cgroup is a path below the root of cgroup v2, with all below it.
	Cgroup *string `mapstructure:"cgroup"`

	_ struct{}
}

const (
	modeAggregate = "aggregate"
	modeEvents    = "events"

	abiC  = "c"
	abiGo = "go"

	typeBool   = "bool"
	typeString = "string"

	// Bounds, of which those on strings and attributes are also in probe.bpf.c.
	maxArg            = 11
	maxAttributes     = 4
	maxAttributeBytes = 256
	maxLength         = 128
	defaultLength     = 32
	maxExecutable     = 63
	defaultMaxSeries  = 10_000
	maxMaxSeries      = 1_000_000

	overflowKey = "otel.metric.overflow"
)

var (
	_ confmap.Unmarshaler = (*Config)(nil)
	_ confmap.Unmarshaler = (*Operand)(nil)
)

// Unmarshal takes what the configuration says over the defaults.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	c.Mode, c.MaxSeries = modeAggregate, defaultMaxSeries
	return conf.Unmarshal(c)
}

// Unmarshal takes a map.
func (o *Operand) Unmarshal(conf *confmap.Conf) error {
	o.Length = defaultLength
	return conf.Unmarshal(o)
}

// UnmarshalText takes the short forms arg0, return and duration.
func (o *Operand) UnmarshalText(text []byte) error {
	*o = Operand{Length: defaultLength}
	switch s := string(text); s {
	case "return":
		o.Return = true
	case "duration":
		o.Duration = true
	default:
		var n int
		if _, err := fmt.Sscanf(s, "arg%d", &n); err != nil || s != fmt.Sprintf("arg%d", n) {
			return fmt.Errorf("must be arg0 to arg%d, return, duration, or a map, is %q", maxArg, s)
		}
		o.Arg = &n
	}
	return nil
}

// Validate names what contradicts itself between entries.
func (cs Configs) Validate() error {
	return instrument.Same(cs, func(c *Config) (*instrument.Config, bool) { return &c.Metric, c.fractional() })
}

// Validate names every key that is wrong.
func (c Config) Validate() error {
	var errs []error
	wrong := func(key, text string, args ...any) { errs = append(errs, fmt.Errorf(key+": "+text, args...)) }
	if (c.Uprobe == nil) == (c.USDT == nil) {
		wrong("uprobe", "exactly one of uprobe and usdt must be given")
	}
	switch {
	case c.Value == nil && c.Metric.NeedsValue():
		wrong("value", "a %s needs one: arg0 to arg%d, return or duration", c.Metric.Type, maxArg)
	case c.Value != nil && (c.Value.Type == typeString || c.Value.Type == typeBool):
		wrong("value::type", "%s is for attributes", c.Value.Type)
	case c.Value != nil:
		c.checkOperand("value", c.Value, wrong)
	}
	if s := c.Scale; s != nil {
		errs = append(errs, c.Metric.CheckScale(*s))
	}
	c.checkAttributes(wrong)
	if e := c.Filter.Executable; e != nil && (*e == "" || len(*e) > maxExecutable || strings.Contains(*e, "/")) {
		wrong("filter::executable", "%q must be a program's file name without its folder, of 1 to %d bytes", *e, maxExecutable)
	}
	if g := c.Filter.Cgroup; g != nil {
		if group := "/" + strings.Trim(*g, "/"); *g == "" || path.Clean(group) != group {
			wrong("filter::cgroup", "%q must be a path without ., .. and empty parts", *g)
		}
	}
	if c.Mode != modeAggregate && c.Mode != modeEvents {
		wrong("mode", "%q must be %s or %s", c.Mode, modeAggregate, modeEvents)
	}
	if c.MaxSeries <= 0 || c.MaxSeries > maxMaxSeries {
		wrong("max_series", "must be from 1 to %d, is %d", maxMaxSeries, c.MaxSeries)
	}
	return errors.Join(errs...)
}

func (c *Config) checkAttributes(wrong func(key, text string, args ...any)) {
	if len(c.Attributes) > maxAttributes {
		wrong("attributes", "are %d, may be %d", len(c.Attributes), maxAttributes)
	}
	bytes := 0
	for _, key := range c.keys() {
		o := c.Attributes[key]
		if !segment.ValidKey(key) || key == overflowKey {
			wrong("attributes::"+key, "must be the key of an attribute, of up to %d bytes", segment.MaxKey)
		}
		if o.Duration {
			wrong("attributes::"+key, "duration can only be a value")
			continue
		}
		c.checkOperand("attributes::"+key, &o, wrong)
		if o.Type != typeString && o.Length != defaultLength {
			wrong("attributes::"+key+"::length", "is for type: string")
		}
		if o.Type == typeString && (o.Length < 1 || o.Length > maxLength) {
			wrong("attributes::"+key+"::length", "must be from 1 to %d, is %d", maxLength, o.Length)
		}
		bytes += o.room()
	}
	if bytes > maxAttributeBytes {
		wrong("attributes", "take %d bytes, may take %d: a string takes its length and 1, a number 8, each in multiples of 8", bytes, maxAttributeBytes)
	}
}

func (c *Config) checkOperand(key string, o *Operand, wrong func(key, text string, args ...any)) {
	given := 0
	for _, is := range []bool{o.Arg != nil, o.Return, o.Duration} {
		if is {
			given++
		}
	}
	if given != 1 {
		wrong(key, "must be one of arg, return and duration")
		return
	}
	if o.Arg != nil && (*o.Arg < 0 || *o.Arg > maxArg) {
		wrong(key+"::arg", "must be from 0 to %d, is %d", maxArg, *o.Arg)
	}
	if o.atReturn() && (c.USDT != nil || c.Uprobe != nil && c.Uprobe.Offset != 0) {
		wrong(key, "return and duration are for functions as a whole")
	}
	if _, ok := casts[o.Type]; !ok {
		wrong(key+"::type", "%q must be one of %s", o.Type, strings.Join(slices.Sorted(maps.Keys(casts))[1:], ", "))
	}
	if o.Duration && o.Type != "" {
		wrong(key+"::type", "duration has none")
	}
}

// Validate names every key that is wrong.
func (u Uprobe) Validate() error {
	errs := checkBinary(u.Binary)
	if u.Symbol == "" && u.Offset == 0 {
		errs = errors.Join(errs, errors.New("symbol: must be given, or an offset"))
	}
	if u.ABI != "" && u.ABI != abiC && u.ABI != abiGo {
		errs = errors.Join(errs, fmt.Errorf("abi: %q must be %s or %s", u.ABI, abiC, abiGo))
	}
	return errs
}

// Validate names every key that is wrong.
func (u USDT) Validate() error {
	errs := checkBinary(u.Binary)
	if u.Provider == "" {
		errs = errors.Join(errs, errors.New("provider: must be given"))
	}
	if u.Name == "" {
		errs = errors.Join(errs, errors.New("name: must be given"))
	}
	return errs
}

func checkBinary(binary string) error {
	if _, err := path.Match(binary, ""); err != nil || binary == "" {
		return fmt.Errorf("binary: %q must be the path or name of a file, in which *, ? and [...] are wildcards", binary)
	}
	if len(binary) > maxExecutable && !strings.Contains(binary, "/") {
		return fmt.Errorf("binary: %q has more than %d bytes, which is what the kernel tells of a file's name: give a path", binary, maxExecutable)
	}
	if strings.Contains(binary, "/") && !filepath.IsAbs(binary) {
		return fmt.Errorf("binary: %q must be an absolute path, or a name without a folder", binary)
	}
	return nil
}

// keys are those of the attributes, in the order that the kernel has them.
func (c *Config) keys() []string { return slices.Sorted(maps.Keys(c.Attributes)) }

func (c *Config) binary() string {
	if c.USDT != nil {
		return c.USDT.Binary
	}
	return c.Uprobe.Binary
}

// where names the probe in messages.
func (c *Config) where() string {
	switch {
	case c.USDT != nil:
		return c.USDT.Provider + ":" + c.USDT.Name
	case c.Uprobe.Symbol == "":
		return fmt.Sprintf("%#x", c.Uprobe.Offset)
	case c.Uprobe.Offset != 0:
		return fmt.Sprintf("%s+%#x", c.Uprobe.Symbol, c.Uprobe.Offset)
	}
	return c.Uprobe.Symbol
}

// nanosecond is the default scale of durations.
const nanosecond = 1e-9

func (c *Config) scale() aggregate.Scale {
	switch {
	case c.Scale != nil:
		return aggregate.NewScale(*c.Scale)
	case c.Value != nil && c.Value.Duration:
		return aggregate.NewScale(nanosecond)
	}
	return aggregate.NewScale(1)
}

func (c *Config) fractional() bool { return c.Metric.Sums() && c.scale().Fractional() }

// hasReturn says whether it takes the function's return.
func (c *Config) hasReturn() bool {
	for _, o := range c.Attributes {
		if o.atReturn() {
			return true
		}
	}
	return c.Value != nil && c.Value.atReturn()
}

func (o *Operand) atReturn() bool { return o.Return || o.Duration }

// room is how many bytes of a key it takes.
func (o *Operand) room() int {
	if o.Type == typeString {
		return (o.Length + 1 + 7) &^ 7
	}
	return 8
}
