package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// settings of a Collector with one pipeline from hotpath to OTLP over HTTP, without queue
// or retries: what is refused comes back to the receiver.
type settings struct {
	receiver  string // the block `hotpath`, as YAML without line breaks
	endpoint  string // of metrics
	telemetry string // service::telemetry::metrics, as YAML without line breaks
}

const template = `
receivers:
  hotpath: %s
exporters:
  otlp_http:
    metrics_endpoint: %s
    compression: none
    retry_on_failure: {enabled: false}
    sending_queue: {enabled: false}
service:
  telemetry: {metrics: %s}
  pipelines:
    metrics: {receivers: [hotpath], exporters: [otlp_http]}
`

func (s settings) yaml() string {
	if s.telemetry == "" {
		s.telemetry = "{level: none}"
	}
	return fmt.Sprintf(template, s.receiver, s.endpoint, s.telemetry)
}

// reading is the block `hotpath` for a directory, with further keys.
func reading(dir, interval string, more ...string) string {
	keys := append([]string{"collection_interval: " + interval, fmt.Sprintf("shm: {directory: %q}", dir)}, more...)
	return "{" + strings.Join(keys, ", ") + "}"
}

// collector is a Collector that runs.
type collector struct{ *process }

// runCollector starts a Collector without waiting for anything.
func runCollector(t testing.TB, yaml string) *collector {
	t.Helper()
	config := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(config, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return &collector{launch(t, exec.Command(otelcol().use(t), "--config", config))}
}

// startCollector starts a Collector and returns when it runs.
func startCollector(t testing.TB, yaml string) *collector {
	t.Helper()
	c := runCollector(t, yaml)
	c.ready()
	return c
}

// ready waits until the Collector runs.
func (c *collector) ready() {
	c.t.Helper()
	eventually(c.t, time.Minute, "Collector that is ready", func() bool {
		if !c.running() {
			c.t.Fatalf("the Collector ended: %v", c.err)
		}
		return strings.Contains(c.log.String(), "Everything is ready")
	})
}

// terminate ends the Collector in order.
func (c *collector) terminate() {
	c.t.Helper()
	c.signal(syscall.SIGTERM)
	if code := c.wait(30 * time.Second); code != 0 {
		c.t.Errorf("the Collector ended with %d", code)
	}
}
