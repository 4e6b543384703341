package bench

import (
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// mechanism is a way for counts to leave a process, or a counter that is measured beside.
type mechanism struct {
	name, title string
	subject     string // what workers do
	transport   string // of hotpath's client
	series      string // kind of series whose memory is looked at, "" for none
	clients     []string
	collector   string // kind, "" for none
	dropped     string // metric of the receiver's that counts what the kernel had no room for

	baseline   bool
	state      bool   // values are read where they are: their number does not depend on updates
	needs      needs  // of the one who runs the Collector
	kernel     string // Linux
	code, yaml string // snippets
}

// needs are what it takes beside the kernel, the least first.
type needs int

const (
	needsNothing needs = iota
	needsGroup
	needsSameUser
	needsCapabilities
)

var needsText = map[needs]string{
	needsNothing:      "needs no privileges",
	needsGroup:        "needs the right to write to tracefs, and root for the Collector",
	needsSameUser:     "needs a Collector that is root or the same user",
	needsCapabilities: "needs CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE for the Collector",
}

const (
	inC  = "c"
	inGo = "go"

	receiverKind = "receiver"
)

var bothClients = []string{inC, inGo}

// probeName is the row that counts calls of a function that knows nothing of it.
const probeName = "bpf_probe"

// mechanisms are the rows, in their order. The system call that writes nothing anywhere is the yardstick of emulated machines.
var mechanisms = []mechanism{
	{
		name: "shm", title: "shm", subject: "counter_add", transport: "shm", series: hotpathSeries, clients: bothClients, collector: receiverKind,
		state: true, needs: needsNothing, kernel: "any", code: "counter", yaml: "shm.yaml",
	},
	{
		name: "bpf", title: "bpf segment", subject: "counter_add", transport: "bpf", series: hotpathSeries, clients: bothClients, collector: receiverKind,
		state: true, needs: needsCapabilities, kernel: "5.12, BTF", code: "counter", yaml: "bpf.yaml",
	},
	{
		name: probeName, title: "bpf probe", subject: "probed", transport: "off", clients: bothClients, collector: receiverKind,
		state: true, needs: needsCapabilities, kernel: "5.12, BTF", yaml: "probe.yaml",
	},
	{
		name: "user_events", title: "user_events", subject: "counter_add", transport: "user_events", series: hotpathSeries, clients: bothClients, collector: receiverKind,
		dropped: "receiver_hotpath_events_dropped", needs: needsGroup, kernel: "6.4, config", code: "counter", yaml: "user_events.yaml",
	},
	{
		name: "io_uring", title: "io_uring", subject: "counter_add", transport: "io_uring", series: hotpathSeries, clients: bothClients, collector: receiverKind,
		dropped: "receiver_hotpath_events_dropped", needs: needsSameUser, kernel: "5.19", code: "counter", yaml: "io_uring.yaml",
	},
	{name: "bare_add", title: "add, own memory", subject: "bare_add", transport: "off", clients: bothClients, baseline: true},
	{name: "lock_add", title: "add, atomic", subject: "lock_add", transport: "off", clients: bothClients, baseline: true},
	{name: "getppid", title: "getppid", subject: "getppid", transport: "off", clients: bothClients, baseline: true},
	{name: yardstick, title: "writev /dev/null", subject: yardstick, transport: "off", clients: bothClients, baseline: true},
	{
		name: "client_golang", title: "client_golang", subject: "prom_inc", transport: "off", series: clientGolangSeries, clients: []string{inGo}, baseline: true,
		kernel: "any", code: "client_golang", yaml: "client_golang.yaml",
	},
	{
		name: "opentelemetry", title: "OpenTelemetry Go", subject: "otel_add", transport: "off", series: openTelemetry, clients: []string{inGo}, baseline: true,
		kernel: "any", code: "opentelemetry", yaml: "opentelemetry.yaml",
	},
	{
		name: "statsd_udp", title: "statsd UDP", subject: "statsd_udp", transport: "off", clients: bothClients, collector: statsdKind, baseline: true,
		kernel: "any", code: "statsd", yaml: "statsd.yaml",
	},
	{
		name: "statsd_unix", title: "statsd UNIX", subject: "statsd_unix", transport: "off", clients: bothClients, collector: statsdKind, baseline: true,
		kernel: "any", code: "statsd", yaml: "statsd_unix.yaml",
	},
}

const yardstick = "write_nowhere"

// place is where a run keeps what it makes.
type place struct {
	dir     string // on tmpfs
	program string // this one
	symbols bool   // of this program are in its file: probes find functions by them
	worker  string // the C worker, "" where there is no compiler
	id      string // tells this run's names from those of others
}

func (p *place) segments(m *mechanism) string { return filepath.Join(p.dir, m.name) }

func (p *place) socket(m *mechanism) string { return "hotpath-bench-" + p.id + "-" + m.name }

// environment of workers.
func (p *place) environment(m *mechanism) []string {
	return []string{
		"OTEL_SERVICE_NAME=hotpath-bench", "OTEL_RESOURCE_ATTRIBUTES=", "HOTPATH_TRANSPORT=" + m.transport,
		"HOTPATH_DIR=" + p.segments(m), "HOTPATH_SOCKET=@" + p.socket(m), unixVariable + "=" + p.socket(m),
	}
}

// seriesName is what a client's counter is called. No other run's is, wherever it comes from.
func (p *place) seriesName(m *mechanism, client string) string {
	if m.name == probeName {
		return fmt.Sprintf("bench%s.%s.%s", p.id, m.name, client)
	}
	return fmt.Sprintf("bench%s.%s.%s.adds", p.id, m.name, client)
}

// settings of the receiver.
func (p *place) settings(m *mechanism, interval time.Duration) map[string]any {
	source := map[string]any{}
	block := m.name
	switch m.name {
	case "shm":
		source["directory"] = p.segments(m)
	case "user_events":
		source["instance"], source["otlp"] = p.socket(m), false
	case "io_uring":
		source["socket"] = "@" + p.socket(m)
	case probeName:
		block = "bpf"
		source["segments"], source["probes"] = false, p.probes(m)
	}
	return map[string]any{"collection_interval": interval.String(), block: source}
}

func (p *place) probes(m *mechanism) []any {
	metric := func(client string) map[string]any {
		return map[string]any{"name": p.seriesName(m, client), "type": "counter"}
	}
	var probes []any
	if p.symbols {
		probes = append(probes, map[string]any{"metric": metric(inGo), "uprobe": map[string]any{"binary": p.program, "symbol": probedSymbol}})
	}
	if p.worker != "" {
		probes = append(probes, map[string]any{
			"metric": metric(inC), "usdt": map[string]any{"binary": p.worker, "provider": "hotpath_bench", "name": "hit"},
		})
	}
	return probes
}

// probedSymbol is the function in assembly.
const probedSymbol = "github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/bench.probed.abi0"

// newPlace makes the directory of a run.
func newPlace(id string) (*place, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	symbols, err := hasSymbols(program)
	if err != nil {
		return nil, err
	}
	where := "/dev/shm"
	if info, err := os.Stat(where); err != nil || !info.IsDir() {
		where = "" // segments may be anywhere; this is noted where a figure depends on it
	}
	dir, err := os.MkdirTemp(where, "hotpath-bench-")
	if err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	return &place{dir: dir, program: program, symbols: symbols, id: id}, nil
}

func hasSymbols(program string) (bool, error) {
	file, err := elf.Open(program)
	if err != nil {
		return false, fmt.Errorf("open this program: %w", err)
	}
	return file.Section(".symtab") != nil, file.Close()
}
