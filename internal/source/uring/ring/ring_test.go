package ring

import (
	"os"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/source/uring/uringtest"
)

const entries = 64

// learn is the kernel's layout; CI takes no skip.
func learn(t testing.TB) *Kernel {
	t.Helper()
	k, err := Learn()
	if err != nil && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	require.NoError(t, err)
	return k
}

func self(t testing.TB) int {
	t.Helper()
	pidfd, err := unix.PidfdOpen(os.Getpid(), 0)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(pidfd) })
	return pidfd
}

func make1(t testing.TB, sq, cq, flags uint32) *uringtest.Ring {
	t.Helper()
	r, err := uringtest.NewRing(sq, cq, flags)
	require.NoError(t, err)
	t.Cleanup(r.Close)
	return r
}

// pair is a ring as its owner has it, one to send from, and the view of it.
type pair struct {
	target, sender *uringtest.Ring
	view           *Ring
}

func newPair(t testing.TB) *pair {
	t.Helper()
	k := learn(t)
	p := &pair{target: make1(t, 1, entries, 0), sender: make1(t, entries, entries, 0)}
	var err error
	p.view, _, err = k.Take(self(t), p.target.FD, entries)
	require.NoError(t, err)
	t.Cleanup(p.view.Close)
	return p
}

func (p *pair) post(t testing.TB, from, n int) {
	t.Helper()
	messages := make([]uringtest.SQE, n)
	for i := range messages {
		messages[i] = uringtest.MsgRing(0, int32(from+i), uint64(from+i)<<32)
	}
	require.NoError(t, p.sender.Post(p.target.FD, messages...))
}

func (p *pair) drain(t testing.TB, n int) []Entry {
	t.Helper()
	batch := make([]Entry, n)
	got, err := p.view.Drain(batch)
	require.NoError(t, err)
	return batch[:got]
}

func TestRingIsReadInOrderAroundItsEnd(t *testing.T) {
	p := newPair(t)
	next := 0
	for posted := 0; posted < 10*entries; posted += 48 {
		p.post(t, posted, 48)
		for _, n := range []int{1, 30, 64} {
			for _, e := range p.drain(t, n) {
				require.Equal(t, Entry{Data: uint64(next) << 32, Res: int32(next)}, e)
				next++
			}
		}
		require.Equal(t, posted+48, next)
		require.Equal(t, p.target.Tail(), p.target.Head(), "places are free again")
		if posted%96 == 0 {
			p.view.Rest()
		}
	}
	assert.Empty(t, p.drain(t, 1))
}

func TestRingThatIsNone(t *testing.T) {
	k, pidfd := learn(t), self(t)
	memfd, err := unix.MemfdCreate("anon_inode:[io_uring]", unix.MFD_CLOEXEC)
	require.NoError(t, err)
	defer unix.Close(memfd)
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	require.NoError(t, err)
	defer unix.Close(epoll)
	dir := t.TempDir()
	named, err := os.Create(dir + "/anon_inode:[io_uring]")
	require.NoError(t, err)
	defer named.Close()
	for _, fd := range []int{memfd, epoll, pidfd, int(named.Fd()), 0} {
		_, other, err := k.Take(pidfd, fd, entries)
		assert.ErrorIs(t, err, ErrNotRing)
		assert.NoError(t, unix.Close(other), "it is the caller's")
	}
	for _, fd := range []int{1 << 20, 1<<31 - 1} {
		_, other, err := k.Take(pidfd, fd, entries)
		assert.ErrorIs(t, err, unix.EBADF)
		assert.Equal(t, -1, other)
	}
}

func TestRingOfAnotherSizeIsRefused(t *testing.T) {
	k, pidfd := learn(t), self(t)
	for _, size := range []uint32{1, 32, 128, 32768} {
		r := make1(t, 1, size, 0)
		_, _, err := k.Take(pidfd, r.FD, entries)
		assert.ErrorIs(t, err, ErrSize)
	}
	small := make1(t, 1, 64, 0)
	*small.Word(small.P.CQ.Mask) = 32768 - 1 // it lies
	_, _, err := k.Take(pidfd, small.FD, 32768)
	assert.ErrorIs(t, err, ErrSize, "the kernel maps no more than there is")
}

func TestRingInMemoryOfItsOwnerIsRefused(t *testing.T) {
	k, pidfd := learn(t), self(t)
	memory := make([][]byte, 2)
	for i := range memory {
		var err error
		memory[i], err = unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
		require.NoError(t, err)
		defer unix.Munmap(memory[i])
	}
	var p uringtest.Params
	p.Flags, p.CQEntries = uringtest.NoMmap|uringtest.CQSize, entries
	p.CQ.UserAddr, p.SQ.UserAddr = uint64(uintptr(unsafe.Pointer(&memory[0][0]))), uint64(uintptr(unsafe.Pointer(&memory[1][0])))
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&p)), 0)
	if errno == unix.EINVAL {
		t.Skip("rings in memory of their owner take Linux 6.5")
	}
	require.Zero(t, errno)
	defer unix.Close(int(fd))
	_, _, err := k.Take(pidfd, int(fd), entries)
	assert.ErrorIs(t, err, ErrSize)
}

