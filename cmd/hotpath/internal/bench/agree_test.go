package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hotpath-metrics/hotpath/internal/measure"
	"github.com/hotpath-metrics/hotpath/internal/measure/worker"
)

// The least of many rounds is what a busy machine changes least, but its caches and its other hyperthreads are busy too, and compilers lay out loops in
// different ways.
const agreeing = 2.5

func TestFiguresAgreeWithThoseOfOtherHarnesses(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	for _, c := range []struct {
		client string
		other  func(*testing.T, string) float64
	}{{inC, plainLoop}, {inGo, goBenchmark}} {
		t.Run(c.client, func(t *testing.T) {
			dir := t.TempDir()
			other := c.other(t, dir)
			own := leastOf(t, c.client, dir)
			t.Logf("an add costs %.2f ns by this harness, %.2f by the other", own, other)
			if ratio := own / other; ratio > agreeing || ratio < 1.0/agreeing {
				t.Errorf("an add costs %.2f ns by this harness, %.2f by the other", own, other)
			}
		})
	}
}

// leastOf times adds as a run does.
func leastOf(t *testing.T, client, dir string) float64 {
	t.Helper()
	p, err := newPlace("agree")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(p.dir)
	if client == inC {
		if p.worker, err = worker.Build(dir, "worker"); err != nil {
			t.Fatal(err)
		}
	}
	m := mechanisms[0]
	m.collector = ""
	b, err := open(t.Context(), p, &m, time.Second, []string{client})
	if err != nil {
		t.Fatal(err)
	}
	timing := &worker.Timing{Process: b.workers[client], Subject: m.subject, Threads: 1}
	worker.InTurn(measure.Plan{Rounds: 50, Sample: 5 * time.Millisecond}, []*worker.Timing{timing}, func(float64) {})
	if timing.Err != nil {
		t.Fatal(timing.Err)
	}
	if err := b.close(); err != nil {
		t.Error(err)
	}
	return timing.Times.Quantile(0)
}

// plainLoop is what a program of a few lines finds.
func plainLoop(t *testing.T, dir string) float64 {
	t.Helper()
	compiler, err := measure.CCompiler()
	if err != nil {
		t.Skip(err)
	}
	program := filepath.Join(dir, "adds")
	if output, err := exec.Command(compiler, "-O2", "-D_GNU_SOURCE", "-pthread", "-I", "../../../../client/c", "-o", program, "testdata/adds.c").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	cmd := exec.Command(program)
	cmd.Env = append(cmd.Environ(), "HOTPATH_DIR="+filepath.Join(dir, "plain"))
	output, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return number(t, strings.TrimSpace(string(output)))
}

// goBenchmark is what the Go client's own benchmark finds.
func goBenchmark(t *testing.T, dir string) float64 {
	t.Helper()
	cmd := exec.Command("go", "test", "-run", "^$", "-bench", "^BenchmarkCounterAdd$", "-benchtime", "200000x", "-count", "100") // each fits into a time slice
	cmd.Dir = "../../../../client/go"
	cmd.Env = append(cmd.Environ(), "HOTPATH_DIR="+filepath.Join(dir, "benchmark"))
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	found := regexp.MustCompile(`BenchmarkCounterAdd\S*\s+\d+\s+(\S+) ns/op`).FindAllStringSubmatch(string(output), -1)
	if len(found) == 0 {
		t.Fatalf("there is no result in %s", output)
	}
	least := number(t, found[0][1])
	for _, f := range found {
		least = min(least, number(t, f[1]))
	}
	return least
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
