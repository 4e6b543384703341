package probe

import (
	"encoding/binary"
	"fmt"
	"math"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
)

// raws are the arguments with which the program calls raw with each of some values.
func raws(values ...int64) (args []string) {
	for _, v := range values {
		args = append(args, "raw", fmt.Sprint(v))
	}
	return args
}

// recorded is what became of values that the function raw was called with.
func recorded(t *testing.T, probe string, values ...int64) (*fixture, *emittest.Process) {
	t.Helper()
	f := start(t, probe)
	run(t, "target", raws(values...)...)
	r := f.collect()
	if len(r.Processes) == 0 {
		return f, &emittest.Process{}
	}
	return f, only(t, r)
}

const onRaw = "  uprobe: {binary: '${target}', symbol: raw}\n"

func TestHostACounterAddsArguments(t *testing.T) {
	_, p := recorded(t, "- metric: {name: n, type: counter}\n  value: arg0\n"+onRaw, 1, 2, 1<<40)
	require.EqualValues(t, 3+1<<40, p.Counters["n"])
}

func TestHostACounterScales(t *testing.T) {
	_, p := recorded(t, "- metric: {name: n, type: counter}\n  value: arg0\n  scale: 1024\n"+onRaw, 1, 2)
	require.EqualValues(t, 3*1024, p.Counters["n"])
}

func TestHostHitsScale(t *testing.T) {
	_, p := recorded(t, "- metric: {name: n, type: counter}\n  scale: 0.5\n"+onRaw, 1, 2, 3)
	require.Equal(t, 1.5, p.Sums["n"])
}

func TestHostSumsWithFractionsAreExact(t *testing.T) {
	_, p := recorded(t, "- metric: {name: n, type: counter}\n  value: arg0\n  scale: 1.0e-9\n"+onRaw, 1, 999_999_999, 1_500_000_000)
	require.Equal(t, 2.5, p.Sums["n"])
}

func TestHostAnUpDownCounterTakesNegativeNumbers(t *testing.T) {
	_, p := recorded(t, "- metric: {name: n, type: updowncounter}\n  value: arg0\n"+onRaw, 5, -9, 1)
	require.EqualValues(t, -3, p.UpDownCounters["n"])
}

func TestHostAnUpDownCounterMayHaveANegativeScale(t *testing.T) {
	_, p := recorded(t, "- metric: {name: n, type: updowncounter}\n  value: arg0\n  scale: -0.5\n"+onRaw, 5, -8)
	require.Equal(t, 1.5, p.Sums["n"])
}

func TestAGaugeIsTheLastValue(t *testing.T) {
	yaml := ""
	for _, mode := range []string{modeAggregate, modeEvents} {
		yaml += "- metric: {name: signed." + mode + ", type: gauge}\n  value: arg0\n  mode: " + mode + "\n" + onRaw
		yaml += "- metric: {name: unsigned." + mode + ", type: gauge}\n  value: {arg: 0, type: u64}\n  mode: " + mode + "\n" + onRaw
		yaml += "- metric: {name: scaled." + mode + ", type: gauge}\n  value: arg0\n  scale: 0.5\n  mode: " + mode + "\n" + onRaw
	}
	f := start(t, yaml)
	p := spawn(t, "target", "wait", "0", "raw", "7", "raw", "3", "wait", "0", "raw", "-3", "wait", "0", "raw", "0", "wait", "0")
	for _, want := range []struct{ signed, unsigned float64 }{{3, 3}, {-3, 1<<64 - 3}, {0, 0}} {
		p.goOn()
		require.Equal(t, map[string]float64{
			"signed.aggregate": want.signed, "unsigned.aggregate": want.unsigned, "scaled.aggregate": want.signed / 2,
			"signed.events": want.signed, "unsigned.events": want.unsigned, "scaled.events": want.signed / 2,
		}, only(t, f.collect()).Gauges)
	}
}

