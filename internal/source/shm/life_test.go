package shm

import (
	"bufio"
	"encoding/binary"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
	"github.com/hotpath-metrics/hotpath/internal/source/segments/segmentstest"
)

func TestLiveSegmentIsDeliveredCumulativelyFromItsStart(t *testing.T) {
	f := setUp(t)
	live := f.publish("a", segmentstest.Requests(1))
	for _, n := range []uint64{0, 5, 12} {
		live.Word(segmenttest.StripeWord(0, 1)).Store(n)
		p := f.one()
		assert.Equal(t, map[string]uint64{"requests": n}, p.Counters)
		assert.Equal(t, emit.Live, p.State)
		assert.EqualValues(t, 1000, p.Start)
		assert.Zero(t, p.Time)
		f.src.Commit()
	}
	assert.Equal(t, []string{"a"}, f.names())
	assert.EqualValues(t, 1, f.tel.States["live"])
}

func TestLiveSegmentNeedsNothingRememberedAcrossARestart(t *testing.T) {
	f := setUp(t)
	live := f.publish("a", segmentstest.Requests(1))
	live.Word(segmenttest.StripeWord(0, 1)).Store(7)
	f.one()
	f.src.Commit()
	f.restart()
	live.Word(segmenttest.StripeWord(0, 1)).Store(9)
	p := f.one()
	assert.Equal(t, map[string]uint64{"requests": 9}, p.Counters)
	assert.EqualValues(t, 1000, p.Start)
}

func TestDeadSegmentIsDeliveredOnceThenNamedOnceThenForgotten(t *testing.T) {
	f := setUp(t)
	live := f.publish("a", segmentstest.Requests(1))
	first := f.one()
	f.src.Commit()
	live.Word(segmenttest.StripeWord(0, 1)).Store(3)
	live.Die()

	p := f.one()
	assert.Equal(t, emit.Final, p.State)
	assert.Equal(t, map[string]uint64{"requests": 3}, p.Counters)
	assert.Same(t, first.Address, p.Address)
	assert.Equal(t, []string{"a"}, f.names(), "not removed before it was accepted")
	f.src.Commit()
	assert.Empty(t, f.names())

	p = f.one()
	assert.Equal(t, emit.Gone, p.State)
	assert.Same(t, first.Address, p.Address)
	assert.Equal(t, []string{"requests"}, p.Order)
	f.src.Commit()
	assert.Empty(t, f.collect())
	f.src.Commit()
	assert.Zero(t, f.src.set.Len())
}

func TestDeadSegmentIsKeptWhileItsDeliveryIsRefused(t *testing.T) {
	f := setUp(t)
	live := f.publish("a", segmentstest.Requests(1))
	live.Word(segmenttest.StripeWord(0, 1)).Store(3)
	live.Die()
	for range 3 {
		p := f.one()
		assert.Equal(t, emit.Final, p.State)
		assert.Equal(t, map[string]uint64{"requests": 3}, p.Counters)
		assert.Equal(t, []string{"a"}, f.names())
	}
	f.src.Commit()
	for range 3 {
		assert.Equal(t, emit.Gone, f.one().State)
	}
	f.src.Commit()
	assert.Empty(t, f.collect())
}

func TestDeadSegmentWhoseDeliveryWasRefusedSurvivesARestart(t *testing.T) {
	f := setUp(t)
	live := f.publish("a", segmentstest.Requests(1))
	live.Word(segmenttest.StripeWord(0, 1)).Store(3)
	live.Die()
	f.one()
	f.restart()
	p := f.one()
	assert.Equal(t, emit.Final, p.State)
	assert.Equal(t, map[string]uint64{"requests": 3}, p.Counters)
}

func TestSegmentFirstSeenDeadIsDeliveredLikeADeadOne(t *testing.T) {
	f := unstarted(t)
	require.NoError(t, os.Mkdir(f.dir, 0o755))
	f.write("a", counting(segmentstest.Requests(1), 4))
	f.start()
	p := f.one()
	assert.Equal(t, emit.Final, p.State)
	assert.Equal(t, map[string]uint64{"requests": 4}, p.Counters)
	f.src.Commit()
	assert.Empty(t, f.names())
	assert.Equal(t, emit.Gone, f.one().State)
	f.src.Commit()
	assert.Empty(t, f.collect())
}

