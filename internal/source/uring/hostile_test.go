package uring

import (
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
	"github.com/hotpath-metrics/hotpath/internal/source/uring/uringtest"
)

func TestWordsThatAreNoneAreCountedAndPassedOver(t *testing.T) {
	f := setUp(t)
	honest := f.bystander()
	h := anyone()
	h.Shared, h.Stripe = 64, 4096
	c := f.connect(h, requests)
	for _, index := range []int32{512, 1 << 28, uringtest.Shared - 1, uringtest.Shared + 8, uringtest.Counter - 1, uringtest.Counter + 5, 1<<31 - 1, -1, -1 << 31} {
		require.NoError(t, c.Tell(uringtest.Word{Index: index, Value: 1<<64 - 1}))
	}
	require.NoError(t, c.Tell(uringtest.Word{Index: 0, Value: 9}, uringtest.Word{Index: 511, Value: 9}, uringtest.Word{Index: 1, Value: 5},
		uringtest.Word{Index: uringtest.Shared + 7, Value: 9}))
	assert.EqualValues(t, 5, f.collect().Total("requests"))
	assert.EqualValues(t, 9, f.tel.noWord.Load())
	honest.check()
}

func TestIDsNeverDeclaredTakeNoMoreThanTheirImageMay(t *testing.T) {
	f := setUp(t, func(_ *Config, l *segments.Limits) { l.SegmentSize = 1 << 20 })
	honest := f.bystander()
	h := anyone()
	h.Stripe = 1 << 29
	c := f.connect(h, requests)
	var words []uringtest.Word
	for i := int32(0); i < 1<<26; i += 1 << 12 { // each in a page of its own
		words = append(words, uringtest.Word{Index: i, Value: 7})
	}
	require.NoError(t, c.Tell(words...))
	require.NoError(t, c.Tell(uringtest.Word{Index: 1, Value: 5}))
	assert.EqualValues(t, 5, f.collect().Total("requests"))
	assert.Greater(t, f.tel.noMemory.Load(), int64(16000))
	f.inside(func(h *hub) { assert.LessOrEqual(t, h.memory.sum, int64(1<<20+20*pageSize)) })
	honest.check()
}

func TestMemoryOfOneUserIsBounded(t *testing.T) {
	f := setUp(t, func(_ *Config, l *segments.Limits) { l.SegmentSize = 256 << 10 })
	for range 2 * memoryPerUID {
		c, err := uringtest.Connect(f.cfg.Socket, anyone(), requests)
		if err != nil {
			require.ErrorContains(t, err, "memory_limit")
			break
		}
		defer c.Close()
		_ = c.Tell(uringtest.Word{Index: 30 << 10, Value: 7}) // 240 KiB
		f.collect()
	}
	assert.Positive(t, f.tel.noMemory.Load()+f.tel.Skipped()["memory_limit"])
	f.inside(func(h *hub) { assert.LessOrEqual(t, h.memory.sum, int64(memoryPerUID*256<<10)) })
}

func Test65536Series(t *testing.T) {
	f := setUp(t)
	honest := f.bystander()
	h := anyone()
	h.Catalogue = 8 << 20
	c := f.connect(h)
	const all = 65536
	for at := 0; at < all; at += 1024 {
		records := make([]segmenttest.Record, 1024)
		for i := range records {
			records[i] = segmenttest.Counter(uint64(at+i+1), "many", segmenttest.Int("i", int64(at+i)))
		}
		require.NoError(t, c.Send(uringtest.Series(records...)))
	}
	words := make([]uringtest.Word, all)
	for i := range words {
		words[i] = uringtest.Word{Index: int32(i + 1), Value: uint64(i)}
	}
	require.NoError(t, c.Tell(words...))
	f.eventually(func(h *hub) bool {
		for _, c := range h.clients {
			if c.declared() == all {
				return true
			}
		}
		return false
	}, "all arrive")
	var found map[string]uint64
	for _, p := range f.collect().Processes {
		if len(p.Counters) > 1 {
			found = p.Counters
		}
	}
	require.Len(t, found, 20_000)
	assert.EqualValues(t, 19_999, found["many{i=19999}"])
	assert.EqualValues(t, all-20_000, f.tel.Series["limit"])
	honest.check()
}

