package c

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

func TestCAndGoInOneProgramAreOneProcess(t *testing.T) {
	program := filepath.Join(t.TempDir(), "both")
	run(t, "go", "build", "-o", program, "./testdata/both")
	for name, env := range map[string]string{
		"no environment":          "",
		"a service name":          "OTEL_SERVICE_NAME=s%20",
		"attributes":              "OTEL_RESOURCE_ATTRIBUTES= b = %41+%2c ,a=1,, \t ,b=last,service.name=,é=ü,process.executable.name=y",
		"a bad escape":            "OTEL_RESOURCE_ATTRIBUTES=a=1,b=%4",
		"an escaped zero":         "OTEL_RESOURCE_ATTRIBUTES=a=1,b=%00",
		"as many as there may be": "OTEL_RESOURCE_ATTRIBUTES=" + strings.Join(items(62), ","),
		"one too many":            "OTEL_RESOURCE_ATTRIBUTES=" + strings.Join(items(63), ","),
		"an empty list":           "OTEL_RESOURCE_ATTRIBUTES=",
		"a malformed list":        "OTEL_RESOURCE_ATTRIBUTES=a=1,b",
		"a key that is no key":    "OTEL_RESOURCE_ATTRIBUTES==v,a=1",
		"a value that is long":    "OTEL_RESOURCE_ATTRIBUTES=a=" + long(2000),
		"a value not in UTF-8":    "OTEL_RESOURCE_ATTRIBUTES=a=%ff%fe",
		"a list that is long":     "OTEL_RESOURCE_ATTRIBUTES=a=" + long(20000),
		"a key that is too long":  "OTEL_RESOURCE_ATTRIBUTES=" + long(256) + "=1",
	} {
		t.Run(name, func(t *testing.T) {
			r := startWith(t, []string{env}, program, directory(t)).collect()
			if len(r.Processes) != 1 {
				for _, p := range r.Processes {
					t.Logf("%v", p.Resource)
				}
				t.Fatalf("%d processes", len(r.Processes))
			}
			p := r.Processes[0]
			h := p.Histograms["both.histogram"]
			if p.Counters["both.counter{k=v}"] != 42 || p.Counters["both.c"] != 1 || p.Gauges["both.gauge"] != 2 ||
				h.Count != 2 || h.Sum != 2.5 {
				t.Errorf("counters %v, gauges %v, histogram count %d, sum %v", p.Counters, p.Gauges, h.Count, h.Sum)
			}
		})
	}
}

func long(n int) string { return strings.Repeat("a", n) }

func items(n int) []string {
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf("k%d=v%d", i, i)
	}
	return items
}
