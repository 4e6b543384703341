package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// An agent and two gateways, with the files that examples/gateway has, between processes and VictoriaMetrics. Gateways and agent are killed
// while processes start, fork, end and are killed. At the end the backend has what every process counted.
func TestGatewaysLoseNothing(t *testing.T) {
	v := startVictoria(t)
	dir, ledger := directory(t), newLedger(t)
	tier := startTier(t, v, dir)
	clients := []*client{startC(t, dir, "churn", ledger), startGo(t, dir, "churn", ledger)}

	eventually(t, 30*time.Second, "points that came through both gateways", func() bool {
		return tier.gateways[0].points() > 0 && tier.gateways[1].points() > 0
	})
	step := func(what string) {
		clients = append(clients, startC(t, dir, "churn", ledger))
		time.Sleep(2 * time.Second)
		if len(clients)%2 == 0 {
			clients[0].kill()
		} else {
			clients[0].finish()
		}
		clients = clients[1:]
		t.Logf("%s: %d rows, %d segments", what, v.rows(), len(segments(t, dir)))
	}
	step("both gateways")
	for _, g := range tier.gateways {
		g.kill()
		before := v.rows()
		step("one gateway killed")
		if v.rows() == before {
			t.Error("with one gateway left, nothing came")
		}
		g.start()
		step("the gateway is back")
	}
	for _, g := range tier.gateways {
		g.kill()
	}
	step("both killed")
	tier.agent.kill()
	step("and the agent")
	held := len(segments(t, dir))
	tier.startAgent()
	for _, g := range tier.gateways {
		g.start()
	}
	eventually(t, time.Minute, "points that come through both gateways again", func() bool {
		return tier.gateways[0].points() > 0 && tier.gateways[1].points() > 0
	})
	step("all are back")
	if held < 10 {
		t.Errorf("%d segments waited for gateways: too little happened", held)
	}

	for _, c := range clients {
		c.finish()
	}
	eventually(t, time.Minute, "directory without segments", func() bool { return len(segments(t, dir)) == 0 })
	tier.agent.terminate()
	entries := readLedger(t, ledger)
	t.Logf("%d processes", len(entries))
	if len(entries) < 100 {
		t.Errorf("too little happened: %d processes", len(entries))
	}
	// What VictoriaMetrics took a moment ago it may not find yet, on a busy host.
	eventually(t, 30*time.Second, "count of every add in the backend", func() bool {
		var want, got uint64
		for _, e := range entries {
			want += e.counted
		}
		for _, g := range v.tallies(t) {
			got += g.counted
		}
		return got >= want
	})
	checkTallies(t, v.tallies(t), entries)
}

// While one gateway is stopped in order, nothing is even late: a try that fails goes to the other.
func TestGatewayThatIsStoppedIsNotMissed(t *testing.T) {
	v := startVictoria(t)
	dir := directory(t)
	tier := startTier(t, v, dir)
	c := startC(t, dir, "commands")
	c.do("add", 1)
	has := func(n float64) func() bool {
		return func() bool {
			found := v.query(fmt.Sprintf(`{__name__="job.done", "process.pid"="%d"}`, c.pid()))
			return len(found) == 1 && found[0].value == n
		}
	}
	eventually(t, 30*time.Second, "the count", has(1))
	tier.gateways[0].terminate()
	c.do("add", 1)
	eventually(t, 10*time.Second, "the count through the other gateway", has(2))
	c.do("add", 1)
	c.kill()
	eventually(t, 10*time.Second, "last value of the process, and its end", func() bool {
		found := v.export(`{__name__="job.done"}`)
		if len(found) != 1 {
			return false
		}
		n := len(found[0].Values)
		return n > 1 && found[0].Values[n-1] == nil && found[0].Values[n-2] != nil && *found[0].Values[n-2] == 3
	})
	if log := tier.agent.log.String(); strings.Contains(log, "were refused") {
		t.Error("the agent had to keep what could not be delivered")
	}
}

// tier is the agent and the gateways of examples/gateway.
type tier struct {
	t        testing.TB
	agent    *collector
	gateways [2]*gateway
	env      []string
}

// gateway is one of them. It can be killed and started again.
type gateway struct {
	*collector
	t       testing.TB
	env     []string
	metrics int
}

func startTier(t testing.TB, v *victoriaMetrics, dir string) *tier {
	t.Helper()
	hosts := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}
	port := freePort(t)
	l, err := net.Listen("tcp", fmt.Sprintf("%v:%d", hosts[1], port))
	if err != nil {
		missing(t, "the address 127.0.0.2: %v", err)
	}
	l.Close()
	names := startNameServer(t, "gateways.test", hosts...)
	s := &tier{t: t, env: []string{
		"HOTPATH_DIR=" + dir, fmt.Sprintf("METRICS_PORT=%d", freePort(t)),
		fmt.Sprintf("GATEWAY=dns://%s/gateways.test:%d", names.address, port),
	}}
	for i, host := range hosts {
		g := &gateway{t: t, metrics: freePort(t)}
		g.env = []string{
			fmt.Sprintf("LISTEN=%v:%d", host, port), fmt.Sprintf("METRICS_PORT=%d", g.metrics),
			"BACKEND=" + v.url + "/opentelemetry/v1/metrics",
		}
		g.start()
		s.gateways[i] = g
	}
	s.startAgent()
	return s
}

func (s *tier) startAgent() {
	s.agent = startExample(s.t, "gateway/agent.yaml", s.env, "yaml:receivers::hotpath::collection_interval: 200ms")
}

func (g *gateway) start() { g.collector = startExample(g.t, "gateway/gateway.yaml", g.env) }

// points is how many the gateway took since it was started.
func (g *gateway) points() float64 {
	return scrape(g.t, g.metrics)["otelcol_receiver_accepted_metric_points"]
}

// startExample starts a Collector with a file in examples, which the environment and further configuration complete.
func startExample(t testing.TB, name string, env []string, more ...string) *collector {
	t.Helper()
	args := []string{"--config", filepath.Join(root, "examples", name)}
	for _, m := range more {
		args = append(args, "--config", m)
	}
	cmd := exec.Command(otelcol().use(t), args...)
	cmd.Env = append(os.Environ(), env...)
	c := &collector{launch(t, cmd)}
	c.ready()
	return c
}

// rows is how many samples came so far.
func (v *victoriaMetrics) rows() (n int) {
	for _, e := range v.export(`{__name__=~"churn.*"}`) {
		n += len(e.Values)
	}
	return n
}

// tallies are the last values of each process that churned. Totals must never have fallen on the way.
func (v *victoriaMetrics) tallies(t *testing.T) map[int64]tally {
	t.Helper()
	got := map[int64]tally{}
	for _, e := range v.export(`{__name__=~"churn.*", __name__!="churn.size_bucket"}`) {
		pid, err := strconv.ParseInt(e.Metric["process.pid"], 10, 64)
		if err != nil {
			t.Fatalf("labels %v: %v", e.Metric, err)
		}
		var last float64
		ended := false // it may be told twice: a gateway that is killed may have delivered what it never answered
		for _, value := range e.Values {
			switch {
			case value == nil:
				ended = true
			case ended || *value < last:
				t.Errorf("%v went on with %v after %v, ended: %v", e.Metric, *value, last, ended)
			default:
				last = *value
			}
		}
		g := got[pid]
		switch e.Metric["__name__"] {
		case "churn.done", "churn.late":
			g.counted += uint64(last)
		case "churn.level":
			g.level += uint64(last)
		case "churn.size_count":
			g.recorded += uint64(last)
		}
		got[pid] = g
	}
	return got
}
