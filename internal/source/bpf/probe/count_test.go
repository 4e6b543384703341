package probe

import (
	"fmt"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

func TestCountsEqualTheNumberOfCalls(t *testing.T) {
	all := []struct {
		name, file, symbol string
		singleStep         bool
		args               []string
		want               uint64
	}{
		{"C, position-independent", "target", "do_work", false, []string{"work", "1000"}, 1000},
		{"C, at fixed addresses", "target-fixed", "do_work", false, []string{"work", "1000"}, 1000},
		{"C, statically linked", "target-static", "do_work", false, []string{"work", "1000"}, 1000},
		{"C, behind endbr64", "target-endbr", "do_work", false, []string{"work", "1000"}, 1000},
		{"C, static function", "target", "level", false, []string{"level", "1", "level", "2"}, 2},
		{"C, under single-step", "target", "stepped", true, []string{"stepped", "1000"}, 1000},
		{"C++, all overloads", "cart", "shop::Cart::add", false, []string{"1000"}, 3000},
		{"C++, one overload", "cart", "shop::Cart::add(long, int)", false, []string{"1000"}, 1000},
		{"Go", "goserver", "main.plain", true, []string{"1000"}, 1000},
		{"Go, position-independent", "goserver-pie", "main.plain", true, []string{"1000"}, 1000},
		{"Go, method", "goserver", "main.(*server).handle", true, []string{"1000"}, 1000},
		{"shared library", "libwork.so", "shared_work", false, []string{"1000"}, 1000},
	}
	yaml := ""
	for i, c := range all {
		yaml += fmt.Sprintf(`
- metric: {name: n%d, type: counter}
  uprobe: {binary: '${%s}', symbol: '%s'}
  single_step: %t
`, i, c.file, c.symbol, c.singleStep)
	}
	f := start(t, yaml)
	for i, c := range all {
		t.Run(c.name, func(t *testing.T) {
			if c.file == "libwork.so" {
				c.file = "caller"
			}
			cmd := exec.Command(program(c.file), c.args...)
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Equal(t, c.want, of(f.collect(), cmd.Process.Pid).Counters[fmt.Sprintf("n%d", i)])
		})
	}
}

func TestThreadsLoseNoCount(t *testing.T) {
	f := start(t, `
- metric: {name: calls, type: counter}
  uprobe: {binary: '${target}', symbol: do_work}
- metric: {name: by, type: counter}
  uprobe: {binary: '${target}', symbol: do_work}
  attributes: {what: {arg: 1, type: string}}
- metric: {name: sizes, type: histogram}
  uprobe: {binary: '${target}', symbol: do_work}
  value: arg0
`)
	each := 100_000
	if testing.Short() {
		each = 5000
	}
	run(t, "target", "threads", fmt.Sprint(each)) // of eight
	p := only(t, f.collect())
	all := 8 * each
	assert.EqualValues(t, all, p.Counters["calls"])
	assert.EqualValues(t, all/2, p.Counters["by{what=odd}"])
	assert.EqualValues(t, all/2, p.Counters["by{what=even}"])
	assert.EqualValues(t, all, p.Histograms["sizes"].Count)
	assert.EqualValues(t, all/100*(99*100/2), p.Histograms["sizes"].Sum)
	assert.Empty(t, f.tel.skipped)
}

func TestHostProcessesHaveSeriesAndResourcesOfTheirOwn(t *testing.T) {
	f := start(t, `
- metric: {name: calls, type: counter, unit: '{call}', description: How often}
  uprobe: {binary: '${target}', symbol: do_work}
`)
	one, two := spawn(t, "target", "work", "3", "wait", "0"), spawn(t, "target", "work", "5", "wait", "0")
	r := f.collect()
	require.Len(t, r.Processes, 2)
	assert.EqualValues(t, 3, of(r, one.pid).Counters["calls"])
	assert.EqualValues(t, 5, of(r, two.pid).Counters["calls"])
	assert.Equal(t, map[string]string{
		"process.pid": fmt.Sprint(one.pid), "process.executable.name": "target", "process.user.id": "0", "service.name": "unknown_service",
	}, without(of(r, one.pid).Resource, "container.id"))
	in := of(r, one.pid).Instruments["calls"]
	assert.Equal(t, "{call}", in.Unit)
	assert.Equal(t, "How often", in.Description)
	assert.GreaterOrEqual(t, of(r, one.pid).Info.Start, f.started-int64(1e9))
}

func without(m map[string]string, key string) map[string]string {
	delete(m, key)
	return m
}

func TestHostTotalsGrowOverCollectionsOfWhichSomeAreRefused(t *testing.T) {
	f := start(t, `
- metric: {name: calls, type: counter}
  uprobe: {binary: '${target}', symbol: do_work}
`)
	p := spawn(t, "target", "work", "10", "wait", "0", "work", "10", "wait", "0", "work", "10", "wait", "0")
	for _, want := range []uint64{10, 20, 30} {
		require.Equal(t, want, only(t, f.hand()).Counters["calls"])
		require.Equal(t, want, only(t, f.hand()).Counters["calls"])
		if want == 20 {
			f.Commit()
		}
		if want < 30 {
			p.goOn()
		}
	}
	p.finish()
	for range 2 {
		last := only(t, f.hand())
		require.Equal(t, emit.Final, last.Info.State)
		require.EqualValues(t, 30, last.Counters["calls"])
	}
}

func TestAProcessThatEndedIsDeliveredOnceThenNamedOnceThenForgotten(t *testing.T) {
	f := start(t, `
- metric: {name: calls, type: counter}
  uprobe: {binary: '${target}', symbol: do_work}
- metric: {name: work, type: histogram}
  uprobe: {binary: '${target}', symbol: do_work}
  value: arg0
  attributes: {what: {arg: 1, type: string}}
`)
	run(t, "target", "work", "7")
	last := only(t, f.collect())
	require.Equal(t, emit.Final, last.Info.State)
	require.EqualValues(t, 7, last.Counters["calls"])
	end := only(t, f.collect())
	require.Equal(t, emit.Gone, end.Info.State)
	require.Equal(t, last.Instruments, end.Instruments)
	require.Empty(t, f.collect().Processes)
	require.Empty(t, f.processes)
	for _, p := range f.probes {
		require.Empty(t, p.reader.entries)
	}
}

// Half of them kill themselves right after their last hit, while collections go on.
func TestShortProcessesAreDeliveredExactlyOnce(t *testing.T) {
	for _, mode := range []string{"aggregate", "events"} {
		t.Run(mode, func(t *testing.T) {
			f := start(t, `
- metric: {name: calls, type: counter}
  uprobe: {binary: '${target}', symbol: do_work}
  mode: `+mode+`
`)
			const hits = 100
			processes := 50
			if testing.Short() {
				processes = 10
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for i := range processes {
					args := []string{"work", fmt.Sprint(hits)}
					if i%2 == 0 {
						args = append(args, "kill", "0")
					}
					_ = exec.Command(program("target"), args...).Run()
				}
			}()
			var sum uint64
			final, gone := map[string]int{}, map[string]int{}
			take := func() (more bool) {
				r := f.collect()
				for _, p := range r.Processes {
					switch pid := p.Resource["process.pid"]; p.Info.State {
					case emit.Final:
						final[pid]++
						sum += p.Counters["calls"]
					case emit.Gone:
						gone[pid]++
					}
				}
				return len(r.Processes) > 0
			}
			for running := true; running; {
				select {
				case <-ended:
					running = false
				default:
				}
				take()
			}
			for take() {
			}
			assert.EqualValues(t, processes*hits, sum)
			assert.Len(t, final, processes)
			assert.Equal(t, final, gone)
			for pid, times := range final {
				assert.Equal(t, 1, times, pid)
			}
			assert.Empty(t, f.tel.skipped)
		})
	}
}
