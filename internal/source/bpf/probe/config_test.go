package probe

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

func TestTheDocumentedConfiguration(t *testing.T) {
	all, err := read(t, `
- metric: {name: app.work.calls, type: counter}
  uprobe: {binary: /usr/local/bin/app, symbol: do_work}
- metric: {name: app.work.duration, type: histogram, unit: s}
  uprobe: {binary: /usr/local/bin/app, symbol: do_work}
  value: duration
  attributes: {result: {return: true, type: s32}}
- metric: {name: app.requests, type: counter}
  usdt: {binary: /usr/local/bin/app, provider: app, name: request}
  value: arg1
  attributes: {route: {arg: 0, type: string}}
`)
	require.NoError(t, err)
	require.Len(t, all, 3)
	zero, one := 0, 1
	assert.Equal(t, &Uprobe{Binary: "/usr/local/bin/app", Symbol: "do_work"}, all[0].Uprobe)
	assert.Nil(t, all[0].Value)
	assert.Equal(t, &Operand{Duration: true, Length: defaultLength}, all[1].Value)
	assert.Equal(t, map[string]Operand{"result": {Return: true, Type: "s32", Length: defaultLength}}, all[1].Attributes)
	assert.Equal(t, "s", all[1].Metric.Unit)
	assert.Equal(t, &USDT{Binary: "/usr/local/bin/app", Provider: "app", Name: "request"}, all[2].USDT)
	assert.Equal(t, &Operand{Arg: &one, Length: defaultLength}, all[2].Value)
	assert.Equal(t, map[string]Operand{"route": {Arg: &zero, Type: typeString, Length: defaultLength}}, all[2].Attributes)
}

func TestDefaults(t *testing.T) {
	c := config(t, "uprobe: {binary: /a, symbol: f}, metric: {name: n, type: counter}")
	assert.Equal(t, modeAggregate, c.Mode)
	assert.Equal(t, defaultMaxSeries, c.MaxSeries)
	assert.False(t, c.SingleStep)
	assert.Equal(t, 1.0, c.scale().Double(1))
	assert.Equal(t, emit.KindCounter, c.Metric.Kind())
	assert.Equal(t, 1e-9, config(t, "uprobe: {binary: /a, symbol: f}, metric: {name: n, type: histogram}, value: duration").scaled(1))
	assert.Equal(t, 1.0, config(t, "uprobe: {binary: /a, symbol: f}, metric: {name: n, type: histogram}, value: duration, scale: 1").scaled(1))
}

func (c *Config) scaled(v float64) float64 { return c.scale().Double(v) }

func config(t *testing.T, inner string) *Config {
	t.Helper()
	all, err := read(t, "- {"+inner+"}")
	require.NoError(t, err)
	return &all[0]
}

func TestEveryKey(t *testing.T) {
	c := config(t, `uprobe: {binary: '*.so', symbol: f, offset: 0x10, abi: go}, metric: {name: n, type: gauge, unit: By, description: what},
		value: {arg: 11, type: u32}, scale: -0.5, attributes: {a: {arg: 1, type: string, length: 128}, b: {arg: 2, type: bool}},
		filter: {executable: app, uid: 0, cgroup: /a/b}, mode: events, max_series: 1000000, single_step: true, fetch: true`)
	eleven, root := 11, uint32(0)
	assert.Equal(t, &Uprobe{Binary: "*.so", Symbol: "f", Offset: 16, ABI: abiGo}, c.Uprobe)
	assert.Equal(t, &Operand{Arg: &eleven, Type: "u32", Length: defaultLength}, c.Value)
	assert.Equal(t, Filter{Executable: new("app"), UID: &root, Cgroup: new("/a/b")}, c.Filter)
	assert.Equal(t, -0.5, *c.Scale)
	assert.Equal(t, 128, c.Attributes["a"].Length)
	assert.Equal(t, modeEvents, c.Mode)
	assert.Equal(t, 1_000_000, c.MaxSeries)
	assert.True(t, c.SingleStep)
}

