package uring

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
	"github.com/hotpath-metrics/hotpath/internal/source/uring/uringtest"
)

// dial connects without a word.
func (f *fixture) dial() *uringtest.Client {
	f.Helper()
	c, err := uringtest.Dial(f.cfg.Socket)
	require.NoError(f, err)
	f.Cleanup(c.Close)
	return c
}

func TestBadHandshakeIsRefusedWithASentence(t *testing.T) {
	f := setUp(t)
	honest := f.bystander()
	header := func(size uint32, kind, version uint16) []byte {
		b := binary.NativeEndian.AppendUint32(nil, size)
		b = binary.NativeEndian.AppendUint16(b, kind)
		return binary.NativeEndian.AppendUint16(b, version)
	}
	hello := func(change func(*uringtest.Hello)) []byte {
		h := anyone()
		change(&h)
		return h.Bytes()
	}
	series := uringtest.Series(requests)
	for name, tt := range map[string]struct {
		bytes  []byte
		says   string
		reason string
	}{
		"garbage":                    {[]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), "bytes", "message"},
		"a message of no bytes":      {header(0, 2, 1), "of 0 bytes", "message"},
		"a message of seven bytes":   {header(7, 2, 1), "of 7 bytes", "message"},
		"an oversized message":       {header(131081, 3, 1), "of 131081 bytes", "message"},
		"a message of 4 GiB":         {header(1<<32-1, 3, 1), "of 4294967295 bytes", "message"},
		"another version":            {header(8, 2, 2), "of version 2, the Collector's is 1", "message"},
		"an unknown type":            {header(8, 77, 1), "type 77", "message"},
		"the collector's greeting":   {uringtest.Message(1, make([]byte, 8)), "type 1", "message"},
		"series before hello":        {series, "type 3", "message"},
		"a short hello":              {uringtest.Message(2, make([]byte, 71)), "hello of 79 bytes", "message"},
		"a hello of zeros":           {uringtest.Message(2, make([]byte, 200)), "", "catalogue"},
		"no resource":                {hello(func(h *uringtest.Hello) { h.Resource = []byte{} }), "", "catalogue"},
		"a series as resource":       {hello(func(h *uringtest.Hello) { h.Resource = requests.Append(nil) }), "", "catalogue"},
		"two records as resource":    {hello(func(h *uringtest.Hello) { h.Resource = append(h.Bytes()[80:], h.Bytes()[80:]...) }), "", "catalogue"},
		"a giant stripe":             {hello(func(h *uringtest.Hello) { h.Stripe = 1 << 40 }), "areas of", "too_large"},
		"sizes that wrap":            {hello(func(h *uringtest.Hello) { h.Catalogue, h.Shared, h.Stripe = 1<<64-64, 1<<63, 1<<64-4096 }), "areas of", "too_large"},
		"a stripe of odd size":       {hello(func(h *uringtest.Hello) { h.Stripe = 4097 }), "", "header"},
		"a shared area of odd size":  {hello(func(h *uringtest.Hello) { h.Shared = 7 }), "", "header"},
		"a catalogue too small":      {hello(func(h *uringtest.Hello) { h.Catalogue = 8 }), "", "catalogue"},
		"a start in the far future":  {hello(func(h *uringtest.Hello) { h.Start = 1 << 63 }), "", "header"},
		"a descriptor that is none":  {hello(func(h *uringtest.Hello) { h.Ring = 1 << 20 }), "descriptor", "ring"},
		"a negative descriptor":      {hello(func(h *uringtest.Hello) { h.Ring = -1 }), "descriptor", "ring"},
		"a descriptor of a terminal": {hello(func(h *uringtest.Hello) { h.Ring = 0 }), "not an io_uring", "ring"},
	} {
		t.Run(name, func(t *testing.T) {
			before := f.tel.Skipped()[tt.reason]
			c := f.dial()
			require.NoError(t, c.Send(tt.bytes))
			sentence := refusal(t, c)
			assert.Contains(t, sentence, tt.says)
			assert.LessOrEqual(t, len(sentence), 255)
			assert.Equal(t, before+1, f.tel.Skipped()[tt.reason], sentence)
		})
	}
	honest.check()
}

