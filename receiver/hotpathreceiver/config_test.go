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
	"github.com/hotpath-metrics/hotpath/internal/source/bpf/probe"
	"github.com/hotpath-metrics/hotpath/internal/source/shm"
	"github.com/hotpath-metrics/hotpath/internal/source/uring"
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
	probesOnly := defaults()
	probesOnly.BPF = configoptional.Some(bpf.Config{Probes: probe.Configs{{
		Metric: instrument.Config{Name: "app.calls", Type: "counter"}, Uprobe: &probe.Uprobe{Binary: "app", Symbol: "do_work"},
		Mode: "aggregate", MaxSeries: 10_000,
	}}})
	rings := defaults()
	rings.IOUring = configoptional.Some(uring.DefaultConfig())
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
				SegmentSize: 1 << 20, PendingSize: 2 << 20, SeriesIdleTime: 90 * time.Second,
			},
			Shm: configoptional.Some(shm.Config{Directory: "/dev/shm/elsewhere", Mode: "2770", Group: "metrics", Optional: true}),
			BPF: configoptional.Some(bpf.Config{Segments: true, Optional: true, Probes: everyKeyOfProbes}),
			IOUring: configoptional.Some(uring.Config{
				Socket: "/run/elsewhere.sock", Mode: "0660", CQEntries: 1024, OverflowBudget: 2 << 20, Latency: 50 * time.Millisecond, Optional: true,
			}),
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
		"hotpath/probes_only": probesOnly,
		"hotpath/user_events": events,
		"hotpath/io_uring":    rings,
		"hotpath/bytes":       bytes,
	} {
		t.Run(id, func(t *testing.T) {
			got, err := load(t, "config.yaml", id)
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

var everyKeyOfProbes = probe.Configs{
	{
		Metric: instrument.Config{Name: "app.work.duration", Type: "histogram", Unit: "ms", Description: "How long work takes"},
		Uprobe: &probe.Uprobe{Binary: "/opt/app-*/bin/app", Symbol: "do_work", ABI: "c"},
		Value:  &probe.Operand{Duration: true, Length: 32},
		Scale:  new(1e-6),
		Attributes: map[string]probe.Operand{
			"result": {Return: true, Type: "s32", Length: 32},
			"size":   {Arg: new(0), Length: 32},
			"what":   {Arg: new(1), Type: "string", Length: 16},
		},
		Filter: probe.Filter{Executable: new("app"), UID: new(uint32(33)), Cgroup: new("/system.slice")},
		Mode:   "events", MaxSeries: 500, SingleStep: true,
	},
	{
		Metric: instrument.Config{Name: "app.level", Type: "gauge"},
		Uprobe: &probe.Uprobe{Binary: "libapp.so", Symbol: "do_work", Offset: 16},
		Value:  &probe.Operand{Arg: new(2), Type: "u8", Length: 32},
		Mode:   "aggregate", MaxSeries: 10_000,
	},
	{
		Metric: instrument.Config{Name: "app.requests", Type: "counter"},
		USDT:   &probe.USDT{Binary: "/opt/app/bin/app", Provider: "app", Name: "request"},
		Mode:   "aggregate", MaxSeries: 10_000,
	},
}

func TestDefaults(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	require.Equal(t, 10*time.Second, cfg.CollectionInterval)
	require.Equal(t, TemporalityCumulative, cfg.Temporality)
	require.Equal(t, PerProcess, cfg.Resource.Per)
	require.Equal(t, Limits{
		Limits:      quota.Limits{Segments: 16384, SegmentsPerUID: 8192, Series: 1000000, SeriesPerUID: 500000, SeriesPerSegment: 20000},
		SegmentSize: 67108864, PendingSize: 67108864, SeriesIdleTime: time.Hour,
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
			"limits::series_idle_time: must be 0s, for never, or more, is -1s",
		},
		"hotpath/shm_directory":        {"shm: directory"},
		"hotpath/bpf_nothing":          {"bpf: segments"},
		"hotpath/user_events_instance": {"user_events: instance"},
		"hotpath/user_events_field":    {`user_events: events::0: value: no field "nothing", the fields are: u32 id`},
		"hotpath/user_events_type":     {"user_events: events::0::metric: type:"},
		"hotpath/probe_without_place":  {"bpf: probes::0: uprobe: exactly one of uprobe and usdt must be given"},
		"hotpath/probe_in_two_places":  {"bpf: probes::0: uprobe: exactly one of uprobe and usdt must be given"},
		"hotpath/probe_key":            {"'bpf'", "'probes[0]'", "'uprobe' has invalid keys: provider"},
		"hotpath/probe_operand":        {"'probes[0]'", `'value' must be arg0 to arg11, return, duration, or a map, is "arg"`},
		"hotpath/probe_uprobe": {
			`bpf: probes::0::uprobe: binary: "here/x" must be an absolute path, or a name without a folder`,
			"symbol: must be given, or an offset",
			`abi: "rust" must be c or go`,
		},
		"hotpath/probe_usdt": {
			`bpf: probes::0::usdt: binary: "[" must be the path or name of a file`,
			"provider: must be given",
			"name: must be given",
		},
		"hotpath/probe_metric": {`bpf: probes::0::metric: name: "" must have`, `type: "meter" must be counter, updowncounter, gauge or histogram`},
		"hotpath/probe_keys": {
			"bpf: probes::1: value::arg: must be from 0 to 11, is 12",
			`value::type: "u128" must be one of bool, s16`,
			"scale: must be positive for a histogram, is -1",
			"attributes: are 5, may be 4",
			"attributes::a: duration can only be a value",
			"attributes::b: return and duration are for functions as a whole",
			"attributes::c::length: must be from 1 to 128, is 129",
			"attributes::d: must be one of arg, return and duration",
			"attributes::otel.metric.overflow: must be the key of an attribute",
			`filter::executable: "/bin/x" must be a program's file name`,
			`mode: "sampled" must be aggregate or events`,
			"max_series: must be from 1 to 1000000, is 0",
		},
		"hotpath/probe_value":        {"bpf: probes::0: value: a gauge needs one: arg0 to arg11, return or duration"},
		"hotpath/probe_text_value":   {"bpf: probes::0: value::type: string is for attributes"},
		"hotpath/probes_of_one_name": {`bpf: probes: 1::metric: "m" has another type, unit or kind of scale in 0`},
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