func TestSegmentFirstSeenDeadNeverMergesIntoALiveOne(t *testing.T) {
	f := unstarted(t)
	require.NoError(t, os.Mkdir(f.dir, 0o755))
	f.write("a", counting(segmentstest.Requests(1), 4))
	second := segmentstest.Requests(2)
	second.StartTime = 5000
	live := f.publish("b", second)
	live.Word(segmenttest.StripeWord(0, 1)).Store(9)
	f.start()

	processes := f.collect()
	require.Len(t, processes, 2)
	assert.Equal(t, emit.Final, processes[0].State, "the older value comes first")
	assert.Equal(t, map[string]uint64{"requests": 4}, processes[0].Counters)
	assert.EqualValues(t, 5000, processes[0].Time)
	assert.Equal(t, emit.Live, processes[1].State)
	assert.Equal(t, map[string]uint64{"requests": 9}, processes[1].Counters)
	f.src.Commit()

	assert.Equal(t, []string{"b"}, f.names())
	p := f.one()
	assert.Equal(t, emit.Live, p.State, "the dead one ends without a word: its series go on")
	assert.Equal(t, map[string]uint64{"requests": 9}, p.Counters)
	f.src.Commit()
	assert.Equal(t, 1, f.src.set.Len())
}

func TestSegmentThatDiesBeforeItsSiblingsKeepsCounting(t *testing.T) {
	f := setUp(t)
	a, b := f.publish("a", segmentstest.Requests(1)), f.publish("b", segmentstest.Requests(2))
	a.Word(segmenttest.StripeWord(0, 1)).Store(3)
	b.Word(segmenttest.StripeWord(0, 1)).Store(5)
	f.one()
	f.src.Commit()
	a.Die()
	for range 3 {
		p := f.one()
		assert.Equal(t, emit.Live, p.State)
		assert.Equal(t, map[string]uint64{"requests": 8}, p.Counters)
		f.src.Commit()
		assert.Equal(t, []string{"b"}, f.names())
	}
	b.Word(segmenttest.StripeWord(0, 1)).Add(1)
	b.Die()
	p := f.one()
	assert.Equal(t, emit.Final, p.State)
	assert.Equal(t, map[string]uint64{"requests": 9}, p.Counters)
	f.src.Commit()
	assert.Empty(t, f.names())
	assert.Equal(t, emit.Gone, f.one().State)
	f.src.Commit()
	assert.Empty(t, f.collect())
}

func TestCopyOfALiveSegmentNeverMergesIntoIt(t *testing.T) {
	for name, order := range map[string][2]string{"copy listed first": {"a", "z"}, "copy listed last": {"z", "a"}} {
		t.Run(name, func(t *testing.T) {
			f := unstarted(t)
			require.NoError(t, os.Mkdir(f.dir, 0o755))
			f.write(order[0], counting(segmentstest.Requests(1), 4))
			live := f.publish(order[1], segmentstest.Requests(1))
			live.Word(segmenttest.StripeWord(0, 1)).Store(9)
			f.start()
			p := f.one()
			assert.Equal(t, emit.Live, p.State)
			assert.Equal(t, map[string]uint64{"requests": 9}, p.Counters)
			assert.Equal(t, map[string]int64{"duplicate": 1}, f.tel.Skipped())
			assert.Equal(t, []string{order[1]}, f.names())
		})
	}
}

func TestCopyMadeWhileTheCollectorRunsIsRefused(t *testing.T) {
	f := setUp(t)
	live := f.publish("a", segmentstest.Requests(1))
	live.Word(segmenttest.StripeWord(0, 1)).Store(9)
	copied, err := os.ReadFile(live.Path)
	require.NoError(t, err)
	f.write("b", copied)
	assert.Equal(t, map[string]uint64{"requests": 9}, f.one().Counters)
	f.src.Commit()
	live.Die()
	assert.Equal(t, emit.Final, f.one().State)
	f.src.Commit()

	f.write("c", copied) // of a segment that ended
	assert.Equal(t, emit.Gone, f.one().State)
	f.src.Commit()
	assert.Empty(t, f.collect())
	assert.Empty(t, f.names())
	assert.Equal(t, map[string]int64{"duplicate": 2}, f.tel.Skipped())
}

