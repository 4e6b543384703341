package probe

import (
	"encoding/binary"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const calledAsEvents = `
- metric: {name: n, type: counter}
  uprobe: {binary: '${target}', symbol: do_work}
  mode: events
`

func TestEventsAreReadOrCountedAsDropped(t *testing.T) {
	each := 125_000
	if testing.Short() {
		each = 5000
	}
	f := start(t, calledAsEvents)
	ended := make(chan error)
	go func() { ended <- exec.Command(program("target"), "threads", fmt.Sprint(each), "wait", "0").Run() }()
	var sum uint64
	for running := true; running; {
		select {
		case err := <-ended:
			require.NoError(t, err)
			running = false
		case <-time.After(10 * time.Millisecond):
		}
		for _, p := range f.collect().Processes {
			sum = p.Counters["n"]
		}
	}
	t.Logf("%d of %d dropped", f.tel.dropped, 8*each)
	assert.EqualValues(t, f.tel.read, sum)
	assert.EqualValues(t, 8*each, f.tel.read+f.tel.dropped)
	assert.Empty(t, f.tel.skipped)
}

func TestHostWhatTheRingBufferHasNoRoomForIsCounted(t *testing.T) {
	f := start(t, calledAsEvents)
	f.mu.Lock() // so that nothing is read
	run(t, "target", "work", "300000")
	f.mu.Unlock()
	p := only(t, f.collect())
	assert.Positive(t, f.tel.dropped)
	assert.EqualValues(t, 300_000, f.tel.read+f.tel.dropped)
	assert.EqualValues(t, f.tel.read, p.Counters["n"])
	dropped := f.tel.dropped
	run(t, "target", "work", "10")
	f.collect()
	assert.Equal(t, dropped, f.tel.dropped, "counted once")
}

func TestFewEventsWakeNobody(t *testing.T) {
	f := start(t, calledAsEvents)
	run(t, "target", "work", "1000")
	time.Sleep(100 * time.Millisecond)
	f.mu.Lock()
	read := f.read
	f.mu.Unlock()
	require.Zero(t, read)
	require.EqualValues(t, 1000, only(t, f.collect()).Counters["n"])
}

func TestHostManyEventsAreReadBeforeACollection(t *testing.T) {
	f := start(t, calledAsEvents)
	run(t, "target", "work", "10000")
	require.Eventually(t, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.read > 1000
	}, 10*time.Second, time.Millisecond)
}

func TestShutdownWhileEventsPourIn(t *testing.T) {
	for range 3 {
		f := newFixture(t, ample, calledAsEvents)
		require.NoError(t, f.begin())
		p := exec.Command(program("target"), "threads", "20000")
		require.NoError(t, p.Start())
		time.Sleep(30 * time.Millisecond)
		began := time.Now()
		f.end()
		assert.Less(t, time.Since(began), 10*time.Second)
		require.NoError(t, p.Wait())
	}
}

func TestHostEventsInTheOrderThatTheyWereMade(t *testing.T) {
	f := start(t, "- metric: {name: n, type: gauge}\n  value: arg0\n  mode: events\n"+onRaw)
	run(t, "target", "count", "10000")
	require.EqualValues(t, 9999, only(t, f.collect()).Gauges["n"])
}

// unattached is a source with probes of all sorts of keys, which are nowhere.
func unattached(t testing.TB) *fixture {
	return start(t, `
- metric: {name: a, type: counter}
  uprobe: {binary: /nowhere/at/all, symbol: f}
  mode: events
- metric: {name: b, type: histogram}
  uprobe: {binary: /nowhere/at/all, symbol: f}
  value: arg0
  mode: events
  attributes: {s: {arg: 0, type: string, length: 128}, i: {arg: 1}, t: {arg: 2, type: string, length: 1}, b: {arg: 3, type: bool}}
- metric: {name: c, type: gauge}
  uprobe: {binary: /nowhere/at/all, symbol: f}
  value: arg0
  mode: events
  attributes: {s: {arg: 0, type: string}}
`)
}

func event(probe int, value uint64, rest ...byte) []byte {
	b := make([]byte, eventSize, eventSize+len(rest))
	binary.NativeEndian.PutUint32(b, uint32(probe))
	binary.NativeEndian.PutUint64(b[8:], value)
	return append(b, rest...)
}

func FuzzHeed(f *testing.F) {
	s := unattached(f)
	id := processesProcessId{}
	require.NoError(f, s.common.processes.Put(id, processesProcess{Known: 1}))
	f.Add(event(0, 1))
	f.Add(event(1, 2, make([]byte, 200)...))
	f.Add(event(2, 3, make([]byte, 40)...))
	f.Add(event(3, 3))
	f.Add([]byte{1})
	f.Fuzz(func(_ *testing.T, b []byte) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.heed(b)
	})
}

func FuzzKey(f *testing.F) {
	s := unattached(f)
	f.Add(uint8(1), make([]byte, 300))
	f.Fuzz(func(t *testing.T, number uint8, b []byte) {
		p := s.probes[int(number)%len(s.probes)]
		if len(b) < p.reader.keySize {
			return
		}
		k := parseKey(b[:p.reader.keySize])
		require.NotNil(t, p.put(&k))
	})
}

func FuzzParseMapped(f *testing.F) {
	f.Add(make([]byte, mappedSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < mappedSize {
			return
		}
		m := parseMapped((*[mappedSize]byte)(b))
		require.LessOrEqual(t, len(m.name), mappedSize-32)
	})
}
