package mapping

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"

	"github.com/hotpath-metrics/hotpath/internal/instrument"
)

// load reads the list `events` as the Collector does.
func load(t testing.TB, yaml string) (Events, error) {
	t.Helper()
	retrieved, err := confmap.NewRetrievedFromYAML([]byte("events:\n" + yaml))
	require.NoError(t, err)
	conf, err := retrieved.AsConf()
	require.NoError(t, err)
	var cfg struct {
		Events Events `mapstructure:"events"`
	}
	if err := conf.Unmarshal(&cfg); err != nil {
		return nil, err
	}
	return cfg.Events, confmap.Validate(&cfg)
}

const contract = `
  - event: my_counter
    metric: {name: my.counter, type: counter, unit: "1"}
    value: value
    attributes: {worker: id}
`

func TestTheContractsExampleIsValid(t *testing.T) {
	events, err := load(t, contract)
	require.NoError(t, err)
	require.Equal(t, Events{{
		Event: "my_counter", Metric: instrument.Config{Name: "my.counter", Type: "counter", Unit: "1"}, Value: "value",
		Attributes: map[string]string{"worker": "id"},
	}}, events)
}

func TestEveryKeyMayBeGiven(t *testing.T) {
	events, err := load(t, `
  - event: requests
    name: Done
    fields: u8 eventheader_flags; u8 version; u16 id; u16 tag; u8 opcode; u8 level
    metric: {name: request.time, type: histogram, unit: s, description: Time to answer.}
    value: timing.ns
    scale: 1e-9
    attributes: {http.request.method: request.method}
    resource: {service.name: shop}
`)
	require.NoError(t, err)
	require.Equal(t, Events{{
		Event: "requests", Name: "Done",
		Fields: "u8 eventheader_flags; u8 version; u16 id; u16 tag; u8 opcode; u8 level",
		Metric: instrument.Config{Name: "request.time", Type: "histogram", Unit: "s", Description: "Time to answer."},
		Value:  "timing.ns", Scale: new(1e-9),
		Attributes: map[string]string{"http.request.method": "request.method"},
		Resource:   map[string]string{"service.name": "shop"},
	}}, events)
}