func TestCopyOfADeadSegmentIsDeliveredOnce(t *testing.T) {
	f := unstarted(t)
	require.NoError(t, os.Mkdir(f.dir, 0o755))
	f.write("a", counting(segmentstest.Requests(1), 4))
	f.write("b", counting(segmentstest.Requests(1), 4))
	f.start()
	assert.Equal(t, map[string]uint64{"requests": 4}, f.one().Counters)
	f.src.Commit()
	assert.Empty(t, f.names())
}

func TestCorruptSegmentIsCountedAndLoggedOnceAndHarmsNoOther(t *testing.T) {
	f := setUp(t)
	bad := f.publish("bad", segmentstest.Requests(1))
	good := segmentstest.Requests(2)
	good.PID = 43
	f.publish("good", good)
	require.Len(t, f.collect(), 2)
	f.src.Commit()
	bad.Word(layout.OffCatalogueUsed).Store(math.MaxUint64 - 7)

	processes := f.collect()
	require.Len(t, processes, 2)
	assert.Equal(t, emit.Gone, processes[0].State, "what was delivered of it ends")
	assert.Equal(t, emit.Live, processes[1].State)
	f.src.Commit()
	for range 3 {
		require.Len(t, f.collect(), 1)
		f.src.Commit()
	}
	assert.Equal(t, map[string]int64{"bounds": 1}, f.tel.Skipped())
	assert.Equal(t, 1, f.logs.FilterMessage("Not reading a file in the segment directory").Len())
	assert.Equal(t, []string{"bad", "good"}, f.names(), "not removed while its writer lives")

	bad.Die()
	f.collect()
	assert.Equal(t, []string{"good"}, f.names(), "removed when its writer ended")
}

func TestBadCatalogueIsLoggedOnceHoweverOftenItsFileChanges(t *testing.T) {
	f := setUp(t)
	b := segmentstest.Requests(1).Bytes()
	segmenttest.Put(b, segmenttest.CatalogueOffset, 0)
	live, err := segmenttest.Publish(f.dir, "a", b)
	require.NoError(t, err)
	t.Cleanup(live.Die)
	f.noticed()
	for i := range 4 {
		assert.Empty(t, f.collect())
		f.src.Commit()
		require.NoError(t, os.Chmod(live.Path, 0o600+os.FileMode(i)))
	}
	assert.Equal(t, map[string]int64{"catalogue": 1}, f.tel.Skipped())
	assert.Equal(t, 1, f.logs.Len(), "%v", f.logs.All())
	assert.Zero(t, f.src.set.Len())
	live.Die()
	f.collect()
	f.collect()
	assert.Empty(t, f.names())
}

func TestDeadSegmentThatAnotherCollectorCouldReadIsNotRemoved(t *testing.T) {
	for name, tt := range map[string]struct {
		bytes  func(id uint64) []byte
		reason string
	}{
		"one of a newer version": {func(id uint64) []byte {
			b := segmentstest.Requests(id).Bytes()
			segmenttest.Put(b, layout.OffMajor, 2)
			return b
		}, "version"},
		"one beyond the configured size": {func(id uint64) []byte {
			s := segmentstest.Requests(id)
			s.Records[1].Slot = segmenttest.StripeSize/8 - 1
			return s.Bytes()
		}, "too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			f := unstarted(t)
			f.limits.SegmentSize = segmenttest.StripeSize
			f.renew()
			f.start()
			live, err := segmenttest.Publish(f.dir, "a", tt.bytes(1))
			require.NoError(t, err)
			defer live.Die()
			f.noticed()
			f.write("b", tt.bytes(2)) // dead at once
			for range 3 {
				assert.Empty(t, f.collect())
				f.src.Commit()
				live.Die()
			}
			assert.Equal(t, []string{"a", "b"}, f.names())
			assert.Zero(t, f.src.set.Len())
			assert.EqualValues(t, 2, f.tel.States["skipped"])
			assert.Equal(t, map[string]int64{tt.reason: 2}, f.tel.Skipped())
			assert.Equal(t, 2, f.logs.Len(), "%v", f.logs.All())
		})
	}
}

