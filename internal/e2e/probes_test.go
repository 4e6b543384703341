package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// uncounted is the environment of a program that only probes count.
var uncounted = []string{"HOTPATH_TRANSPORT=off"}

// probing is the block `hotpath` with these probes and no segments, and further keys.
func probing(probes []string, more ...string) string {
	keys := append([]string{"collection_interval: 50ms", fmt.Sprintf("bpf: {segments: false, probes: [%s]}", strings.Join(probes, ", "))}, more...)
	return "{" + strings.Join(keys, ", ") + "}"
}

// onFunction is a probe. Whatever instruction a compiler begins the function with, it can be attached.
func onFunction(metric, binary, symbol string, more ...string) string {
	keys := append([]string{"metric: {" + metric + "}", fmt.Sprintf("uprobe: {binary: %q, symbol: %q}", binary, symbol), "single_step: true"}, more...)
	return "{" + strings.Join(keys, ", ") + "}"
}

const byWhat = "attributes: {what: {arg: 1, type: string}}"

func TestProbesValuesCanBeReadBackFromVictoriaMetrics(t *testing.T) {
	v := startVictoria(t)
	inC, inCXX, inGo := cProgram(t, "probed"), cart().use(t), goApp().use(t)
	early := startThrough(t, uncounted, inC) // than the Collector
	startCollector(t, settings{receiver: probing([]string{
		onFunction("name: app.work, type: counter", inC, "work", byWhat),
		onFunction("name: app.amount, type: counter", inC, "work", "value: {arg: 0, type: s32}"),
		onFunction("name: app.last, type: gauge", inC, "work", "value: {arg: 0, type: s32}"),
		onFunction("name: app.nap, type: histogram, unit: s", inC, "nap", "value: duration"),
		fmt.Sprintf("{metric: {name: app.requests, type: updowncounter}, usdt: {binary: %q, provider: app, name: request}, attributes: {route: {arg: 0, type: string}}}", inC),
		onFunction("name: cart.add, type: counter", inCXX, "shop::Cart::add"),
		onFunction("name: cart.add.int, type: counter", inCXX, "shop::Cart::add(int)"),
		onFunction("name: go.work, type: counter", inGo, "main.(*worker).handle", byWhat),
		onFunction("name: go.amount, type: counter", inGo, "main.(*worker).handle", "value: arg3"),
	}), endpoint: v.url + "/opentelemetry/v1/metrics"}.yaml())
	late := startThrough(t, uncounted, inC)
	medians := map[*client]int{}
	for i, c := range []*client{early, late} {
		c.do("work", 1000+i, "reading")
		c.do("work", 10, "writing")
		c.do("request", 5, "/cart")
		medians[c] = c.do("nap", 51)
	}
	inCart, worker := startThrough(t, uncounted, inCXX), startThrough(t, uncounted, inGo, "probed")
	inCart.do("add", 1000)
	worker.do("work", 1000, "reading")
	worker.do("work", 1, "writing")
	eventually(t, 30*time.Second, "collection of everything", func() bool {
		return len(v.query(`{__name__="app.nap_count"} == 51`)) == 2 && len(v.query(`{__name__="go.work"}`)) == 2
	})

	labels := func(c *client) map[string]string {
		return map[string]string{
			"process.user.id": strconv.Itoa(os.Getuid()), "service.name": "unknown_service", "process.pid": strconv.Itoa(c.pid()),
			"process.executable.name": filepath.Base(c.cmd.Path), "scope.name": "github.com/hotpath-metrics/hotpath",
		}
	}
	type want struct {
		by         *client
		name       string
		attributes map[string]string
		value      float64
	}
	wants := []want{
		{inCart, "cart.add", nil, 1001},
		{inCart, "cart.add.int", nil, 1000},
		{worker, "go.work", map[string]string{"what": "reading"}, 1000},
		{worker, "go.work", map[string]string{"what": "writing"}, 1},
		{worker, "go.amount", nil, 1000 * 999 / 2},
	}
	for i, c := range []*client{early, late} {
		n := float64(1000 + i)
		wants = append(wants,
			want{c, "app.work", map[string]string{"what": "reading"}, n},
			want{c, "app.work", map[string]string{"what": "writing"}, 10},
			want{c, "app.amount", nil, n*(n-1)/2 + 45},
			want{c, "app.last", nil, 9},
			want{c, "app.requests", map[string]string{"route": "/cart"}, 5},
		)
		v.checkMedian(t, c.pid(), float64(medians[c])/1e6)
	}
	for _, w := range wants {
		v.check(t, w.name, labels(w.by), w.attributes, w.value)
	}
	for _, c := range []*client{early, late, inCart, worker} {
		c.kill()
	}
	eventually(t, 30*time.Second, "end of the series of killed processes", func() bool {
		return len(v.query(`{"service.name"="unknown_service", __name__!="app.nap_bucket"}`)) == 0
	})
}

