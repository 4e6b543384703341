package doctor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestConfigurationIsReadAsTheCollectorReadsIt(t *testing.T) {
	needRoot(t)
	p := newPlaces(t)
	t.Setenv("TEST_DOCTOR_DIR", p.shm)
	p.write(t, `receivers:
  otlp: {protocols: {grpc: {}}}
  hotpath:
    collection_interval: 5s
    shm: {directory: "${env:TEST_DOCTOR_DIR}"}
  hotpath/plain:
  hotpath/second:
    shm: {directory: "${TEST_DOCTOR_DIR}2", mode: 1777}
    io_uring: {socket: "@hotpath-doctor-test"}
exporters: {debug: {}}
service:
  pipelines:
    metrics: {receivers: [otlp, hotpath, hotpath/second], exporters: [debug]}
`)
	o := doctor(t, nil, "--json", "--dir", p.shm, "--config", p.config)
	require.Zero(t, o.status, o.err)
	keys := map[string]bool{}
	for _, a := range o.Config {
		keys[a.Key] = a.Unused
		assert.True(t, a.Available, "%s: %s", a.Key, a.Reason)
	}
	assert.Equal(t, map[string]bool{
		"receivers::hotpath::shm": false, "receivers::hotpath/plain::shm": true,
		"receivers::hotpath/second::shm": false, "receivers::hotpath/second::io_uring": false,
	}, keys)
	assert.Contains(t, o.Config[0].Reason, p.shm, "as the environment says")
}

func TestWhatIsAskedForAndCannotWorkIsNamed(t *testing.T) {
	needRoot(t)
	for name, c := range map[string]struct {
		receivers string
		service   string
		status    int
		key, says string
	}{
		"required": {"hotpath/a: {shm: {directory: /proc/no/where}}", "", notAsAsked, "receivers::hotpath/a::shm", "make it by hand"},
		"optional": {"hotpath/a: {shm: {directory: /proc/no/where, optional: true}}", "", 0, "receivers::hotpath/a::shm", "make it by hand"},
		"in no pipeline": {
			"hotpath/a: {shm: {directory: /proc/no/where}}", "service: {pipelines: {metrics: {receivers: [hotpath]}}}", 0,
			"receivers::hotpath/a::shm", "make it by hand",
		},
		"two in one directory": {"hotpath/a: {}\n  hotpath/b: {}", "", notAsAsked, "receivers::hotpath/b::shm", "receivers::hotpath/a::shm has /dev/shm/hotpath already"},
		"group":                {"hotpath/a: {shm: {group: no-such-group}}", "", notAsAsked, "receivers::hotpath/a::shm", "groupadd no-such-group"},
		"socket":               {"hotpath/a: {io_uring: {socket: /dev/null}}", "", notAsAsked, "receivers::hotpath/a::io_uring", "no socket: remove it"},
		"probe of a function that is not there": {
			"hotpath/a: {bpf: {segments: false, probes: [{uprobe: {binary: /proc/self/exe, symbol: no_such_function}, metric: {name: a, type: counter}}]}}", "",
			notAsAsked, "receivers::hotpath/a::bpf", "probes::0",
		},
		"probe of a function that is there": {
			"hotpath/a: {bpf: {probes: [{uprobe: {binary: libc.so.6, symbol: getppid}, single_step: true, metric: {name: a, type: counter}}]}}", "",
			0, "receivers::hotpath/a::bpf", "the kernel takes the programs of all probes",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlaces(t)
			p.write(t, "receivers:\n  "+c.receivers+"\n"+c.service+"\n")
			o := doctor(t, nil, "--json", "--config", p.config)
			assert.Equal(t, c.status, o.status, o.out)
			found := false
			for _, a := range o.Config {
				if a.Key == c.key {
					found = true
					assert.Contains(t, a.Reason+a.Fix, c.says)
					assert.Equal(t, name == "probe of a function that is there", a.Available)
				}
			}
			assert.True(t, found, o.out)
		})
	}
}

func TestConfigurationThatCannotBeReadIsAnErrorOfUsage(t *testing.T) {
	p := newPlaces(t)
	for yaml, says := range map[string]string{
		"receivers: {otlp: {}}":                            "the configuration has no receiver hotpath",
		"exporters: {debug: {}}":                           "the configuration has no receiver hotpath",
		"receivers: {hotpath: {shm: {directry: /x}}}":      "directry",
		"receivers: {hotpath/b: {shm: {directory: x}}}":    "receivers::hotpath/b",
		"receivers: {hotpath: {collection_interval: 1ns}}": "collection_interval: must be at least",
		"receivers: {hotpath: {shm: {enabled: false}}}":    "no source",
		"receivers: [": "read configuration",
		"receivers: {hotpath: {shm: {directory: ${file:/no}}}}":  "read configuration",
		"receivers: {hotpath: {shm: {directory: ${env:NONE!}}}}": "read configuration",
	} {
		p.write(t, yaml)
		o := doctor(t, nil, "--json", "--config", p.config)
		assert.Equal(t, 64, o.status, yaml)
		assert.Contains(t, o.err, says, yaml)
		assert.Empty(t, o.out, yaml)
	}
	o := doctor(t, nil, "--json", "--config", "/no/such/file.yaml")
	assert.Equal(t, 64, o.status)
	assert.Contains(t, o.err, "/no/such/file.yaml")
}
