//go:build linux && (amd64 || arm64)

package hotpath

import (
	"fmt"
	"math"
	"strconv"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/client/go/uring"
)

// messages tells a Collector of changed words by messages to its ring, as docs/wire-formats.md describes them. Updates go to
// stripe 0, by atomic adds, and mark their words; the marks are taken by whoever has a batch full, and by an alarm.
type messages struct {
	client *client
	marks  *marks                 // of the words of a stripe, then of the shared area
	told   func(word uint32) bool // tellWord, made once: a new one would be allocated each time
	path   string                 // of the Collector's socket
	batch  uint32
	delay  time.Duration
	polled bool

	pending atomic.Uint32 // updates since somebody last began to tell them
	armed   atomic.Bool   // the alarm is to come
	alarm   *time.Timer

	busy    atomic.Bool // somebody tells, and has the link
	wanted  atomic.Bool // somebody has something to tell, who may not have come to it
	suspect atomic.Bool // it is time to look whether the Collector is there
	link    *link
	next    uint32 // the word for which there was no room

	linked     atomic.Bool // there is one
	unfinished atomic.Bool // there was not room for everything

	dialling atomic.Bool // somebody connects, and has the time of the last attempt
	dialled  time.Time
	offered  atomic.Pointer[link]  // for the next one who tells
	failure  atomic.Pointer[error] // why there is no link
}

const (
	// firstMoment is how long making the first series, and a flush, may wait for the Collector.
	firstMoment = 250 * time.Millisecond
	// patience is how long an attempt to connect may take that nobody waits for.
	patience = 5 * time.Second
	// retryAfter is how long it is from one attempt to the next.
	retryAfter = time.Second
	// whenFull is how long it is at least from one try to the next where there was no room for everything.
	whenFull = time.Millisecond
)

// newMessages takes the settings from the environment. Of bad ones, which it returns, the defaults hold.
func newMessages(getenv func(string) string) (m *messages, ignored []error) {
	setting := func(name string, least, otherwise uint64) uint64 {
		text := getenv(name)
		if text == "" {
			return otherwise
		}
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil || n < least {
			ignored = append(ignored, fmt.Errorf("%s %.32q is not a number from %d on and was ignored", name, text, least))
			return otherwise
		}
		return n
	}
	m = &messages{path: getenv("HOTPATH_SOCKET")}
	if m.path == "" {
		m.path = uring.DefaultSocket
	}
	m.batch = uint32(setting("HOTPATH_URING_BATCH", 1, uring.DefaultBatch))
	m.delay = time.Duration(setting("HOTPATH_URING_DELAY", 0, uring.DefaultDelay)) * time.Microsecond
	if m.delay == 0 {
		m.batch, m.delay = 1, uring.DefaultDelay*time.Microsecond
	}
	m.polled = setting("HOTPATH_URING_SQPOLL", 0, 0) != 0
	return m, ignored
}

// setup are the flags of the sending ring.
func (m *messages) setup() uint32 {
	if m.polled {
		return setupSQPoll
	}
	return 0
}

func (m *messages) begin(c *client) error {
	m.client = c
	m.marks = newMarks((c.mapping.stripes.size + c.mapping.shared.size) / 8)
	m.told = m.tellWord
	m.alarm = time.AfterFunc(math.MaxInt64, m.ring)
	c.stripes.ready.Or(math.MinInt32) // for good: so every update is marked, and all are in stripe 0
	m.await()
	return nil
}

func (*messages) add(*segment.Record, cell, int) {}

func (m *messages) noted() { m.updated() }

func (m *messages) total(word unsafe.Pointer) {
	m.marks.set(m.ofStripes(word))
	m.updated()
}

func (m *messages) gauge(word unsafe.Pointer) {
	shared := m.client.mapping.at(m.client.mapping.shared.offset)
	m.marks.set(m.stripeWords() + uint32((uintptr(word)-uintptr(shared))/8))
	m.updated()
}

func (m *messages) histogram(word unsafe.Pointer, counted int) {
	first := m.ofStripes(word)
	m.marks.set(first + uint32(counted))
	if counted != segment.HistogramZero {
		m.marks.set(first + segment.HistogramSum)
	}
	if counted == segment.HistogramFirstBucket || counted == segment.HistogramWords-1 { // what is clamped is in one of these
		m.marks.set(first + segment.HistogramClamped)
	}
	m.updated()
}

// ofStripes is which word of its stripe this is, of the stripe of P 0.
func (m *messages) ofStripes(word unsafe.Pointer) uint32 {
	a := &m.client.mapping.stripes
	return uint32((uintptr(word) - uintptr(m.client.mapping.at(a.offset+a.size))) / 8)
}

func (m *messages) stripeWords() uint32 { return uint32(m.client.mapping.stripes.size / 8) }

// updated sees to it that what was marked will be told: now, if the batch is full, or when the alarm rings.
func (m *messages) updated() {
	m.arm(m.delay)
	if m.pending.Add(1) >= m.batch {
		m.tell()
	}
}

// arm sets the alarm, if it isn't set. While nothing is counted it never rings.
func (m *messages) arm(after time.Duration) {
	if !m.armed.Load() && m.armed.CompareAndSwap(false, true) {
		m.alarm.Reset(after)
	}
}

// ring is what the alarm does: it tells what has not been told, connects where nobody hears, and comes again where that did not do.
func (m *messages) ring() {
	m.armed.Store(false)
	m.suspect.Store(true)
	m.tell()
	again := retryAfter
	if !m.linked.Load() {
		again = m.dial(time.Now().Add(patience))
	}
	switch {
	case !m.linked.Load():
		m.arm(again)
	case m.unfinished.Load() || m.marks.any():
		m.arm(max(m.delay, whenFull))
	}
}