// checkMedian compares with the median that the program itself measured.
func (v *victoriaMetrics) checkMedian(t *testing.T, pid int, want float64) {
	t.Helper()
	got := v.query(fmt.Sprintf(`histogram_quantile(0.5, sum({__name__="app.nap_bucket", "process.pid"="%d"}) by (vmrange))`, pid))
	if len(got) != 1 || got[0].value > want*1.09 || got[0].value < want/1.09 || want < 0.005 {
		t.Errorf("the median is %v, that of the program itself %v", got, want)
	}
}

// Both parts of the source: what a process counts in its memfd, and what a probe counts of it, as resources of their own.
func TestProbesAndSegmentsAreDeliveredTogether(t *testing.T) {
	b := startBackend(t, eachSeventh)
	program := cProgram(t, "probed")
	receiver := strings.Replace(probing([]string{onFunction("name: app.amount, type: counter", program, "work", "value: {arg: 0, type: s32}")}),
		"segments: false", "segments: true", 1)
	startCollector(t, settings{receiver: receiver, endpoint: b.endpoint()}.yaml())
	c := startThrough(t, inMemfds, program)
	for range 20 {
		c.do("work", 100, "reading")
		time.Sleep(20 * time.Millisecond)
	}
	const total = 20 * 100 * 99 / 2
	for _, name := range []string{"job.done", "app.amount"} {
		b.await(20*time.Second, name, both(from(c.pid()), named(name)), counted(total))
	}
	c.kill()
	eventually(t, 20*time.Second, "end of both series", func() bool { return len(b.points(endOf(c))) == 2 })
	for name, service := range map[string]string{"job.done": "shop", "app.amount": "unknown_service"} {
		if p, _ := b.last(both(from(c.pid()), named(name))); p.integer != total || p.resource["service.name"] != service {
			t.Errorf("%s ends as %+v", name, p)
		}
	}
}

// The program in examples/probes, with the Collector's configuration beside it.
func TestProbesExampleWorks(t *testing.T) {
	folder, err := filepath.Abs(filepath.Join(root, "examples", "probes"))
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile(filepath.Join(folder, "collector.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(programs, "shop")
	shop := command(path, ".", nil, "gcc", "-O2", filepath.Join(folder, "shop.c"), "-o", path).use(t)
	b := startBackend(t, nil)
	exporter := fmt.Sprintf("  otlp_http: {metrics_endpoint: %s, compression: none}\n", b.endpoint())
	yaml := strings.NewReplacer("/tmp/shop", shop, "  debug:\n    verbosity: normal\n", exporter,
		"    use_internal_logger: false # lines for people, on stdout\n", "", "exporters: [debug]", "exporters: [otlp_http]",
		"level: warn", "level: info").Replace(string(example))
	if strings.Contains(yaml, "debug") || !strings.Contains(yaml, exporter) {
		t.Fatalf("the example has another exporter now:\n%s", example)
	}
	collector := startCollector(t, yaml)
	customer := launch(t, exec.Command(shop))
	seen := func(p *point) bool { return p.who.pid == int64(customer.pid()) }
	eventually(t, 30*time.Second, "metrics of the shop", func() bool {
		_, turnover := b.last(both(seen, func(p *point) bool { return p.series == "shop.turnover"+fmt.Sprint(map[string]any{"customer": "bob"}) }))
		return turnover
	})
	customer.kill()
	collector.terminate()
	var calls int64
	for items := range int64(4) {
		p, _ := b.last(both(seen, func(p *point) bool { return p.name == "shop.checkouts" && p.attributes["items"] == items+1 }))
		calls += p.integer
	}
	p, _ := b.last(both(seen, named("shop.checkout.duration")))
	if mean := p.histogram.sum / float64(p.histogram.count); calls < 100 || int64(p.histogram.count) != calls && int64(p.histogram.count) != calls-1 || mean < 0.0025 || mean > 0.1 {
		t.Errorf("%d calls, durations %+v", calls, p.histogram)
	}
}
