package top

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/internal/source/bpf"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
	"github.com/hotpath-metrics/hotpath/receiver/hotpathreceiver"

	"go.uber.org/zap"

	readings "github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/reading"
)

// population is processes that have counted, each with another service name.
type population struct {
	t        *testing.T
	dir      string // of segments
	programs map[string]string
	services []string
}

func populate(t *testing.T) *population {
	bin, p := t.TempDir(), &population{t: t, programs: map[string]string{}}
	dir, err := os.MkdirTemp("/dev/shm", "hotpath-test-")
	if err != nil {
		t.Skipf("needs tmpfs at /dev/shm: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p.dir = dir
	p.programs["c"], p.programs["go"] = filepath.Join(bin, "c"), filepath.Join(bin, "go")
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skipf("needs gcc: %v", err)
	}
	for _, build := range [][]string{
		{"gcc", "-std=c11", "-O2", "-pthread", "testdata/counting.c", "-o", p.programs["c"]},
		{"go", "build", "-o", p.programs["go"], "./testdata/counting"},
	} {
		out, err := exec.Command(build[0], build[1:]...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	return p
}

// run starts a program and returns when it, and its child if it has one, have counted; of one that exits, when it has.
func (p *population) run(program, transport, fate string) {
	p.t.Helper()
	service := strings.Join([]string{"agree", program, transport, fate}, "-")
	p.services = append(p.services, service)
	var args []string
	if fate == "exit" {
		args = []string{"exit"}
	}
	cmd := exec.Command(p.programs[program], args...)
	cmd.Env = append(os.Environ(), "OTEL_SERVICE_NAME="+service, "HOTPATH_TRANSPORT="+transport, "HOTPATH_DIR="+p.dir)
	in, err := cmd.StdinPipe()
	require.NoError(p.t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(p.t, err)
	require.NoError(p.t, cmd.Start())
	lines := bufio.NewScanner(out)
	for range map[string]int{"c": 2, "go": 1}[program] {
		require.True(p.t, lines.Scan(), "%s: %v", service, lines.Err())
		require.Equal(p.t, "ready", lines.Text())
	}
	if fate == "exit" {
		require.NoError(p.t, cmd.Wait())
		return
	}
	p.t.Cleanup(func() {
		in.Close()
		assert.NoError(p.t, cmd.Wait())
	})
}

// totals are values as text, by process, name and attributes.
type totals map[string]string

// top is what the command prints as JSON.
func (p *population) top() totals {
	p.t.Helper()
	var out bytes.Buffer
	c := Command()
	c.SetOut(&out)
	c.SetArgs([]string{"--once", "--json", "-d", "100ms", "--directory", p.dir, "--service", strings.Join(p.services, ",")})
	require.NoError(p.t, c.ExecuteContext(context.Background()))
	require.Equal(p.t, 1, strings.Count(out.String(), "\n"), "one object on one line")
	require.NotContains(p.t, out.String(), "\x1b")
	var r struct {
		Processes []struct {
			Service string
			PID     int64
			Series  []struct {
				Name       string
				Attributes map[string]any
				Value      json.Number
				Count      json.Number
				Sum        float64
				ZeroCount  uint64 `json:"zero_count"`
				Offset     int
				Buckets    []uint64
			}
		}
	}
	decoder := json.NewDecoder(&out)
	decoder.UseNumber()
	require.NoError(p.t, decoder.Decode(&r))
	t := totals{}
	for _, process := range r.Processes {
		for _, s := range process.Series {
			value := s.Value.String()
			if s.Count != "" {
				value = fmt.Sprint(s.Count, s.Sum, s.ZeroCount, s.Offset, s.Buckets)
			}
			t[fmt.Sprint(process.Service, process.PID, s.Name, s.Attributes)] = value
		}
	}
	return t
}

// collect starts the receiver.
func (p *population) collect(sources map[string]any) (*consumertest.MetricsSink, receiver.Metrics) {
	p.t.Helper()
	factory := hotpathreceiver.NewFactory()
	cfg := factory.CreateDefaultConfig()
	require.NoError(p.t, confmap.NewFromStringMap(sources).Unmarshal(cfg))
	var sink consumertest.MetricsSink
	r, err := factory.CreateMetrics(context.Background(), receivertest.NewNopSettings(factory.Type()), cfg, &sink)
	require.NoError(p.t, err)
	require.NoError(p.t, r.Start(context.Background(), componenttest.NewNopHost()))
	return &sink, r
}

// collector is what the receiver delivers in three collections, in which it also ends what has ended.
func (p *population) collector(sources map[string]any) totals {
	p.t.Helper()
	sink, r := p.collect(sources)
	require.Eventually(p.t, func() bool { return len(sink.AllMetrics()) >= 3 }, time.Minute, 10*time.Millisecond)
	require.NoError(p.t, r.Shutdown(context.Background()))
	return totalsOf(sink)
}

func totalsOf(sink *consumertest.MetricsSink) totals {
	t := totals{}
	for _, batch := range sink.AllMetrics() {
		for _, rm := range batch.ResourceMetrics().All() {
			resource := rm.Resource().Attributes().AsRaw()
			service := fmt.Sprint(resource["service.name"])
			if !strings.HasPrefix(service, "agree-") {
				continue
			}
			for _, m := range rm.ScopeMetrics().At(0).Metrics().All() {
				t.add(fmt.Sprint(service, resource["process.pid"], m.Name()), m)
			}
		}
	}
	return t
}

func (t totals) add(name string, m pmetric.Metric) {
	var numbers pmetric.NumberDataPointSlice
	switch m.Type() {
	case pmetric.MetricTypeSum:
		numbers = m.Sum().DataPoints()
	case pmetric.MetricTypeGauge:
		numbers = m.Gauge().DataPoints()
	default:
		for _, h := range m.ExponentialHistogram().DataPoints().All() {
			if !h.Flags().NoRecordedValue() {
				t[name+attributesText(h.Attributes())] = fmt.Sprint(json.Number(fmt.Sprint(h.Count())), h.Sum(), h.ZeroCount(), int(h.Positive().Offset()), h.Positive().BucketCounts().AsRaw())
			}
		}
		return
	}
	for _, n := range numbers.All() {
		if n.Flags().NoRecordedValue() {
			continue
		}
		value := fmt.Sprint(n.IntValue())
		if n.ValueType() == pmetric.NumberDataPointValueTypeDouble {
			b, _ := json.Marshal(n.DoubleValue())
			value = string(b)
		}
		t[name+attributesText(n.Attributes())] = value
	}
}

func attributesText(m pcommon.Map) string {
	raw := m.AsRaw()
	for key, v := range raw {
		if fmt.Sprint(v) == "+Inf" {
			raw[key] = "Infinity"
		}
	}
	return fmt.Sprint(raw)
}

// memfds says whether segments in memfds can be read here.
func memfds(t *testing.T) bool {
	b := bpf.New(bpf.DefaultConfig(), segments.Limits{}, zap.NewNop(), source.Ignored{})
	err := b.Start(context.Background(), nil)
	if err != nil {
		t.Logf("without segments in memfds: %v", err)
	}
	require.NoError(t, b.Shutdown(context.Background()))
	return err == nil
}

func TestTopAndTheCollectorAgreeOnAllTotals(t *testing.T) {
	p := populate(t)
	p.run("c", "shm", "stay")
	p.run("go", "shm", "stay")
	p.run("c", "shm", "exit")
	p.run("go", "shm", "exit")
	sources := map[string]any{"collection_interval": "100ms", "shm": map[string]any{"directory": p.dir}}
	series := 2*2*5 + 2*5
	if memfds(t) {
		sources["bpf"] = map[string]any{}
		p.run("c", "bpf", "stay")
		p.run("go", "bpf", "stay")
		series += 2*5 + 5
	}

	before := p.top()
	require.Len(t, before, series)
	delivered := p.collector(sources)
	assert.Equal(t, delivered, before)

	after := p.top()
	assert.Less(t, len(after), len(before), "what had ended is delivered")
	for name, value := range after {
		assert.Equal(t, delivered[name], value, name)
		assert.NotContains(t, name, "exit")
	}
}

func TestTheCollectorGetsEverythingOfShortProcessesWhileTopLooksOn(t *testing.T) {
	const runs = 30
	p := populate(t)
	sink, r := p.collect(map[string]any{"collection_interval": "20ms", "shm": map[string]any{"directory": p.dir}})
	ctx, stop := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	for range 2 {
		w, err := readings.Start(ctx, p.dir, readings.Choice{})
		require.NoError(t, err)
		watching.Go(func() {
			for ctx.Err() == nil {
				if _, err := w.Read(ctx); err != nil {
					assert.ErrorIs(t, err, context.Canceled)
				}
			}
			assert.NoError(t, w.Close(context.Background()))
		})
	}
	for range runs {
		p.run("c", "shm", "exit")
	}
	assert.Eventually(t, func() bool { return len(segmentFiles(t, p.dir)) == 0 }, time.Minute, 10*time.Millisecond, "what has ended is removed")
	stop()
	watching.Wait()
	require.NoError(t, r.Shutdown(context.Background()))

	values := map[string]int{}
	for name, value := range totalsOf(sink) {
		if strings.Contains(name, "requests") {
			values[value]++
		}
	}
	assert.Equal(t, map[string]int{"3000": runs, "1000": runs, "231": runs, "77": runs}, values)
}

func segmentFiles(t *testing.T, dir string) (names []string) {
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}