func TestForgedTailIsRefusedOrLies(t *testing.T) {
	p := newPair(t)
	tail := p.target.Word(p.target.P.CQ.Tail)
	for _, ahead := range []uint32{entries + 1, 1 << 31, 1<<32 - 1} {
		atomic.StoreUint32(tail, p.target.Head()+ahead)
		_, err := p.view.Drain(make([]Entry, 1))
		assert.ErrorIs(t, err, ErrForged)
	}
	atomic.StoreUint32(tail, p.target.Head()+entries)
	assert.Len(t, p.drain(t, 2*entries), entries, "as many as there is room for, whatever they are")
}

func TestForgedHeadIsNeverRead(t *testing.T) {
	p := newPair(t)
	p.post(t, 0, 10)
	assert.Len(t, p.drain(t, 4), 4)
	for _, head := range []uint32{0, 1 << 31, 1<<32 - 1} {
		atomic.StoreUint32(p.target.Word(p.target.P.CQ.Head), head)
		got := p.drain(t, 1)
		require.Len(t, got, 1)
	}
	assert.Len(t, p.drain(t, entries), 3)
}

func TestRingSaysThatItOverflows(t *testing.T) {
	p := newPair(t)
	p.post(t, 0, entries)
	assert.False(t, p.view.Overflows())
	for range 10 {
		p.post(t, 0, 50)
	}
	assert.True(t, p.view.Overflows())

	// The owner flushes it.
	for left := 500 + entries; left > 0; {
		left -= len(p.drain(t, entries))
		require.NoError(t, p.target.Flush())
	}
	assert.False(t, p.view.Overflows())
}

func TestReadinessOfARing(t *testing.T) {
	p := newPair(t)
	ready := func() bool {
		fds := []unix.PollFd{{Fd: int32(p.view.FD()), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 0)
		require.NoError(t, err)
		return n > 0
	}
	assert.False(t, ready())
	p.post(t, 0, 1)
	assert.True(t, ready())
	p.drain(t, entries)
	assert.False(t, ready())
	p.post(t, 0, entries+1)
	p.drain(t, entries)
	assert.True(t, ready(), "what overflowed makes it ready though nothing can be read")
	assert.Empty(t, p.drain(t, entries))
}

func TestDisabledRingStaysEmpty(t *testing.T) {
	k := learn(t)
	r := make1(t, 1, entries, uringtest.Disabled)
	view, _, err := k.Take(self(t), r.FD, entries)
	require.NoError(t, err)
	defer view.Close()
	sender := make1(t, 1, 1, 0)
	require.NoError(t, sender.Post(r.FD, uringtest.MsgRing(0, 1, 1)))
	e, ok := sender.Take()
	require.True(t, ok)
	assert.Equal(t, -int32(unix.EBADFD), e.Res)
	n, err := view.Drain(make([]Entry, 1))
	require.NoError(t, err)
	assert.Zero(t, n)
}

func TestOddRingsAreReadWithoutHarm(t *testing.T) {
	for name, flags := range map[string]uint32{"IOPOLL": uringtest.IOPoll, "CQE32": uringtest.CQE32} {
		t.Run(name, func(t *testing.T) {
			k := learn(t)
			r := make1(t, 1, entries, flags)
			sender := make1(t, 16, entries, 0)
			view, _, err := k.Take(self(t), r.FD, entries)
			require.NoError(t, err)
			defer view.Close()
			for range 8 {
				for i := range 16 {
					require.NoError(t, sender.Post(r.FD, uringtest.MsgRing(0, int32(i), 1)))
				}
				n, err := view.Drain(make([]Entry, entries))
				require.NoError(t, err)
				assert.LessOrEqual(t, n, entries)
			}
		})
	}
}

func TestResizedRingIsReadWithoutHarm(t *testing.T) {
	k := learn(t)
	r := make1(t, 1, 1024, uringtest.SingleIssuer|uringtest.DeferTaskrun)
	view, _, err := k.Take(self(t), r.FD, 1024)
	require.NoError(t, err)
	defer view.Close()
	err = r.Resize(1, 8)
	if err != nil {
		t.Skipf("resizing takes Linux 6.13: %v", err)
	}
	n, err := view.Drain(make([]Entry, 2048)) // of the old memory, which stays as long as it is mapped
	require.NoError(t, err)
	assert.Zero(t, n)
	view.Rest()
	_, err = view.Drain(make([]Entry, 2048))
	assert.ErrorIs(t, err, ErrSize)
}

func TestClosedRingStaysReadable(t *testing.T) {
	p := newPair(t)
	p.post(t, 0, 10)
	p.target.Close()
	p.view.Rest()
	assert.Len(t, p.drain(t, entries), 10)
}

func BenchmarkDrain(b *testing.B) {
	p := newPair(b)
	batch := make([]Entry, entries)
	tail := p.target.Word(p.target.P.CQ.Tail)
	b.ReportAllocs()
	for b.Loop() {
		atomic.AddUint32(tail, entries)
		if n, err := p.view.Drain(batch); err != nil || n != entries {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/entries, "ns/message")
}
