package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The Collector's own metrics tell what the receiver does.
func TestCollectorReportsAboutTheReceiver(t *testing.T) {
	b := startBackend(t, nil)
	dir, port := directory(t), freePort(t)
	startCollector(t, settings{
		receiver: reading(dir, "100ms"), endpoint: b.endpoint(),
		telemetry: fmt.Sprintf("{readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: %d}}}}]}", port),
	}.yaml())
	c, dead := startC(t, dir, "commands"), startC(t, dir, "commands")
	c.do("record", -1) // refused
	c.do("add", 1)
	dead.do("add", 1)
	litter(t, dir, 1)
	b.await(10*time.Second, "client", doneBy(c), counted(1))
	b.await(10*time.Second, "client", doneBy(dead), counted(1))
	dead.kill()

	metrics := map[string]float64{}
	satisfied := func() bool {
		metrics = scrape(t, port)
		return metrics[`otelcol_receiver_hotpath_segments{source="shm",state="live"}`] == 1 &&
			metrics[`otelcol_receiver_hotpath_segments{source="shm",state="dead"}`] == 0 &&
			metrics[`otelcol_receiver_hotpath_segments{source="shm",state="skipped"}`] > 0 &&
			metrics[`otelcol_receiver_hotpath_segments_skipped{reason="fifo",source="shm"}`] == 1 &&
			metrics[`otelcol_receiver_hotpath_client_measurements_refused{source="shm"}`] == 1 &&
			metrics[`otelcol_receiver_hotpath_bytes_read{source="shm"}`] > 0 &&
			metrics[`otelcol_receiver_hotpath_collection_duration_count`] > 0 &&
			metrics[`otelcol_receiver_accepted_metric_points`] > 0
	}
	defer func() {
		if t.Failed() {
			t.Logf("the metrics are %v", metrics)
		}
	}()
	eventually(t, 10*time.Second, "complete set of the receiver's metrics", satisfied)
}

var withoutReceiver = strings.NewReplacer(`{receiver="hotpath"}`, "", `receiver="hotpath",`, "", `,receiver="hotpath"`, "")

// scrape returns the samples of the receiver; of labels, only those of its own are kept.
func scrape(t testing.TB, port int) map[string]float64 {
	t.Helper()
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", port))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	samples := map[string]float64{}
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		name, value, ok := cutLast(lines.Text(), " ")
		if !ok || strings.HasPrefix(name, "#") || !strings.HasPrefix(name, "otelcol_receiver_") {
			continue
		}
		if strings.HasPrefix(name, "otelcol_receiver_hotpath_") {
			if !strings.Contains(name, `receiver="hotpath"`) {
				t.Errorf("%s does not name the receiver", name)
			}
			name = withoutReceiver.Replace(name)
		} else {
			name, _, _ = strings.Cut(name, "{")
		}
		if samples[name], err = strconv.ParseFloat(value, 64); err != nil {
			t.Fatalf("metric %q: %v", lines.Text(), err)
		}
	}
	return samples
}

func cutLast(s, separator string) (before, after string, found bool) {
	if i := strings.LastIndex(s, separator); i >= 0 {
		return s[:i], s[i+len(separator):], true
	}
	return s, "", false
}
