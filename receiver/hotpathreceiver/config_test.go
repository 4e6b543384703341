package hotpathreceiver

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/hotpath-metrics/hotpath/internal/instrument"
	"github.com/hotpath-metrics/hotpath/internal/quota"
	"github.com/hotpath-metrics/hotpath/internal/source/bpf"
	"github.com/hotpath-metrics/hotpath/internal/source/shm"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/mapping"
)

// load returns the config of a receiver in a file of testdata, or what is wrong with it.
func load(t *testing.T, file, id string) (*Config, error) {
	t.Helper()
	all, err := confmaptest.LoadConf(filepath.Join("testdata", file))
	require.NoError(t, err)
	require.True(t, all.IsSet(id), "no %s in %s", id, file)
	conf, err := all.Sub(id)
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	if err := conf.Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, confmap.Validate(cfg)
}

func TestConfig(t *testing.T) {
	defaults := func() *Config { return createDefaultConfig().(*Config) }
	byName := defaults()
	byName.Shm = configoptional.Some(shm.DefaultConfig())
	off := defaults()
	off.Shm = configoptional.None[shm.Config]()
	memfds := defaults()
	memfds.BPF = configoptional.Some(bpf.DefaultConfig())
	events := defaults()
	events.UserEvents = configoptional.Some(userevents.DefaultConfig())
	bytes := defaults()
	bytes.Limits.SegmentSize = 4096
	for id, want := range map[string]*Config{
		"hotpath": defaults(),
		"hotpath/all": {
			CollectionInterval: 5 * time.Second,
			Temporality:        TemporalityDelta,
			Resource:           ResourceConfig{Per: PerService},
			Limits: Limits{
				Limits:      quota.Limits{Segments: 1, SegmentsPerUID: 2, Series: 3, SeriesPerUID: 4, SeriesPerSegment: 5},
				SegmentSize: 1 << 20, PendingSize: 2 << 20,
			},
			Shm: configoptional.Some(shm.Config{Directory: "/dev/shm/elsewhere", Mode: "2770", Group: "metrics", Optional: true}),
			BPF: configoptional.Some(bpf.Config{Segments: true, Optional: true}),
			UserEvents: configoptional.Some(userevents.Config{
				Instance: "other", BufferSizeKB: 4096, OTLP: true, OTLPCumulative: true, Optional: true,
				Events: mapping.Events{{
					Event: "my_counter", Fields: "u32 id; u64 value",
					Metric: instrument.Config{Name: "my.counter", Type: "counter", Unit: "s", Description: "What is counted"},
					Value:  "value", Scale: new(1e-9), Attributes: map[string]string{"worker": "id"},
					Resource: map[string]string{"service.name": "shop"},
				}},
			}),
		},
		"hotpath/shm_by_name": byName,
		"hotpath/shm_off":     off,
		"hotpath/bpf":         memfds,
		"hotpath/user_events": events,
		"hotpath/bytes":       bytes,
	} {
		t.Run(id, func(t *testing.T) {
			got, err := load(t, "config.yaml", id)
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

func TestDefaults(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	require.Equal(t, 10*time.Second, cfg.CollectionInterval)
	require.Equal(t, TemporalityCumulative, cfg.Temporality)
	require.Equal(t, PerProcess, cfg.Resource.Per)
	require.Equal(t, Limits{
		Limits:      quota.Limits{Segments: 16384, SegmentsPerUID: 8192, Series: 1000000, SeriesPerUID: 500000, SeriesPerSegment: 20000},
		SegmentSize: 67108864, PendingSize: 67108864,
	}, cfg.Limits)
}

func TestInvalidConfigIsNamedByItsKey(t *testing.T) {
	for id, want := range map[string][]string{
		"hotpath/unknown_key":        {"invalid keys: interval"},
		"hotpath/unknown_key_of_shm": {"shm", "invalid keys: dir"},
		"hotpath/unknown_source":     {"invalid keys: prometheus"},
		"hotpath/temporality":        {"temporality", `must be cumulative or delta, is "both"`},
		"hotpath/empty_temporality":  {"temporality", `must be cumulative or delta, is ""`},
		"hotpath/per":                {"resource.per", `must be process or service, is "host"`},
		"hotpath/size":               {"limits.segment_size", `must be a number of bytes, or one with KiB, MiB or GiB, is "1 parsec"`},
		"hotpath/negative_size":      {"limits.segment_size", `is "-1MiB"`},
		"hotpath/huge_size":          {"limits.segment_size", `is "9999999999GiB"`},
		"hotpath/interval":           {"collection_interval: must be at least 10ms, is 0s"},
		"hotpath/limits": {
			"limits::segments: must be positive, is 0",
			"limits::segments_per_uid: must be positive, is -1",
			"limits::series: must be positive, is 0",
			"limits::series_per_uid: must be positive, is 0",
			"limits::series_per_segment: must be positive, is 0",
			"limits::segment_size: must be positive, is 0",
			"limits::pending_size: must be positive, is 0",
		},
		"hotpath/shm_directory":        {"shm: directory"},
		"hotpath/bpf_nothing":          {"bpf: segments"},
		"hotpath/user_events_instance": {"user_events: instance"},
		"hotpath/user_events_field":    {`user_events: events::0: value: no field "nothing", the fields are: u32 id`},
		"hotpath/user_events_type":     {"user_events: events::0::metric: type:"},
	} {
		t.Run(id, func(t *testing.T) {
			_, err := load(t, "invalid.yaml", id)
			for _, part := range want {
				require.ErrorContains(t, err, part)
			}
		})
	}
}

func TestAllThatIsWrongIsSaidAtOnce(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.CollectionInterval, cfg.Temporality, cfg.Resource.Per, cfg.Limits.Series = 0, "x", "y", 0
	for _, key := range []string{"collection_interval: ", "temporality: ", "resource::per: ", "limits::series: "} {
		require.ErrorContains(t, cfg.Validate(), key)
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "4096": 4096, "4096B": 4096, "64KiB": 64 << 10, "64MiB": 64 << 20, "2 GiB": 2 << 30,
	} {
		var s Size
		require.NoError(t, s.UnmarshalText([]byte(text)))
		require.Equal(t, want, s, text)
	}
	for _, text := range []string{"", "MiB", "1.5MiB", "64MB", "64 MiBB", "-1", "9223372036854775808", "8589934592GiB"} {
		var s Size
		require.Error(t, s.UnmarshalText([]byte(text)), text)
	}
}
