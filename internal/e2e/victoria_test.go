package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// victoriaMetrics is a VictoriaMetrics that runs.
type victoriaMetrics struct {
	*process
	url string
}

func startVictoria(t testing.TB) *victoriaMetrics {
	t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	v := &victoriaMetrics{url: "http://" + address}
	v.process = launch(t, exec.Command(victoria().use(t),
		"-storageDataPath="+t.TempDir(), "-httpListenAddr="+address, "-retentionPeriod=1d",
		"-search.latencyOffset=0s", "-search.disableCache", "-selfScrapeInterval=0", "-memory.allowedBytes=128MiB", "-loggerLevel=WARN"))
	eventually(t, time.Minute, "VictoriaMetrics that answers", func() bool {
		if !v.running() {
			t.Fatalf("VictoriaMetrics ended: %v", v.err)
		}
		response, err := http.Get(v.url + "/health")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	return v
}

func (v *victoriaMetrics) get(path string, query url.Values) *http.Response {
	v.t.Helper()
	response, err := http.Get(v.url + path + "?" + query.Encode())
	if err != nil {
		v.t.Fatal(err)
	}
	if response.StatusCode >= 300 {
		v.t.Fatalf("GET %s %v: %s", path, query, response.Status)
	}
	v.t.Cleanup(func() { response.Body.Close() })
	return response
}

// exported is a series with its raw samples.
type exported struct {
	Metric     map[string]string
	Values     []*float64 // nil where the series ended
	Timestamps []int64
}

// export returns the series that match a selector.
func (v *victoriaMetrics) export(selector string) (all []exported) {
	v.t.Helper()
	v.get("/internal/force_flush", nil)
	response := v.get("/api/v1/export", url.Values{"match[]": {selector}})
	lines := bufio.NewScanner(response.Body)
	for lines.Buffer(nil, 16<<20); lines.Scan(); {
		var e exported
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			v.t.Fatalf("export: %v in %s", err, lines.Text())
		}
		all = append(all, e)
	}
	return all
}

// sample is what a query gives for one set of labels.
type sample struct {
	labels map[string]string
	value  float64
}

// query evaluates an expression now.
func (v *victoriaMetrics) query(expression string) (samples []sample) {
	v.t.Helper()
	v.get("/internal/force_flush", nil)
	response := v.get("/api/v1/query", url.Values{"query": {expression}})
	var body struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil {
		v.t.Fatalf("query %s: %v", expression, err)
	}
	for _, r := range body.Data.Result {
		value, err := strconv.ParseFloat(fmt.Sprint(r.Value[1]), 64)
		if err != nil {
			v.t.Fatalf("query %s: %v", expression, err)
		}
		samples = append(samples, sample{r.Metric, value})
	}
	return samples
}
