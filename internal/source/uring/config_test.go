package uring

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
)

func TestDefaultConfigIsValid(t *testing.T) {
	assert.NoError(t, DefaultConfig().Validate())
}

func TestEveryWrongKeyIsNamed(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Config)
		key    string
	}{
		"a relative path":          {func(c *Config) { c.Socket = "run/socket" }, "socket: "},
		"no path":                  {func(c *Config) { c.Socket = "" }, "socket: "},
		"an abstract name of none": {func(c *Config) { c.Socket = "@" }, "socket: "},
		"a path too long":          {func(c *Config) { c.Socket = "/" + strings.Repeat("a", 107) }, "socket: "},
		"a mode of words":          {func(c *Config) { c.Mode = "rw" }, "mode: "},
		"a mode in decimal":        {func(c *Config) { c.Mode = "438" }, "mode: "},
		"a mode for nobody":        {func(c *Config) { c.Mode = "0066" }, "mode: "},
		"entries of no power":      {func(c *Config) { c.CQEntries = 1000 }, "cq_entries: "},
		"few entries":              {func(c *Config) { c.CQEntries = 32 }, "cq_entries: "},
		"many entries":             {func(c *Config) { c.CQEntries = 1 << 17 }, "cq_entries: "},
		"negative entries":         {func(c *Config) { c.CQEntries = -4096 }, "cq_entries: "},
		"no budget":                {func(c *Config) { c.OverflowBudget = 0 }, "overflow_budget: "},
		"no latency":               {func(c *Config) { c.Latency = 0 }, "latency: "},
		"a long latency":           {func(c *Config) { c.Latency = time.Minute }, "latency: "},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig()
			tt.change(&cfg)
			assert.ErrorContains(t, cfg.Validate(), tt.key)
		})
	}
	all := Config{}
	err := all.Validate()
	for _, key := range []string{"socket", "mode", "cq_entries", "overflow_budget", "latency"} {
		assert.ErrorContains(t, err, key)
	}
}

func TestBareModeIsTakenAsWritten(t *testing.T) {
	cfg := DefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(map[string]any{"mode": 660, "overflow_budget": "2MiB"}).Unmarshal(&cfg))
	assert.Equal(t, "660", cfg.Mode)
	assert.EqualValues(t, 2<<20, cfg.OverflowBudget)
	assert.NoError(t, cfg.Validate())
}
