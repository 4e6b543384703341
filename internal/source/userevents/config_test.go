package userevents

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"

	"github.com/hotpath-metrics/hotpath/internal/instrument"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/mapping"
)

func TestDefaultConfigIsValid(t *testing.T) {
	assert.NoError(t, DefaultConfig().Validate())
}

func TestConfigIsRead(t *testing.T) {
	cfg := DefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(map[string]any{
		"instance": "mine", "buffer_size_kb": 512, "otlp_cumulative": true, "optional": true,
		"events": []any{map[string]any{
			"event": "my_counter", "value": "value",
			"metric":     map[string]any{"name": "my.counter", "type": "counter", "unit": "1"},
			"attributes": map[string]any{"worker": "id"},
		}},
	}).Unmarshal(&cfg))
	assert.Equal(t, Config{
		Instance: "mine", BufferSizeKB: 512, OTLP: true, OTLPCumulative: true, Optional: true,
		Events: mapping.Events{{
			Event: "my_counter", Value: "value", Metric: instrument.Config{Name: "my.counter", Type: "counter", Unit: "1"},
			Attributes: map[string]string{"worker": "id"},
		}},
	}, cfg)
	assert.NoError(t, cfg.Validate())
}

func TestConfigErrorsNameTheKey(t *testing.T) {
	for key, change := range map[string]func(*Config){
		"instance":         func(c *Config) { c.Instance = "a/b" },
		"instance: \"\"":   func(c *Config) { c.Instance = "" },
		"instance: \"..\"": func(c *Config) { c.Instance = ".." },
		"buffer_size_kb":   func(c *Config) { c.BufferSizeKB = 1 },
		"otlp_cumulative":  func(c *Config) { c.OTLP, c.OTLPCumulative = false, true },
	} {
		cfg := DefaultConfig()
		change(&cfg)
		assert.ErrorContains(t, cfg.Validate(), key)
	}
}