func TestBadMessagesAfterTheHandshake(t *testing.T) {
	f := setUp(t)
	honest := f.bystander()
	record := requests.Append(nil)
	long := bytes.Clone(record)
	binary.NativeEndian.PutUint32(long, uint32(len(long)+8))
	far := segmenttest.Counter(1<<40, "far")
	for name, tt := range map[string]struct {
		bytes  []byte
		reason string
	}{
		"a second hello":              {anyone().Bytes(), "message"},
		"half a record":               {uringtest.Message(3, record[:16]), "catalogue"},
		"a record and half of one":    {uringtest.Message(3, append(bytes.Clone(record), record[:24]...)), "catalogue"},
		"a record beyond its message": {uringtest.Message(3, long), "catalogue"},
		"a slot beyond all":           {uringtest.Series(far), "bounds"},
		"a slot beyond the stripe":    {uringtest.Series(segmenttest.Counter(1<<17, "far")), "bounds"},
		"garbage":                     {[]byte(strings.Repeat("\xff", 100)), "message"},
		"the greeting":                {uringtest.Message(1, make([]byte, 8)), "message"},
	} {
		t.Run(name, func(t *testing.T) {
			before := f.tel.Skipped()[tt.reason]
			c := f.connect(anyone())
			require.NoError(t, c.Send(tt.bytes))
			refusal(t, c)
			assert.Equal(t, before+1, f.tel.Skipped()[tt.reason])
		})
	}
	honest.check()
}

func TestCatalogueThatTurnsOutBadEndsTheConnection(t *testing.T) {
	f := setUp(t)
	honest := f.bystander()
	c := f.connect(anyone(), requests, segmenttest.Counter(1, "the same slot"))
	f.eventually(func(h *hub) bool { return len(h.clients) == 2 }, "it is there")
	f.eventually(func(h *hub) bool {
		for _, c := range h.clients {
			if c.declared() == 2 {
				return true
			}
		}
		return false
	}, "its series arrive")
	f.collect()
	assert.Contains(t, refusal(t, c), "slot 1")
	assert.Equal(t, map[string]int64{"overlap": 1}, f.tel.Skipped())
	f.inside(func(h *hub) { assert.Len(t, h.clients, 1) })
	honest.check()
}

func TestMessagesMayComeByteByByte(t *testing.T) {
	f := setUp(t)
	c := f.dial()
	require.NoError(t, c.Rings(0))
	h := anyone()
	h.Ring = c.Target.FD
	for _, b := range append(h.Bytes(), uringtest.Series(requests)...) {
		require.NoError(t, c.Send([]byte{b}))
	}
	_, err := c.Receive(uringtest.TypeReady)
	require.NoError(t, err)
	require.NoError(t, c.Tell(uringtest.Word{Index: 1, Value: 5}))
	f.eventually(func(h *hub) bool { return f.only(h).declared() == 1 && h.read == 1 }, "all arrives")
	assert.EqualValues(t, 5, f.collect().Total("requests"))
	f.inside(func(h *hub) { assert.Equal(t, f.only(h).image.charged, h.memory.sum, "nothing is left of the pieces") })
}

func TestMessagesMayComeAllAtOnceBeforeTheGreeting(t *testing.T) {
	f := setUp(t)
	c := f.connect(anyone(), requests)
	other, err := uringtest.NewRing(1, c.Entries, 0)
	require.NoError(t, err)
	defer other.Close()
	h := anyone()
	h.Ring = other.FD
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, unix.Connect(fd, &unix.SockaddrUnix{Name: f.cfg.Socket}))
	_, err = unix.Write(fd, append(h.Bytes(), uringtest.Series(requests)...))
	require.NoError(t, err)
	f.eventually(func(h *hub) bool { return len(h.clients) == 2 }, "it is attached")
}