func TestHeaderThatChangesMakesASegmentCorrupt(t *testing.T) {
	f := setUp(t)
	live := f.publish("a", segmentstest.Requests(1))
	f.one()
	live.Fixed(layout.OffStripesOffset, segmenttest.StripesOffset+64)
	p := f.one()
	assert.Equal(t, emit.Gone, p.State)
	assert.Equal(t, map[string]int64{"header": 1}, f.tel.Skipped())
}

func TestFileThatNeverWasASegmentIsNeverRemoved(t *testing.T) {
	f := setUp(t)
	f.write("short", []byte("HOTPATH\n")) // truncated, dead, and it began like one
	f.write("strange", []byte("HOTPATH?"))
	f.collect()
	f.src.Commit()
	assert.Equal(t, []string{"strange"}, f.names())
	assert.Equal(t, map[string]int64{"truncated": 1, "magic": 1}, f.tel.Skipped())
}

func TestRemovedSegmentIsDeliveredFromItsDescriptorUntilItEnds(t *testing.T) {
	f := setUp(t)
	live := f.publish("a", segmentstest.Requests(1))
	f.one()
	f.src.Commit()
	require.NoError(t, os.Remove(live.Path))
	live.Word(segmenttest.StripeWord(0, 1)).Store(6)
	p := f.one()
	assert.Equal(t, emit.Live, p.State)
	assert.Equal(t, map[string]uint64{"requests": 6}, p.Counters)
	f.src.Commit()
	live.Word(segmenttest.StripeWord(0, 1)).Store(8)
	live.Die()
	p = f.one()
	assert.Equal(t, emit.Final, p.State)
	assert.Equal(t, map[string]uint64{"requests": 8}, p.Counters)
}

func TestSegmentRemovedBeforeTheFirstCollectionIsDelivered(t *testing.T) {
	f := setUp(t)
	live := f.publish("a", segmentstest.Requests(1))
	live.Word(segmenttest.StripeWord(0, 1)).Store(6)
	live.Die()
	require.NoError(t, os.Remove(live.Path))
	p := f.one()
	assert.Equal(t, emit.Final, p.State)
	assert.Equal(t, map[string]uint64{"requests": 6}, p.Counters)
}

func TestAnotherFileUnderTheNameOfADeadSegmentIsNotRemoved(t *testing.T) {
	f := setUp(t)
	live := f.publish("a", segmentstest.Requests(1))
	f.one()
	live.Die()
	f.one()
	other := f.write("b", []byte("precious"))
	require.NoError(t, os.Rename(other, live.Path))
	f.src.Commit()
	assert.Equal(t, []string{"a"}, f.names())
}

func TestRenamedSegmentIsRemovedUnderItsNewName(t *testing.T) {
	f := setUp(t)
	live := f.publish("a", segmentstest.Requests(1))
	require.NoError(t, os.Rename(live.Path, filepath.Join(f.dir, "b")))
	f.noticed()
	live.Die()
	f.one()
	f.src.Commit()
	assert.Empty(t, f.names())
}

func TestProcessWithoutSeriesIsNotDelivered(t *testing.T) {
	f := setUp(t)
	s := segmentstest.Requests(1)
	s.Records = s.Records[:1]
	live := f.publish("a", s)
	assert.Empty(t, f.collect())
	f.src.Commit()
	live.Add(segmenttest.Counter(1, "requests"))
	assert.Equal(t, map[string]uint64{"requests": 0}, f.one().Counters, "a series counts from zero at once")
	f.src.Commit()

	s.ID, s.PID = 2, 43
	f.publish("b", s).Die()
	require.Len(t, f.collect(), 1)
	assert.Equal(t, []string{"a"}, f.names(), "nothing to deliver, nothing to wait for")
}