func TestForgedTailsEndTheConnectionOrLie(t *testing.T) {
	f := setUp(t)
	honest := f.bystander()
	for _, ahead := range []uint32{4097, 1 << 31, 1<<32 - 1} {
		c := f.connect(anyone(), requests)
		f.mu.Lock()
		require.NoError(t, c.Flood(uringtest.Word{Index: 1, Value: 5})) // by which it is looked at
		atomic.StoreUint32(c.Target.Word(c.Target.P.CQ.Tail), c.Target.Head()+ahead)
		f.mu.Unlock()
		assert.Contains(t, refusal(t, c), "claims to hold more")
	}
	assert.EqualValues(t, 3, f.tel.Skipped()["ring"])
	honest.check()
}

func TestForgedCompletionsAndHeadsCostNobodyElse(t *testing.T) {
	f := setUp(t)
	honest := f.bystander()
	c := f.connect(anyone(), requests)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := uint32(0); ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			for i := range c.Target.Mem[c.Target.P.CQ.CQEs:][:4096] {
				c.Target.Mem[int(c.Target.P.CQ.CQEs)+i] = byte(n * 7)
			}
			atomic.StoreUint32(c.Target.Word(c.Target.P.CQ.Tail), c.Target.Head()+n%4097)
			atomic.StoreUint32(c.Target.Word(c.Target.P.CQ.Head), n)
			_ = c.Flood(uringtest.Word{Index: 1, Value: uint64(n)})
			if hungUp(c) {
				_ = c.Target.Flush()
			}
		}
	}()
	for range 20 {
		honest.check()
	}
	close(stop)
	<-done
}

// readOnce is a client whose ring was read, so that what overflows afterwards is not refused at once.
func (f *fixture) readOnce(h uringtest.Hello) *uringtest.Client {
	f.Helper()
	c := f.connect(h, requests)
	before := f.reads()
	require.NoError(f, c.Tell(uringtest.Word{Index: 1, Value: 1}))
	require.Eventually(f, func() bool { return f.reads() > before }, 10*time.Second, time.Millisecond)
	return c
}

func (f *fixture) reads() (n int64) {
	f.inside(func(h *hub) { n = h.read })
	return n
}

func TestFloodIsDroppedByTheBudgetAndMayComeBack(t *testing.T) {
	f := setUp(t, func(c *Config, _ *segments.Limits) { c.CQEntries, c.OverflowBudget = 256, 64<<10 })
	honest := f.bystander()
	h := anyone()
	h.Start = uint64(time.Now().UnixNano())
	c := f.readOnce(h)
	words := make([]uringtest.Word, 256)
	for i := range words {
		words[i] = uringtest.Word{Index: 1, Value: 7}
	}
	for began := time.Now(); !hungUp(c); {
		require.NoError(t, c.Flood(words...))
		require.Less(t, time.Since(began), 10*time.Second)
	}
	assert.Contains(t, refusal(t, c), "there was no room")
	assert.EqualValues(t, 1, f.tel.Skipped()["overflow"])
	c.Close()
	c = f.connect(h, requests)
	require.NoError(t, c.Tell(uringtest.Word{Index: 1, Value: 8}))
	assert.EqualValues(t, 8, f.collect().Total("requests"))
	honest.check()
}

func TestOverflowBelowTheBudgetIsForgivenIfItIsTakenBack(t *testing.T) {
	f := setUp(t, func(c *Config, _ *segments.Limits) { c.CQEntries, c.OverflowBudget = 64, 1<<30 })
	c := f.readOnce(anyone())
	f.mu.Lock() // nobody reads meanwhile
	for i := range 100 {
		require.NoError(t, c.Flood(uringtest.Word{Index: 1, Value: uint64(i)}))
	}
	f.mu.Unlock()
	f.eventually(func(h *hub) bool { return h.read == 65 }, "the queue is read")
	require.NoError(t, c.Target.Flush())
	f.eventually(func(h *hub) bool { return h.read == 101 }, "the rest is read")
	require.NoError(t, c.Tell(uringtest.Word{Index: 1, Value: 500}))
	assert.EqualValues(t, 500, f.collect().Total("requests"))
	time.Sleep(overflowTime + 200*time.Millisecond)
	f.collect()
	assert.Empty(t, f.tel.Skipped())
}

