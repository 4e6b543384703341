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
	// The programs write more than the default 1 MiB at once, of which not all is update after update of one series.
	collector := startCollector(t, settings{receiver: listening("500ms", "buffer_size_kb: 4096"), endpoint: v.url + "/opentelemetry/v1/metrics"}.yaml())
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
	countThroughKills(t, throughUserEvents, listening("200ms"), nil)
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