func TestHostAGaugeIsTheLastValueOnWhateverCPU(t *testing.T) {
	f := start(t, "- metric: {name: n, type: gauge}\n  value: arg0\n"+onRaw)
	for i, cpus := range []string{"0", "1", "0"} {
		p := spawnCommand(t, exec.Command("taskset", "-c", cpus, program("target"), "wait", "0", "raw", fmt.Sprint(i), "wait", "0"))
		p.goOn()
		require.EqualValues(t, i, of(f.collect(), p.pid).Gauges["n"])
	}
}

func TestAGaugeMovesBetweenCPUsWithItsProcess(t *testing.T) {
	f := start(t, "- metric: {name: n, type: gauge}\n  value: arg0\n"+onRaw)
	p := spawn(t, "target", "wait", "0", "raw", "1", "wait", "0", "raw", "2", "wait", "0", "raw", "3", "wait", "0")
	for want := range 3 {
		out, err := exec.Command("taskset", "-cp", fmt.Sprint(want%2), fmt.Sprint(p.pid)).CombinedOutput()
		require.NoError(t, err, "%s", out)
		p.goOn()
		require.EqualValues(t, want+1, only(t, f.collect()).Gauges["n"])
	}
}

// The kernel makes an entry before it fills it in.
func TestHostAGaugeThatIsBeingMadeIsNotZero(t *testing.T) {
	f := start(t, "- metric: {name: n, type: gauge}\n  value: arg0\n"+onRaw)
	id := processesProcessId{Tgid: 1, Start: 1}
	require.NoError(t, f.common.processes.Put(id, processesProcess{Known: 1}))
	key := make([]byte, keySize)
	binary.NativeEndian.PutUint32(key, id.Tgid)
	binary.NativeEndian.PutUint64(key[8:], id.Start)
	require.NoError(t, f.probes[0].reader.values.Put(key, probeValue{}))
	require.Empty(t, f.collect().Processes)
	require.NoError(t, f.probes[0].reader.values.Put(key, probeValue{Count: gaugeSigned}))
	require.Equal(t, map[string]float64{"n": 0}, only(t, f.collect()).Gauges)
}

func TestHostValuesThatAnInstrumentCannotTakeAreCounted(t *testing.T) {
	for _, c := range []struct {
		name, probe, reason string
		values              []int64
	}{
		{"negative counter", "{name: n, type: counter}\n  value: arg0", "value_negative", []int64{-1, -1, 5}},
		{"negative histogram", "{name: n, type: histogram}\n  value: arg0", "value_negative", []int64{-1, math.MinInt64, 5}},
		{"too large counter", "{name: n, type: counter}\n  value: {arg: 0, type: u64}", "value_too_large", []int64{-1, math.MaxInt64, 5}},
		{"too large histogram", "{name: n, type: histogram}\n  value: {arg: 0, type: u64}", "value_too_large", []int64{-1, math.MinInt64, 5}},
		{"sum too large", "{name: n, type: counter}\n  value: arg0", "value_too_large", []int64{1 << 62, 1 << 61, 1 << 61}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := start(t, "- metric: "+c.probe+"\n"+onRaw)
			// On one CPU, of which each has a sum of its own.
			out, err := exec.Command("taskset", append([]string{"-c", "0", program("target")}, raws(c.values...)...)...).CombinedOutput()
			require.NoError(t, err, "%s", out)
			p := only(t, f.collect())
			assert.EqualValues(t, 2, f.skipped(c.reason), f.tel.skipped)
			if c.values[2] == 5 {
				assert.EqualValues(t, 5, float64(p.Counters["n"])+p.Histograms["n"].Sum)
			} else {
				assert.EqualValues(t, 1<<62, p.Counters["n"])
			}
		})
	}
}

func TestHostAScaledTotalThatIsTooLargeIsCounted(t *testing.T) {
	f := start(t, "- metric: {name: n, type: counter}\n  value: arg0\n  scale: 1024\n"+onRaw)
	run(t, "target", raws(1<<60)...)
	f.collect()
	require.EqualValues(t, 1, f.skipped("value_too_large"))
}
