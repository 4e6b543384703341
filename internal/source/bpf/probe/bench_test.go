package probe

import (
	"context"
	native "encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
	"github.com/hotpath-metrics/hotpath/internal/source/bpf/binary"
)

// empty puts a program that does nothing where the tracepoint is.
func empty(b *testing.B, path string) {
	spec := &ebpf.ProgramSpec{
		Type: ebpf.Kprobe, License: "Dual MIT/GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	}
	multi := features.HaveBPFLinkUprobeMulti() == nil
	if multi {
		spec.AttachType = ebpf.AttachTraceUprobeMulti
	}
	program, err := ebpf.NewProgram(spec)
	require.NoError(b, err)
	b.Cleanup(func() { program.Close() })
	f, err := os.Open(path)
	require.NoError(b, err)
	defer f.Close()
	parsed, err := binary.Open(f)
	require.NoError(b, err)
	points, err := parsed.Tracepoints("loop", "mark")
	require.NoError(b, err)
	ex, err := link.OpenExecutable(path)
	require.NoError(b, err)
	l, err := (&common{offers: offers{multi: multi}}).link(nil, ex, program, []place{{offset: points[0].Offset}}, false)
	require.NoError(b, err)
	b.Cleanup(func() { l[0].Close() })
}

// BenchmarkHit is what a hit costs the program, beside a program of BPF that does nothing at the same place.
func BenchmarkHit(b *testing.B) {
	path := filepath.Join(b.TempDir(), "loop")
	out, err := exec.Command("gcc", "-O2", "-I../../../../client/c", "testdata/loop.c", "-o", path).CombinedOutput()
	require.NoError(b, err, string(out))
	at := "usdt: {binary: " + path + ", provider: loop, name: mark}"
	for _, of := range []struct{ name, yaml, what string }{
		{"nothing", "", "mark"},
		{"empty", "-", "mark"},
		{"counter", "- {metric: {name: n, type: counter}, " + at + "}", "mark"},
		{"sum", "- {metric: {name: n, type: counter}, " + at + ", value: arg1}", "mark"},
		{"gauge", "- {metric: {name: n, type: gauge}, " + at + ", value: arg1}", "mark"},
		{"histogram", "- {metric: {name: n, type: histogram}, " + at + ", value: arg1}", "mark"},
		{"string", "- {metric: {name: n, type: counter}, " + at + ", attributes: {route: {arg: 0, type: string}}}", "mark"},
		{"number", "- {metric: {name: n, type: counter}, " + at + ", attributes: {a: {arg: 1, type: bool}}}", "mark"},
		{"executable", "- {metric: {name: n, type: counter}, " + at + ", filter: {executable: loop}}", "mark"},
		{"uid", "- {metric: {name: n, type: counter}, " + at + ", filter: {uid: 0}}", "mark"},
		{"events", "- {metric: {name: n, type: counter}, " + at + ", mode: events}", "mark"},
		{"duration", "- {metric: {name: n, type: histogram}, uprobe: {binary: " + path + ", symbol: function}, value: duration}", "function"},
	} {
		b.Run(of.name, func(b *testing.B) {
			var s *Source
			switch of.yaml {
			case "":
			case "-":
				empty(b, path)
			default:
				configs, err := read(b, of.yaml)
				require.NoError(b, err)
				s = New(configs, false, Limits{Processes: 1000, Series: 100000, SeriesPerUID: 100000}, zap.NewNop(), &telemetry{skipped: map[string]int64{}})
				require.NoError(b, s.Start(context.Background(), componenttest.NewNopHost()))
				defer func() { require.NoError(b, s.Shutdown(context.Background())) }()
			}
			run := exec.Command(path, of.what, strconv.Itoa(b.N))
			run.Stdin = strings.NewReader("\n")
			out, err := run.Output()
			require.NoError(b, err)
			ns, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
			require.NoError(b, err)
			b.ReportMetric(ns, "ns/hit")
			b.ReportMetric(0, "ns/op")
			if s != nil {
				var r emittest.Recorder
				require.NoError(b, s.Collect(context.Background(), &r))
			}
		})
	}
}

// started is a source for a benchmark.
func started(b *testing.B, yaml string) *Source {
	configs, err := read(b, yaml)
	require.NoError(b, err)
	s := New(configs, false, Limits{Processes: 1000, Series: 1_000_000, SeriesPerUID: 1_000_000}, zap.NewNop(), &telemetry{skipped: map[string]int64{}})
	require.NoError(b, s.Start(context.Background(), componenttest.NewNopHost()))
	b.Cleanup(func() { require.NoError(b, s.Shutdown(context.Background())) })
	return s
}

// BenchmarkRead is a collection of 10,000 series, of which all have changed.
func BenchmarkRead(b *testing.B) {
	const series = 10_000
	s := started(b, "- {metric: {name: n, type: counter}, uprobe: {binary: /nowhere/at/all, symbol: f}, attributes: {a: {arg: 0}}}")
	id := processesProcessId{Tgid: 1, Start: 1}
	require.NoError(b, s.common.processes.Put(id, processesProcess{Known: 1}))
	values := s.probes[0].loaded.maps[probeMapValues]
	key := make([]byte, keySize+8)
	fill := func(n uint64) {
		for i := range uint64(series) {
			native.NativeEndian.PutUint32(key, id.Tgid)
			native.NativeEndian.PutUint64(key[8:], id.Start)
			native.NativeEndian.PutUint64(key[keySize:], i)
			perCPU := make([]probeValue, s.probes[0].reader.perCPU)
			perCPU[0].Sum = n
			require.NoError(b, values.Put(key, perCPU))
		}
	}
	n := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		n++
		fill(n)
		b.StartTimer()
		require.NoError(b, s.readAll(nil))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/series, "ns/series")
}

// BenchmarkDrain reads a full ring buffer.
func BenchmarkDrain(b *testing.B) {
	path := loop(b)
	s := started(b, "- {metric: {name: n, type: counter}, usdt: {binary: "+path+", provider: loop, name: mark}, mode: events}")
	events := int64(0)
	var spent time.Duration
	for b.Loop() {
		s.mu.Lock() // so that nothing is read while it fills
		run := exec.Command(path, "mark", "100000")
		run.Stdin = strings.NewReader("\n")
		require.NoError(b, run.Run())
		before := s.read
		began := time.Now()
		s.mu.Unlock()
		s.drain()
		spent += time.Since(began)
		s.mu.Lock()
		events += s.read - before
		s.mu.Unlock()
	}
	b.ReportMetric(float64(spent.Nanoseconds())/float64(events), "ns/event")
}

func loop(b *testing.B) string {
	path := filepath.Join(b.TempDir(), "loop")
	out, err := exec.Command("gcc", "-O2", "-I../../../../client/c", "testdata/loop.c", "-o", path).CombinedOutput()
	require.NoError(b, err, string(out))
	return path
}