func TestGaugeIsDeliveredOnceItIsSet(t *testing.T) {
	f := setUp(t)
	s := segmentstest.Requests(1)
	s.Records = append(s.Records[:1:1], segmenttest.Gauge(1, "g"), segmenttest.Gauge(2, "never"))
	b := s.Bytes()
	segmenttest.Put(b, segmenttest.SharedWord(1), layout.GaugeUnset)
	segmenttest.Put(b, segmenttest.SharedWord(2), layout.GaugeUnset)
	live, err := segmenttest.Publish(f.dir, "a", b)
	require.NoError(t, err)
	f.noticed()
	assert.Empty(t, f.collect())
	live.Word(segmenttest.SharedWord(1)).Store(math.Float64bits(2.5))
	assert.Equal(t, map[string]float64{"g": 2.5}, f.one().Gauges)
	live.Die()
	f.one()
	f.src.Commit()
	p := f.one()
	assert.Equal(t, emit.Gone, p.State)
	assert.Equal(t, []string{"g"}, p.Order, "what was never delivered does not end")
}

func TestKilledProcessLosesNoCompletedAdd(t *testing.T) {
	f := setUp(t)
	for range 10 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childEnv+"="+f.dir)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		pipe := bufio.NewReader(out)
		_, err = pipe.ReadString('\n')
		require.NoError(t, err)
		f.noticed()
		p := f.one()
		assert.Equal(t, emit.Live, p.State)
		assert.EqualValues(t, child.Process.Pid, p.Attribute("process.pid"), "the kernel's word, not the client's")
		assert.Equal(t, filepath.Base(os.Args[0]), p.Attribute("process.executable.name"))
		f.src.Commit()

		killed := make(chan error, 1)
		time.AfterFunc(time.Duration(rand.IntN(20))*time.Millisecond, func() { killed <- child.Process.Kill() })
		var completed uint64
		for word := make([]byte, 8); ; {
			if _, err := io.ReadFull(pipe, word); err != nil {
				break
			}
			completed = binary.NativeEndian.Uint64(word)
		}
		require.NoError(t, <-killed)
		_ = child.Wait()

		p = f.one()
		assert.Equal(t, emit.Final, p.State)
		assert.GreaterOrEqual(t, p.Counters["requests"], completed)
		assert.LessOrEqual(t, p.Counters["requests"], completed+1)
		f.src.Commit()
		assert.Equal(t, emit.Gone, f.one().State)
		f.src.Commit()
		assert.Empty(t, f.names())
	}
}

func TestProcessThatAnEarlierCollectorMayHaveDeliveredIsMarked(t *testing.T) {
	f := setUp(t)
	old, now := segmentstest.Requests(1), segmentstest.Requests(2)
	old.StartTime = time.Now().UnixNano()
	time.Sleep(10 * time.Millisecond)
	f.publish("old", old)
	assert.False(t, f.one().Seen)
	f.restart()
	assert.False(t, f.one().Seen, "nothing was delivered yet")
	f.src.Commit()
	now.PID, now.StartTime = 43, time.Now().Add(time.Millisecond).UnixNano()
	f.publish("new", now)
	f.restart()
	processes := f.collect()
	require.Len(t, processes, 2)
	for _, p := range processes {
		assert.Equal(t, p.Start == old.StartTime, p.Seen)
	}
}

func TestStartInTheFutureIsLoweredOnceForGood(t *testing.T) {
	f := setUp(t)
	s := segmentstest.Requests(1)
	s.StartTime = time.Now().Add(time.Hour).UnixNano()
	f.publish("a", s)
	for range 2 { // when it is found, and when the clock is set back later
		began := time.Now().UnixNano()
		first := f.one()
		assert.Less(t, first.Start, began, "not even in the time that the batch took to get here")
		for range 3 {
			time.Sleep(time.Millisecond)
			assert.Equal(t, first.Start, f.one().Start)
		}
		first.Address.Start = s.StartTime
	}
}

func TestSuccessorThatStartsInTheFutureMovesNoPointThere(t *testing.T) {
	f := setUp(t)
	f.publish("a", segmentstest.Requests(1)).Die()
	f.one()
	f.publish("b", successor(time.Now().Add(time.Hour).UnixNano()))
	processes := f.collect()
	require.Len(t, processes, 2)
	assert.Equal(t, emit.Final, processes[0].State)
	assert.LessOrEqual(t, processes[0].Time, time.Now().UnixNano())
	assert.GreaterOrEqual(t, processes[0].Time, processes[0].Start)
	assert.Equal(t, processes[1].Start, processes[0].Time)
}