func TestOverflowThatStaysEndsTheConnection(t *testing.T) {
	f := setUp(t, func(c *Config, _ *segments.Limits) { c.CQEntries, c.OverflowBudget = 64, 1<<30 })
	c := f.readOnce(anyone())
	f.mu.Lock()
	for i := range 100 {
		require.NoError(t, c.Flood(uringtest.Word{Index: 1, Value: uint64(i)}))
	}
	f.mu.Unlock()
	assert.Contains(t, refusal(t, c), "not taken back within 1s")
}

func TestOverflowIsNoLongerBorneThanTheBudgetMayLast(t *testing.T) {
	f := setUp(t, func(c *Config, _ *segments.Limits) { c.CQEntries, c.OverflowBudget = 64, 4<<20 })
	c := f.readOnce(anyone())
	f.mu.Lock()
	for range 100 {
		require.NoError(t, c.Flood(uringtest.Word{Index: 1, Value: 1}))
	}
	f.mu.Unlock()
	assert.Contains(t, refusal(t, c), "not taken back within 13.1072ms")
}

// What the kernel tells of a ring is as long as its owner wants it to be.
func TestRingThatKnowsMuchHoldsNobodyUpWhenItOverflows(t *testing.T) {
	const files = 15_000
	needDescriptors(t, files) // or no more can be registered
	f := setUp(t, func(c *Config, _ *segments.Limits) { c.CQEntries = 64 })
	honest := f.bystander()
	c := f.readOnce(anyone())
	dir := t.TempDir()
	t.Chdir(dir)
	for range 15 {
		name := strings.Repeat("x", 250)
		require.NoError(t, os.Mkdir(name, 0o755))
		require.NoError(t, os.Chdir(name))
	}
	file, err := os.Create("file")
	require.NoError(t, err)
	defer file.Close()
	fds := make([]int32, files)
	for i := range fds {
		fds[i] = int32(file.Fd())
	}
	require.NoError(t, c.Target.RegisterFiles(fds))
	began := time.Now()
	f.mu.Lock()
	for range 100 {
		require.NoError(t, c.Flood(uringtest.Word{Index: 1, Value: 1}))
	}
	f.mu.Unlock()
	honest.check()
	assert.Less(t, time.Since(began), time.Second)
	assert.Contains(t, refusal(t, c), "there was no room")
}

func TestRingThatOverflowedBeforeItIsOfferedIsRefused(t *testing.T) {
	f := setUp(t, func(c *Config, _ *segments.Limits) { c.CQEntries = 64 })
	honest := f.bystander()
	c := f.dial()
	require.NoError(t, c.Rings(0))
	words := make([]uringtest.Word, 200_000)
	require.NoError(t, c.Flood(words...))
	require.NoError(t, c.Say(anyone(), requests))
	assert.Contains(t, refusal(t, c), "had no room when it was offered")
	honest.check()
}

func TestRingsOfOtherKinds(t *testing.T) {
	for name, flags := range map[string]uint32{
		"IOPOLL": uringtest.IOPoll, "R_DISABLED": uringtest.Disabled, "CQE32": uringtest.CQE32, "SQPOLL": uringtest.SQPoll,
		"DEFER_TASKRUN": uringtest.SingleIssuer | uringtest.DeferTaskrun,
	} {
		t.Run(name, func(t *testing.T) {
			f := setUp(t)
			honest := f.bystander()
			c := f.dial()
			require.NoError(t, c.Rings(flags))
			require.NoError(t, c.Say(anyone(), requests))
			for i := range 200 {
				require.NoError(t, c.Flood(uringtest.Word{Index: 1, Value: uint64(i)}))
			}
			honest.check()
			c.Close()
			honest.check()
		})
	}
}

func TestRingOfTheWrongSizeIsRefused(t *testing.T) {
	f := setUp(t)
	for _, size := range []uint32{64, 2048, 8192} {
		c := f.dial()
		c.Entries = size
		require.NoError(t, c.Rings(0))
		h := anyone()
		h.Ring = c.Target.FD
		require.NoError(t, c.Send(h.Bytes()))
		assert.Contains(t, refusal(t, c), "cannot be mapped in the size")
	}
}

