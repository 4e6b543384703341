package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Metrics of the Collector, as its own endpoint spells them.
var (
	ownName    = regexp.MustCompile(`\botelcol_[a-z_]+[a-z]\b`)
	documented = regexp.MustCompile(`(?m)^### (otelcol_receiver_hotpath_[a-z_]+)$`)
)

// What operators alert on and look at exists: the endpoint shows it, or does so with the first such event, and the receiver's documentation has its name.
func TestMetricsThatOperatorsUseExist(t *testing.T) {
	b := startBackend(t, func(request int) verdict { return []verdict{accept, busy}[request%2] })
	dir, port := directory(t), freePort(t)
	startCollector(t, settings{
		receiver: reading(dir, "100ms"), endpoint: b.endpoint(),
		telemetry: fmt.Sprintf("{readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: %d}}}}]}", port),
	}.yaml())
	c := startC(t, dir, "commands")
	c.do("add", 1)
	c.do("record", -1) // refused
	litter(t, dir, 1)  // skipped
	shown := map[string]bool{}
	eventually(t, 30*time.Second, "complete set of the receiver's metrics", func() bool {
		shown = metricNames(t, port)
		return shown["otelcol_receiver_hotpath_segments_skipped"] && shown["otelcol_receiver_hotpath_client_measurements_refused"] &&
			shown["otelcol_receiver_refused_metric_points"] && shown["otelcol_exporter_send_failed_metric_points"] &&
			shown["otelcol_receiver_hotpath_collection_duration_bucket"]
	})

	exist := map[string]bool{"otelcol_receiver_hotpath_collection_duration": true}
	for _, name := range documented.FindAllStringSubmatch(read(t, "receiver/hotpathreceiver/documentation.md"), -1) {
		exist[name[1]] = true
	}
	for name := range shown {
		of := strings.NewReplacer("_bucket", "", "_sum", "", "_count", "").Replace(name)
		if strings.HasPrefix(name, "otelcol_receiver_hotpath_") && !exist[of] {
			t.Errorf("the endpoint shows %s, which the documentation calls otherwise", name)
		}
		exist[name] = true
	}
	for _, file := range []string{"examples/prometheus/alerts.yaml", "examples/grafana/hotpath.json", "docs/operations.md"} {
		names := ownName.FindAllString(read(t, file), -1)
		if len(names) < 10 {
			t.Errorf("%s has only the metrics %v", file, names)
		}
		for _, name := range names {
			if !exist[name] {
				t.Errorf("%s has %s, which no Collector shows", file, name)
			}
		}
	}
	operations := read(t, "docs/operations.md")
	for _, name := range documented.FindAllStringSubmatch(read(t, "receiver/hotpathreceiver/documentation.md"), -1) {
		if !strings.Contains(operations, strings.TrimPrefix(name[1], "otelcol_receiver_hotpath_")) {
			t.Errorf("docs/operations.md does not say what %s means", name[1])
		}
	}
}

func metricNames(t *testing.T, port int) map[string]bool {
	t.Helper()
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", port))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	names := map[string]bool{}
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if name := ownName.FindString(lines.Text()); strings.HasPrefix(lines.Text(), name) {
			names[name] = true
		}
	}
	return names
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Root with the first of the capabilities that examples/systemd gives it serves every user in the directory, to the end.
func TestCapabilityThatSufficesForTheDirectory(t *testing.T) {
	if os.Getuid() != 0 {
		missing(t, "root")
	}
	_, line, _ := strings.Cut(read(t, "examples/systemd/otelcol-hotpath.service"), "\nCapabilityBoundingSet=CAP_")
	first, _, _ := strings.Cut(line, " ")
	b := startBackend(t, nil)
	dir := directory(t)
	if err := os.Chmod(dir, os.ModeSticky|0o777); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "config.yaml")
	yaml := settings{receiver: reading(dir, "100ms"), endpoint: b.endpoint()}.yaml()
	if err := os.WriteFile(config, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &collector{launch(t, exec.Command(setpriv(t), "--bounding-set", "-all,+"+strings.ToLower(first), otelcol().use(t), "--config", config))}
	c.ready()

	const nobody = 65534
	stranger := startAs(t, nobody, dir, cProgram(t, "commands"))
	stranger.do("add", 3)
	b.await(10*time.Second, "another user's counter", doneBy(stranger), counted(3))
	stranger.do("add", 1)
	stranger.kill()
	b.await(10*time.Second, "another user's last value", doneBy(stranger), counted(4))
	eventually(t, 10*time.Second, "directory without segments", func() bool { return len(segments(t, dir)) == 0 })
	if p, _ := b.last(doneBy(stranger)); p.resource["process.executable.name"] != "commands" || p.resource["process.user.id"] != int64(nobody) {
		t.Errorf("the resource is %v", p.resource)
	}
}

// startAs starts a program as another user, in a folder that this one may enter.
func startAs(t *testing.T, uid int, dir, program string) *client {
	t.Helper()
	folder, err := os.MkdirTemp("", "hotpath-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(folder, filepath.Base(program))
	if err := install(program, copied); err != nil {
		t.Fatal(err)
	}
	id := strconv.Itoa(uid)
	return start(t, dir, setpriv(t), "--reuid", id, "--regid", id, "--clear-groups", copied)
}

// setpriv runs a program with other rights, in the same process.
func setpriv(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("setpriv")
	if err != nil {
		missing(t, "setpriv: %v", err)
	}
	return path
}
