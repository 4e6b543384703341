package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/hotpath-metrics/hotpath/internal/kerneltest"
)

// throughUserEvents is the transport of clients.
var throughUserEvents = []string{"HOTPATH_TRANSPORT=user_events"}

// listening is the block `hotpath` for user_events, with further keys of that.
func listening(interval string, more ...string) string {
	return fmt.Sprintf("{collection_interval: %s, user_events: {%s}}", interval, strings.Join(append([]string{"instance: hotpath-e2e"}, more...), ", "))
}

func TestUserEventsValuesCanBeReadBackFromVictoriaMetrics(t *testing.T) {
	kerneltest.Need(t)
	v := startVictoria(t)
	collector := startCollector(t, settings{receiver: listening("500ms"), endpoint: v.url + "/opentelemetry/v1/metrics"}.yaml())
	checkValues(t, v, map[string]*client{
		"values": startThrough(t, throughUserEvents, cProgram(t, "values")),
		"app":    startThrough(t, throughUserEvents, goApp().use(t), "values"),
	})
	collector.terminate()
	if _, err := os.Stat("/sys/kernel/tracing/instances/hotpath-e2e"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the trace instance is still there: %v", err)
	}
	status, err := os.ReadFile("/sys/kernel/tracing/user_events_status")
	if err != nil || bytes.Contains(status, []byte("Used by")) {
		t.Errorf("events are still enabled: %v\n%s", err, status)
	}
}

// Whatever a killed Collector missed, one update of a series tells.
func TestUserEventsAreExactAfterTheCollectorWasKilled(t *testing.T) {
	kerneltest.Need(t)
	b := startBackend(t, eachSeventh)
	yaml := settings{receiver: listening("200ms"), endpoint: b.endpoint()}.yaml()
	clients := []*client{
		startThrough(t, throughUserEvents, cProgram(t, "commands")),
		startThrough(t, throughUserEvents, goApp().use(t), "commands"),
	}
	step := func(c *client, n int) {
		c.do("add", 10)
		c.do("open", -2)
		c.do("set", float64(n)+0.5)
		c.do("record", float64(n%40))
	}
	n := 0
	for range 3 {
		n++
		for _, c := range clients {
			step(c, n) // nobody listens
		}
		collector := startCollector(t, yaml)
		for range 20 {
			n++
			for _, c := range clients {
				step(c, n)
			}
		}
		for _, c := range clients {
			checkCommands(b, c, n)
		}
		for range 20 {
			n++
			for _, c := range clients {
				step(c, n)
			}
		}
		collector.kill()
	}
	collector := startCollector(t, yaml)
	n++
	for _, c := range clients {
		step(c, n)
		checkCommands(b, c, n)
		c.kill()
		eventually(t, 20*time.Second, "end of the series", func() bool { return len(b.points(endOf(c))) > 0 })
	}
	collector.terminate()
	starts := map[who]uint64{}
	for _, p := range b.points(func(p *point) bool { return p.name == "job.done" && !p.noValue }) {
		if start, known := starts[p.who]; known && start != uint64(p.start) {
			t.Errorf("%v started at %d, and at %d", p.who, start, p.start)
		}
		starts[p.who] = uint64(p.start)
	}
}

// checkCommands waits for the totals of a client after n steps.
func checkCommands(b *backend, c *client, n int) {
	b.t.Helper()
	for name, holds := range map[string]func(point) bool{
		"job.done":  counted(10 * int64(n)),
		"job.open":  counted(-2 * int64(n)),
		"job.level": func(p point) bool { return p.double == float64(n)+0.5 },
		"job.size": func(p point) bool {
			var sum, zero int
			for i := 1; i <= n; i++ {
				sum += i % 40
				if i%40 == 0 {
					zero++
				}
			}
			return p.kind == pmetric.MetricTypeExponentialHistogram &&
				p.histogram.count == uint64(n) && p.histogram.zero == uint64(zero) && p.histogram.sum == float64(sum)
		},
	} {
		b.await(20*time.Second, name+" of "+filepath.Base(c.cmd.Path), both(from(c.pid()), named(name)), holds)
	}
}

// The programs in examples/user-events, with the Collector's configuration beside them.
func TestUserEventsExamplesWork(t *testing.T) {
	kerneltest.Need(t)
	folder, err := filepath.Abs(filepath.Join(root, "examples", "user-events"))
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile(filepath.Join(folder, "collector.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	b := startBackend(t, nil)
	exporter := fmt.Sprintf("otlp_http: {metrics_endpoint: %s, compression: none}", b.endpoint())
	yaml := strings.NewReplacer("  debug:\n    verbosity: detailed\n", "  "+exporter+"\n", "exporters: [debug]", "exporters: [otlp_http]").Replace(string(example))
	if !strings.Contains(yaml, exporter) {
		t.Fatalf("the example has another exporter now:\n%s", example)
	}
	startCollector(t, yaml)
	c := command(filepath.Join(programs, "write"), ".", nil, "gcc", "-O2", filepath.Join(folder, "write.c"), "-o", filepath.Join(programs, "write")).use(t)
	g := command(filepath.Join(programs, "write-go"), root, nil, "go", "build", "-o", filepath.Join(programs, "write-go"), "./examples/user-events/go").use(t)
	for worker, program := range map[int64][]string{
		1: {"sh", filepath.Join(folder, "write.sh")},
		2: {c},
		3: {g},
		4: {"python3", filepath.Join(folder, "write.py")},
	} {
		if _, err := exec.LookPath(program[0]); err != nil {
			missing(t, "%v", err)
		}
		if out, err := exec.Command(program[0], program[1:]...).CombinedOutput(); err != nil {
			t.Errorf("%v: %v\n%s", program, err, out)
			continue
		}
		b.await(20*time.Second, fmt.Sprint("count by ", program), func(p *point) bool {
			return p.name == "my.counter" && p.attributes["worker"] == worker
		}, counted(42))
	}
}