func TestSilentConnectionIsClosedInTime(t *testing.T) {
	f := setUp(t)
	honest := f.bystander()
	silent, slow := f.dial(), f.dial()
	require.NoError(t, slow.Send(anyone().Bytes()[:40]))
	f.eventually(func(h *hub) bool { return len(h.sockets) == 3 && h.memory.sum > 40 }, "they are there")
	f.inside(func(h *hub) {
		for _, c := range h.sockets {
			c.since = c.since.Add(-helloTime + 300*time.Millisecond)
		}
	})
	f.mu.Lock() // the reaper looks at the clock anew
	_, _ = unix.Write(f.hub.wake, binary.NativeEndian.AppendUint64(nil, 1))
	f.mu.Unlock()
	began := time.Now()
	assert.Contains(t, refusal(t, silent), "no hello within 10s")
	assert.Contains(t, refusal(t, slow), "no hello within 10s")
	assert.Less(t, time.Since(began), 5*time.Second)
	assert.EqualValues(t, 2, f.tel.Skipped()["timeout"])
	honest.check()
}

func TestRandomBytesOfManyConnections(t *testing.T) {
	f := setUp(t)
	honest := f.bystander()
	random := rand.New(rand.NewPCG(1, 2))
	whole := append(anyone().Bytes(), uringtest.Series(requests)...)
	for range 2000 {
		c, err := uringtest.Dial(f.cfg.Socket)
		require.NoError(t, err)
		b := bytes.Clone(whole)
		for range random.IntN(8) {
			b[random.IntN(len(b))] = byte(random.Uint32())
		}
		_ = c.Send(b[:random.IntN(len(b))]) // it may be refused half way
		c.Close()
	}
	honest.check()
	f.eventually(func(h *hub) bool { return len(h.sockets) == 1 }, "all are gone")
}

func TestTenThousandConnectsInARow(t *testing.T) {
	f := setUp(t)
	honest := f.bystander()
	for range 10_000 {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		require.NoError(t, unix.Connect(fd, &unix.SockaddrUnix{Name: f.cfg.Socket}))
		unix.Close(fd)
	}
	honest.check()
	f.eventually(func(h *hub) bool { return len(h.sockets) == 1 && len(h.arrivals) <= 1 }, "nothing is left of them")
	assert.Less(t, openDescriptors(), 60)
}

func TestNobodyHasMoreConnectionsThanTheLimit(t *testing.T) {
	f := setUp(t, func(_ *Config, l *segments.Limits) { l.SegmentsPerUID = 20 })
	honest := f.bystander()
	var idle []*uringtest.Client
	for range 19 {
		idle = append(idle, f.dial())
	}
	for range 50 {
		_, err := uringtest.Dial(f.cfg.Socket)
		var refused uringtest.Refused
		require.ErrorAs(t, err, &refused)
		assert.Contains(t, string(refused), "limit")
	}
	assert.EqualValues(t, 50, f.tel.Skipped()["limit"])
	honest.check()
	for _, c := range idle {
		c.Close()
	}
	f.eventually(func(h *hub) bool { return len(h.sockets) == 1 }, "they are gone")
	f.bystander().check()
}

func TestOneUserLeavesDescriptorsToOthers(t *testing.T) {
	var before unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	low := unix.Rlimit{Cur: 400, Max: before.Max}
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &low))
	defer func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &before)) }()
	f := setUp(t)
	honest := f.bystander()
	program := sibling(t, "connections", f.cfg.Socket) // it has descriptors of its own
	program.expect("refused after 49")
	honest.check()
	other := siblingAs(t, 65534, "connections", f.cfg.Socket)
	other.expect("refused after") // at the end of descriptors, or of its share
	honest.check()
	file, err := os.Open("/dev/null") // some are left to the rest of the Collector
	require.NoError(t, err)
	file.Close()
}

func TestAcceptGoesOnAfterDescriptorsRanOut(t *testing.T) {
	f := setUp(t)
	honest := f.bystander()
	var before unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	low := unix.Rlimit{Cur: 3, Max: before.Max}
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &low))
	connected := unix.Connect(fd, &unix.SockaddrUnix{Name: f.cfg.Socket})
	deadline := time.Now().Add(10 * time.Second)
	for f.tel.Skipped()["fd_limit"] == 0 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &before))
	require.NoError(t, connected)
	assert.EqualValues(t, 1, f.tel.Skipped()["fd_limit"], "it does not spin")
	f.inside(func(h *hub) { assert.True(t, h.deaf) })
	honest.check() // a collection accepts again
	f.eventually(func(h *hub) bool { return len(h.sockets) == 2 && !h.deaf }, "who waited is greeted")
	f.bystander().check()
}
