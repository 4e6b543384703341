package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/hotpath-metrics/hotpath/internal/measure"
)

// TestMain makes this program the tool, where it starts itself as a worker or collector.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || os.Args[1] != "bench" {
		os.Exit(m.Run())
	}
	root := &cobra.Command{Use: "hotpath"}
	root.AddCommand(Command())
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// short is a plan that has everything once.
var short = plan{
	timing: measure.Plan{Rounds: 3, Sample: 200 * time.Microsecond}, traced: 200, paced: 200 * time.Millisecond, parallel: true,
	burst: 50 * time.Millisecond, steps: 2, samples: 5, interval: time.Second, watched: time.Second, series: 500,
}

// leftBehind are the directories of runs of this process.
func leftBehind(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"/dev/shm/hotpath-bench-*", filepath.Join(os.TempDir(), "hotpath-bench-*"), "/sys/kernel/tracing/instances/hotpath-bench-*"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, names...)
	}
	return all
}

func TestRunMeasuresEverythingThatIsThere(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	before := leftBehind(t)
	r, err := measureAll(t.Context(), short, &progress{})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range r.Rows {
		if !row.Available {
			if row.Reason == "" || row.Name == "shm" || row.Baseline {
				t.Errorf("%s is not available: %q", row.Name, row.Reason)
			}
			t.Logf("%s is not available: %s", row.Name, row.Reason)
			continue
		}
		for _, failure := range row.Failures {
			t.Errorf("%s: %s", row.Name, failure)
		}
		for client, c := range row.Clients {
			if c.Missing == "" && (c.One == nil || c.One.Median <= 0 || c.One.P99 < c.One.Median || c.One.Ratio <= 0) {
				t.Errorf("%s in %s costs %+v", row.Name, client, c.One)
			}
		}
		if row.state && (!row.Delivery.exact() || !row.Delivery.AnyRate) {
			t.Errorf("%s delivered %+v", row.Name, row.Delivery)
		}
	}
	shm, statsd := r.row("shm"), r.row("statsd_udp")
	for client, c := range shm.Clients {
		if c.Syscalls != nil && *c.Syscalls > 0.01 {
			t.Errorf("an update in %s makes %v system calls", client, *c.Syscalls)
		}
		if s := statsd.Clients[client].Syscalls; s != nil && (*s < 0.98 || *s > 1.1) {
			t.Errorf("a datagram in %s makes %v system calls", client, *s)
		}
		if c.Missing == "" && c.One.Median > statsd.Clients[client].One.Median/10 {
			t.Errorf("an add in %s costs %v ns, a datagram %v", client, c.One.Median, statsd.Clients[client].One.Median)
		}
	}
	if shm.CollectorCPU == nil || len(shm.Latencies) != 2 || shm.ProcessBytes == nil || *shm.ProcessBytes <= 0 || shm.CollectorBytes == nil {
		t.Errorf("of shm is missing: %+v", shm)
	}
	for _, l := range shm.Latencies {
		if l.Median <= 0 || l.Median > 1000*l.Interval+500 {
			t.Errorf("an update takes %v ms at %v s", l.Median, l.Interval)
		}
	}
	if chosen := choose(r); !strings.HasPrefix(chosen[0], "Begin with") {
		t.Errorf("%q", chosen)
	}
	if after := leftBehind(t); !slices.Equal(after, before) {
		t.Errorf("it left %v behind, where %v was", after, before)
	}
}

func TestRunThatIsInterruptedTakesEverythingAway(t *testing.T) {
	before := leftBehind(t)
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, nil)
	interrupt := time.AfterFunc(1500*time.Millisecond, cancel)
	defer interrupt.Stop()
	began := time.Now()
	if _, err := measureAll(ctx, short, &progress{}); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %v to end", took)
	}
	if after := leftBehind(t); !slices.Equal(after, before) {
		t.Errorf("it left %v behind, where %v was", after, before)
	}
}

func TestWithoutCompilerOnlyGoIsMeasured(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	r, err := measureAll(t.Context(), short, &progress{})
	if err != nil {
		t.Fatal(err)
	}
	shm := r.row("shm")
	if shm.Clients[inGo].One == nil || shm.Clients[inC].One != nil || !strings.Contains(shm.Clients[inC].Missing, "no C compiler") {
		t.Errorf("%+v, %+v", shm.Clients[inGo], shm.Clients[inC])
	}
	if !strings.Contains(terminal(r), "Not measured in C: no C compiler") {
		t.Error(terminal(r))
	}
}

func TestLatenciesAreFromEachUpdateToTheFirstTotalThatHasIt(t *testing.T) {
	const ms = time.Millisecond
	began := []time.Duration{10 * ms, 11 * ms, 30 * ms, 50 * ms}
	came := []arrival{{5 * ms, 7}, {20 * ms, 9}, {40 * ms, 10}}
	if got := latencies(7, began, came); !slices.Equal(got, measure.Series{10, 9, 10}) {
		t.Errorf("latencies are %v", got)
	}
}
