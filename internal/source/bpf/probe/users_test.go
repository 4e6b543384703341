package probe

import (
	"fmt"
	"os/exec"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// crowd has another user's processes do what they can, and wait.
func crowd(t *testing.T, n int, args ...string) []*running {
	var all []*running
	for range n {
		all = append(all, spawnCommand(t, as(nobody, exec.Command(program("target"), append(args, "wait", "0")...))))
	}
	return all
}

// disperse ends them, and has that delivered.
func disperse(f *fixture, all []*running) {
	for _, p := range all {
		p.finish()
	}
	f.collect()
	f.collect()
}

// accounts are empty but for what is said of everybody.
func checkAccounts(t *testing.T, f *fixture) {
	t.Helper()
	var key processesUserKey
	var has processesUser
	for entries := f.common.charges.users.Iterate(); entries.Next(&key, &has); {
		assert.EqualValues(t, everybody, key.Uid)
	}
	assert.Len(t, f.common.charges.back, 1)
	for _, p := range f.probes {
		var share probeShare
		require.ErrorIs(t, p.loaded.maps[probeMapShares].NextKey(nil, &share), ebpf.ErrKeyNotExist)
		assert.Empty(t, p.reader.back)
	}
}

func TestHostOneUsersProcessesLeaveRoomForOthers(t *testing.T) {
	limits := ample
	limits.Processes = 16
	f := startWithin(t, limits, `
- metric: {name: n, type: counter}
  uprobe: {binary: '${target}', symbol: do_work}
`)
	for range 2 { // and again, when all of them have ended
		all := crowd(t, 20, "work", "3")
		honest := spawn(t, "target", "work", "5", "wait", "0")
		before := f.skipped("process_limit")
		r := f.collect()
		assert.EqualValues(t, 5, of(r, honest.pid).Counters["n"])
		assert.Len(t, r.Processes, 1+12, "three quarters are one user's at most")
		assert.EqualValues(t, 8*3, f.skipped("process_limit")-before)
		disperse(f, append(all, honest))
		checkAccounts(t, f)
	}
}

func TestHostOneUsersSeriesLeaveRoomForOthers(t *testing.T) {
	const maxSeries = 1000
	f := start(t, fmt.Sprintf(`
- metric: {name: n, type: counter}
  uprobe: {binary: '${target}', symbol: text}
  attributes: {s: {arg: 0, type: string}}
  max_series: %d
`, maxSeries))
	for range 2 {
		all := crowd(t, 20, "strings", "1000")
		honest := spawn(t, "target", "strings", "100", "wait", "0")
		r := f.collect()
		q := of(r, honest.pid)
		assert.Len(t, q.Counters, 100)
		assert.NotContains(t, q.Counters, "n"+overflow)
		theirs := 0
		for _, p := range all {
			assert.EqualValues(t, 1000, counted(of(r, p.pid)))
			theirs += len(of(r, p.pid).Counters) - 1 // the one with the rest
		}
		assert.Equal(t, 3*maxSeries/4, theirs)
		disperse(f, append(all, honest))
		checkAccounts(t, f)
	}
	assert.Empty(t, f.tel.skipped)
}

func TestHostOneUsersCallsLeaveRoomForOthers(t *testing.T) {
	f := start(t, replaced(durations, "nested"))
	for range 2 {
		all := crowd(t, 16, "nested", "9999") // the kernel lets 64 of them return
		f.collect()
		before := f.skipped("call_limit")
		honest := spawn(t, "target", "nested", "999", "wait", "0")
		p := of(f.collect(), honest.pid)
		assert.EqualValues(t, 1000, p.Counters["calls"])
		assert.EqualValues(t, 64, p.Histograms["d"].Count)
		assert.Equal(t, before, f.skipped("call_limit"))
		disperse(f, append(all, honest))
		checkAccounts(t, f)
	}
}
