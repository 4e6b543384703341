package e2e

import (
	"fmt"
	"math"
	"os"
	"strconv"
	"testing"
	"time"
)

// What a C and a Go program count is read back from a backend as it was counted.
func TestValuesCanBeReadBackFromVictoriaMetrics(t *testing.T) {
	v := startVictoria(t)
	dir := directory(t)
	clients := map[string]*client{"values": startC(t, dir, "values"), "app": startGo(t, dir, "values")}
	startCollector(t, settings{receiver: reading(dir, "200ms"), endpoint: v.url + "/opentelemetry/v1/metrics"}.yaml())
	checkValues(t, v, clients)
}

// checkValues waits for what both programs count, compares it, and sees it end with them.
func checkValues(t *testing.T, v *victoriaMetrics, clients map[string]*client) {
	t.Helper()
	counted := []struct {
		name       string
		attributes map[string]string
		value      float64
	}{
		{"shop.orders", map[string]string{"region": `eu "west"é`, "shard": "-5", "ratio": "0.25", "paid": "true"}, 42 * 1000000007},
		{"shop.orders", map[string]string{"region": `eu "west"é`, "shard": "-5", "ratio": "0.25", "paid": "false"}, 7},
		{"shop.carts", nil, -3},
		{"shop.temperature", nil, -3.25},
		{"shop.answers", map[string]string{"route": "/pay", "code": "200", "ratio": "0.5", "cached": "true"}, 50},
		{"shop.answers", map[string]string{"route": "/cart", "code": "200", "ratio": "0.5", "cached": "true"}, 50},
		{"shop.waiting", map[string]string{"route": "/pay"}, 150},
		{"shop.waiting", map[string]string{"route": "/cart"}, -50},
		{"shop.load", map[string]string{"route": "/pay"}, 98},
		{"shop.load", map[string]string{"route": "/cart"}, 99},
		{"shop.size_count", map[string]string{"route": "/pay"}, 50},
		{"shop.size_sum", map[string]string{"route": "/pay"}, 200},
		{"shop.size_count", map[string]string{"route": "/cart"}, 50},
		{"shop.latency_count", nil, 1005},
		{"shop.latency_sum", nil, 500.5},
	}
	// A Collector that listened from the start delivers some of it before the rest.
	arrived := func() bool {
		for _, c := range clients {
			for _, want := range counted {
				if !v.ends(want.name, c.pid(), want.attributes, want.value) {
					return false
				}
			}
		}
		return true
	}
	for deadline := time.Now().Add(30 * time.Second); !arrived() && time.Now().Before(deadline); {
		time.Sleep(100 * time.Millisecond)
	}
	for executable, c := range clients {
		t.Run(executable, func(t *testing.T) {
			labels := map[string]string{
				"process.user.id": strconv.Itoa(os.Getuid()),
				"service.name":    "shop", "service.version": "1.2.3", "deployment.environment.name": "end to end",
				"process.pid": strconv.Itoa(c.pid()), "process.executable.name": executable,
				"scope.name": "github.com/hotpath-metrics/hotpath",
			}
			for _, want := range counted {
				v.check(t, want.name, labels, want.attributes, want.value)
			}
			v.checkQuantiles(t, c.pid())
		})
	}

	instances := map[string]bool{}
	for _, e := range v.export(`{__name__="shop.carts"}`) {
		if id := e.Metric["service.instance.id"]; len(id) == len("00000000-0000-0000-0000-000000000000") {
			instances[id] = true
		}
	}
	if len(instances) != len(clients) {
		t.Errorf("the processes have the instance ids %v", instances)
	}

	for _, c := range clients {
		c.kill()
	}
	// A point without a value has no buckets, so this backend lets those run out in its own time.
	eventually(t, 30*time.Second, "end of the series of killed processes", func() bool {
		return len(v.query(`{"service.name"="shop", __name__!~".*_bucket"}`)) == 0
	})
}

// ends says whether a series has come to a value.
func (v *victoriaMetrics) ends(name string, pid int, attributes map[string]string, want float64) bool {
	for _, got := range v.query(fmt.Sprintf(`{__name__=%q, "process.pid"="%d"}`, name, pid)) {
		if contains(got.labels, attributes) {
			return equal(got.value, want)
		}
	}
	return false
}

// equal is exact for whole numbers.
func equal(got, want float64) bool {
	return got == want || want != math.Trunc(want) && math.Abs(got-want) <= 1e-9*math.Abs(want)
}

// check compares the last sample of a series.
func (v *victoriaMetrics) check(t *testing.T, name string, labels, attributes map[string]string, want float64) {
	t.Helper()
	samples := v.samples(t, name, labels, attributes)
	if n := len(samples); n == 0 || !equal(samples[n-1], want) {
		t.Errorf("%s%v does not end with %v: %v", name, attributes, want, samples)
	}
}

// samples finds the one series with these labels and no attributes but these. A sample is NaN where the series ended.
func (v *victoriaMetrics) samples(t *testing.T, name string, labels, attributes map[string]string) (found []float64) {
	t.Helper()
	n := 0
	for _, e := range v.export(fmt.Sprintf(`{__name__=%q, "process.pid"=%q}`, name, labels["process.pid"])) {
		if !contains(e.Metric, attributes) {
			continue
		}
		n++
		for _, value := range e.Values {
			if value == nil {
				value = new(math.NaN())
			}
			found = append(found, *value)
		}
		if !contains(e.Metric, labels) {
			t.Errorf("%s has the labels %v", name, e.Metric)
		}
		others := len(e.Metric) - len(labels) - len(attributes)
		for _, identity := range []string{"__name__", "scope.version", "service.instance.id", "container.id"} {
			if e.Metric[identity] != "" {
				others--
			}
		}
		if others != 0 {
			t.Errorf("%s has more or fewer labels than it should: %v", name, e.Metric)
		}
	}
	if n != 1 {
		t.Errorf("%s%v: %d series", name, attributes, n)
	}
	return found
}

func contains(labels, wanted map[string]string) bool {
	for key, want := range wanted {
		if labels[key] != want {
			return false
		}
	}
	return true
}

// checkQuantiles compares with what was recorded: 0 five times, and each thousandth up to 1.
func (v *victoriaMetrics) checkQuantiles(t *testing.T, pid int) {
	t.Helper()
	buckets := fmt.Sprintf(`sum({__name__="shop.latency_bucket", "process.pid"="%d"}) by (vmrange)`, pid)
	width := math.Exp2(1.0/8) + 0.001 // the backend rounds the bounds
	for _, q := range []float64{0.05, 0.25, 0.5, 0.9, 0.99, 0.999} {
		want := (q*1005 - 5) / 1000
		for _, expression := range []string{
			fmt.Sprintf("histogram_quantile(%v, %s)", q, buckets),
			fmt.Sprintf("histogram_quantile(%v, prometheus_buckets(%s))", q, buckets),
		} {
			got := v.query(expression)
			if len(got) != 1 || got[0].value > want*width || got[0].value < want/width {
				t.Errorf("%s is %v, want %v within 9 %%", expression, got, want)
			}
		}
	}
	total := 0.0
	for _, bucket := range v.query(buckets) {
		total += bucket.value
	}
	if total != 1005 {
		t.Errorf("the buckets hold %v values", total)
	}
}