func TestWhatIsWrongIsNamedByItsKey(t *testing.T) {
	long := strings.Repeat("x", 1100)
	const metric = `metric: {name: n, type: counter}`
	for yaml, want := range map[string]string{
		`{` + metric + `}`:                                                        `events::0: event: "" must be the name`,
		`{event: "a b", ` + metric + `}`:                                          `events::0: event: "a b" must`,
		`{event: "user_events:e", ` + metric + `}`:                                `events::0: event: "user_events:e" must`,
		`{event: "e[", ` + metric + `}`:                                           `events::0: event: "e[" must`,
		`{event: e}`:                                                              `events::0::metric: name: ""`,
		`{event: e, metric: {name: 1n, type: gauge}}`:                             `events::0::metric: name: "1n"`,
		`{event: e, metric: {name: n}}`:                                           `type: "" must be counter, updowncounter, gauge or histogram`,
		`{event: e, metric: {name: n, type: sum}}`:                                `type: "sum" must be`,
		`{event: e, metric: {name: n, type: counter, unit: µs}}`:                  `unit: "µs"`,
		`{event: e, metric: {name: n, type: counter, description: ` + long + `}}`: `description: must have up to 1023 bytes`,
		`{event: e, metric: {name: n, type: gauge}}`:                              `events::0: value: a gauge needs`,
		`{event: e, metric: {name: n, type: histogram}}`:                          `events::0: value: a histogram needs`,
		`{event: e, scale: 0, ` + metric + `}`:                                    `events::0: scale: must be a finite number other than zero`,
		`{event: e, scale: -0.0, ` + metric + `}`:                                 `events::0: scale: must be a finite number other than zero`,
		`{event: e, scale: .nan, ` + metric + `}`:                                 `scale: must be a finite number other than zero, is `,
		`{event: e, scale: .inf, ` + metric + `}`:                                 `scale: must be a finite number other than zero, is `,
		`{event: e, scale: -1, ` + metric + `}`:                                   `scale: must be positive for a counter, is -1`,
		`{event: e, attributes: {"": f}, ` + metric + `}`:                         `attributes::: must be the key`,
		`{event: e, attributes: {k: ""}, ` + metric + `}`:                         `attributes::k: must be the key`,
		`{event: e, attributes: {otel.metric.overflow: f}, ` + metric + `}`:       `attributes::otel.metric.overflow: must be`,
		`{event: e, resource: {process.pid: "1"}, ` + metric + `}`:                `resource::process.pid: must be the key of an attribute other than process.pid`,
		`{event: e, resource: {k: ` + long + `}, ` + metric + `}`:                 `resource::k: must be`,
		`{event: "e*", fields: u32 n, ` + metric + `}`:                            `fields: can be given for a name without wildcards only`,
		`{event: e, fields: f32 n, ` + metric + `}`:                               `fields: field "f32 n"`,
		`{event: e, fields: "u32 ` + long + `", ` + metric + `}`:                  `fields: the kernel takes up to 511 bytes`,
		`{event: e, fields: u32 n, value: m, ` + metric + `}`:                     `events::0: value: no field "m", the fields are: u32 n`,
		`{event: e, fields: "char[8] s", value: s, ` + metric + `}`:               `value: no integer in "s", the fields are: char[8] s`,
		`{event: e, fields: "struct p f 8", attributes: {k: f}, ` + metric + `}`:  `attributes::k: neither integer nor text in "f"`,
		`{event: e, fields: u32 n, name: N, ` + metric + `}`:                      `name: is for EventHeader events, the fields are: u32 n`,
		`{event: e, ` + metric + `}
  - {event: f, metric: {name: n, type: updowncounter}}`: `events: 1::metric: "n" has another type, unit or kind of scale in 0`,
		`{event: e, ` + metric + `}
  - {event: f, scale: 0.5, ` + metric + `}`: `events: 1::metric: "n" has another`,
		`{event: e, fields: u32 n, ` + metric + `}
  - {event: e, fields: u64 n, ` + metric + `}`: `events: 1::fields: "e" is declared otherwise in 0`,
	} {
		t.Run(yaml, func(t *testing.T) {
			_, err := load(t, "  - "+yaml)
			assert.ErrorContains(t, err, want)
		})
	}
}

func TestEntriesOfOneMetricMayDifferInScaleWhileBothAreWholeOrNot(t *testing.T) {
	_, err := load(t, `
  - {event: opened, metric: {name: open, type: updowncounter}}
  - {event: closed, metric: {name: open, type: updowncounter}, scale: -1}
  - {event: ms, metric: {name: time, type: counter, unit: s}, value: n, scale: 1e-3}
  - {event: us, metric: {name: time, type: counter, unit: s}, value: n, scale: 1e-6}
  - {event: a, metric: {name: level, type: gauge}, value: n, scale: 0.1}
  - {event: b, metric: {name: level, type: gauge}, value: n}
`)
	require.NoError(t, err)
}

func TestDeclarationsAreAsTheKernelWantsThem(t *testing.T) {
	events, err := load(t, `
  - {event: a, fields: "u32 worker;u64 n", value: n, metric: {name: n, type: counter}}
  - {event: a, fields: "u32 worker; u64 n;", metric: {name: m, type: counter}}
  - {event: b, metric: {name: o, type: counter}}
  - {event: c, fields: "char[16] s; struct point at 8; __rel_loc char[] t", metric: {name: p, type: counter}}
`)
	require.NoError(t, err)
	require.Equal(t, []string{"a u32 worker; u64 n", "c char[16] s; struct point at 8; __rel_loc char[] t"}, events.Declarations())
}