func TestRingThatIsResizedLater(t *testing.T) {
	f := setUp(t)
	honest := f.bystander()
	c := f.dial()
	require.NoError(t, c.Rings(uringtest.SingleIssuer|uringtest.DeferTaskrun))
	require.NoError(t, c.Say(anyone(), requests))
	for _, size := range []uint32{8, 65536, 64} {
		if err := c.Target.Resize(1, size); errors.Is(err, unix.EINVAL) {
			t.Skipf("resizing takes Linux 6.13: %v", err)
		} else if err != nil {
			t.Log(err) // the kernel does not want to at this moment
		}
		for i := range 200 {
			require.NoError(t, c.Flood(uringtest.Word{Index: 1, Value: uint64(i)}))
		}
		_ = c.Target.Flush()
		honest.check()
		f.collect() // the mapping is given up, and made anew
	}
}

func TestRingThatIsClosedOrReplacedByItsOwner(t *testing.T) {
	f := setUp(t)
	honest := f.bystander()
	c := f.connect(anyone(), requests)
	require.NoError(t, c.Tell(uringtest.Word{Index: 1, Value: 5}))
	other, err := uringtest.NewRing(1, c.Entries, 0)
	require.NoError(t, err)
	defer other.Close()
	require.NoError(t, unix.Dup3(other.FD, c.Target.FD, unix.O_CLOEXEC)) // at the same number
	require.NoError(t, c.Sender.Post(other.FD, uringtest.MsgRing(0, 1, 99)))
	honest.check()
	assert.EqualValues(t, 5, f.collect().Total("requests"), "it has the ring that was offered")
}

func TestRingOfTwoClients(t *testing.T) {
	f := setUp(t)
	honest := f.bystander()
	a := f.connect(anyone(), requests)
	b := f.dial()
	h := anyone()
	h.Ring = a.Target.FD
	require.NoError(t, b.Say(h, requests))
	for i := range 5000 {
		if a.Target.Room() == 0 {
			time.Sleep(time.Millisecond)
		}
		require.NoError(t, a.Flood(uringtest.Word{Index: 1, Value: uint64(i)}))
	}
	honest.check()
}

func TestDescriptorWhoseClosingTakesLongHoldsNobodyUp(t *testing.T) {
	f := setUp(t)
	honest := f.bystander()
	// The last descriptor of a socket that lingers over what its peer does not take is closed after a minute.
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(listener)
	require.NoError(t, unix.SetsockoptInt(listener, unix.SOL_SOCKET, unix.SO_RCVBUF, 2048))
	require.NoError(t, unix.Bind(listener, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, unix.Listen(listener, 8))
	at, err := unix.Getsockname(listener)
	require.NoError(t, err)
	slow, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	require.NoError(t, unix.Connect(slow, at))
	require.NoError(t, unix.SetsockoptLinger(slow, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 2}))
	for err == nil {
		_, err = unix.SendmsgN(slow, make([]byte, 64<<10), nil, nil, unix.MSG_DONTWAIT)
	}
	began := time.Now()
	uid := uint32(os.Getuid())
	f.inside(func(h *hub) { h.foreign.close(slow, uid) })
	honest.check()
	assert.Less(t, time.Since(began), time.Second)

	f.inside(func(h *hub) { h.foreign.count(uid, foreignPerUID) }) // and so on
	c := f.dial()
	require.NoError(t, c.Rings(0))
	h := anyone()
	h.Ring = c.Target.FD
	require.NoError(t, c.Send(h.Bytes()))
	assert.Contains(t, refusal(t, c), "still being closed")
	f.inside(func(h *hub) {
		assert.False(t, h.foreign.full(uid+1), "others are not concerned")
		h.foreign.count(uid, -foreignPerUID)
	})
	f.eventually(func(h *hub) bool {
		h.foreign.mu.Lock()
		defer h.foreign.mu.Unlock()
		return h.foreign.sum == 0
	}, "in the end it is closed")
	f.bystander().check()
}