func TestValuesAsTextAndAsMap(t *testing.T) {
	for text, same := range map[string]string{"arg0": "{arg: 0}", "arg11": "{arg: 11}", "return": "{return: true}", "duration": "{duration: true}"} {
		assert.Equal(t, config(t, function+", "+gauge+", value: "+same).Value, config(t, function+", "+gauge+", value: "+text).Value, text)
	}
}

const (
	function = "uprobe: {binary: /a, symbol: f}"
	point    = "usdt: {binary: /a, provider: p, name: n}"
	counter  = "metric: {name: n, type: counter}"
	gauge    = "metric: {name: n, type: gauge}"
)

func TestWrongKeysAreNamed(t *testing.T) {
	for inner, says := range map[string]string{
		counter:                                  "probes::0: uprobe: exactly one",
		counter + ", " + function + ", " + point: "probes::0: uprobe: exactly one",
		function:                                 "probes::0::metric: name:",
		function + ", metric: {name: n}":         "probes::0::metric: type:",
		function + ", metric: {name: 1n, type: sum}":             "probes::0::metric: name:",
		function + ", metric: {name: n, type: sum}":              "probes::0::metric: type:",
		function + ", metric: {name: n, type: counter, unit: ü}": "probes::0::metric: unit:",
		counter + ", uprobe: {symbol: f}":                        "probes::0::uprobe: binary:",
		counter + ", uprobe: {binary: '[', symbol: f}":           "probes::0::uprobe: binary:",
		counter + ", uprobe: {binary: a/b, symbol: f}":           "probes::0::uprobe: binary:",
		counter + ", uprobe: {binary: /a}":                       "probes::0::uprobe: symbol:",
		counter + ", uprobe: {binary: /a, offset: 0}":            "probes::0::uprobe: symbol:",
		counter + ", uprobe: {binary: /a, symbol: f, abi: c++}":  "probes::0::uprobe: abi:",
		counter + ", usdt: {provider: p, name: n}":               "probes::0::usdt: binary:",
		counter + ", usdt: {binary: /a, name: n}":                "probes::0::usdt: provider:",
		counter + ", usdt: {binary: /a, provider: p}":            "probes::0::usdt: name:",
		function + ", " + gauge:                                  "probes::0: value: a gauge needs one",
		function + ", metric: {name: n, type: histogram}":        "probes::0: value: a histogram needs one",

		function + ", " + counter + ", value: {}":                               "probes::0: value: must be one of",
		function + ", " + counter + ", value: {arg: 0, return: true}":           "probes::0: value: must be one of",
		function + ", " + counter + ", value: {return: false}":                  "probes::0: value: must be one of",
		function + ", " + counter + ", value: arg12":                            "probes::0: value::arg: must be from 0 to 11",
		function + ", " + counter + ", value: {arg: -1}":                        "probes::0: value::arg:",
		function + ", " + counter + ", value: {arg: 0, type: f64}":              "probes::0: value::type: \"f64\"",
		function + ", " + counter + ", value: {arg: 0, type: string}":           "probes::0: value::type: string",
		function + ", " + counter + ", value: {arg: 0, type: bool}":             "probes::0: value::type: bool",
		function + ", " + counter + ", value: {duration: true, type: u8}":       "probes::0: value::type: duration",
		point + ", " + counter + ", value: duration":                            "probes::0: value: return and duration",
		point + ", " + counter + ", attributes: {a: {return: true}}":            "probes::0: attributes::a: return and duration",
		counter + ", uprobe: {binary: /a, symbol: f, offset: 1}, value: return": "probes::0: value: return and duration",

		function + ", " + counter + ", scale: 0":                                              "probes::0: scale:",
		function + ", " + counter + ", scale: .nan":                                           "probes::0: scale:",
		function + ", " + counter + ", scale: .inf":                                           "probes::0: scale:",
		function + ", " + counter + ", scale: -1":                                             "probes::0: scale: must be positive",
		function + ", " + counter + ", mode: ''":                                              "probes::0: mode:",
		function + ", " + counter + ", mode: sum":                                             "probes::0: mode:",
		function + ", " + counter + ", filter: {executable: ''}":                              "probes::0: filter::executable:",
		function + ", " + counter + ", filter: {cgroup: ''}":                                  "probes::0: filter::cgroup:",
		function + ", " + counter + ", attributes: {a: {arg: 0, length: 5}}":                  "probes::0: attributes::a::length:",
		function + ", " + counter + ", max_series: 0":                                         "probes::0: max_series:",
		function + ", " + counter + ", max_series: -1":                                        "probes::0: max_series:",
		function + ", " + counter + ", max_series: 1000001":                                   "probes::0: max_series:",
		function + ", " + counter + ", filter: {executable: /bin/sh}":                         "probes::0: filter::executable:",
		function + ", " + counter + ", filter: {executable: " + strings.Repeat("x", 64) + "}": "probes::0: filter::executable:",
		function + ", " + counter + ", filter: {cgroup: ../a}":                                "probes::0: filter::cgroup:",
		function + ", " + counter + ", filter: {cgroup: a//b}":                                "probes::0: filter::cgroup:",

		function + ", " + counter + ", attributes: {a: {duration: true}}":                                                            "probes::0: attributes::a: duration",
		function + ", " + counter + ", attributes: {a: {}}":                                                                          "probes::0: attributes::a: must be one of",
		function + ", " + counter + ", attributes: {a: {arg: 0, type: string, length: 0}}":                                           "probes::0: attributes::a::length:",
		function + ", " + counter + ", attributes: {a: {arg: 0, type: string, length: 129}}":                                         "probes::0: attributes::a::length:",
		function + ", " + counter + ", attributes: {otel.metric.overflow: {arg: 0}}":                                                 "probes::0: attributes::otel.metric.overflow:",
		function + ", " + counter + ", attributes: {'': {arg: 0}}":                                                                   "probes::0: attributes::",
		function + ", " + counter + ", attributes: {a: arg0, b: arg0, c: arg0, d: arg0, e: arg0}":                                    "probes::0: attributes: are 5",
		function + ", " + counter + ", attributes: {a: {arg: 0, type: string, length: 128}, b: {arg: 1, type: string, length: 128}}": "probes::0: attributes: take 272 bytes",

		// What cannot be read at all is named by the decoder.
		function + ", " + counter + ", value: arg":           "value",
		function + ", " + counter + ", value: arg01":         "must be arg0 to arg11",
		function + ", " + counter + ", value: arg-1":         "value::arg: must be from 0",
		function + ", " + counter + ", value: {argument: 0}": "argument",
		function + ", " + counter + ", values: arg0":         "values",
		function + ", " + counter + ", filter: {user: 0}":    "user",
		function + ", " + counter + ", filter: {uid: -1}":    "uid",
		counter + ", uprobe: {binary: /a, function: f}":      "function",
		counter + ", usdt: {binary: /a, probe: f}":           "probe",
		function + ", metric: {name: n, kind: counter}":      "kind",
	} {
		_, err := read(t, "- {"+inner+"}")
		if assert.Error(t, err, inner) {
			assert.Contains(t, err.Error(), says, inner)
		}
	}
}

func TestProbesOfOneMetricHaveToAgree(t *testing.T) {
	for second, says := range map[string]string{
		"metric: {name: n, type: updowncounter}":              "probes: 1::metric: \"n\" has another",
		"metric: {name: n, type: counter, unit: s}":           "probes: 1::metric: \"n\" has another",
		"metric: {name: n, type: counter}, scale: 0.5":        "probes: 1::metric: \"n\" has another",
		"metric: {name: n, type: counter}, scale: 2":          "",
		"metric: {name: n, type: counter, description: more}": "",
		"metric: {name: m, type: gauge}, value: arg0":         "",
	} {
		_, err := read(t, "- {"+function+", "+counter+"}\n- {"+point+", "+second+"}")
		if says == "" {
			assert.NoError(t, err, second)
		} else {
			assert.ErrorContains(t, err, says, second)
		}
	}
}
