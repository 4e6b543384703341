//go:build linux && (amd64 || arm64)

package hotpath

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/client/go/uring"
)

// tell has everything told that is marked by now, by the caller or by whoever is at it: that one looks again.
func (m *messages) tell() {
	m.wanted.Store(true)
	// It doesn't go on forever for others: the alarm is set.
	for range 4 {
		if !m.wanted.Load() || !m.busy.CompareAndSwap(false, true) {
			return
		}
		m.wanted.Store(false)
		m.tellAll()
		m.busy.Store(false)
	}
}

// tellAll tells everything that is marked, if there is room, and reports whether it did. The caller is busy.
func (m *messages) tellAll() bool {
	m.pending.Store(0)
	if offered := m.offered.Swap(nil); offered != nil {
		if m.link != nil {
			m.link.close()
		}
		m.link, m.next = offered, 0
		m.linked.Store(true)
	}
	if m.link == nil {
		return false
	}
	all, err := m.tellLink(m.link)
	if m.unfinished.Load() == all {
		m.unfinished.Store(!all)
	}
	if err != nil {
		m.failed(err)
		m.linked.Store(false)
		m.link.close()
		m.link = nil
		m.arm(m.delay) // to connect again
	}
	return all
}

// failed keeps why there is no link.
func (m *messages) failed(why error) { m.failure.Store(&why) }

// tellLink declares series and posts the words that are marked.
func (m *messages) tellLink(l *link) (all bool, err error) {
	if m.suspect.Load() {
		m.suspect.Store(false)
		err = l.alive()
	}
	if err == nil && !l.ours() {
		err = errClosed
	}
	if err == nil {
		err = l.declare(m.client.mapping)
	}
	if err != nil {
		return false, err
	}
	all = m.tellCounters(l) && m.tellWords(l)
	l.post()
	return all && len(l.rest) == 0, l.err
}

// tellWords posts the words that are marked, beginning with the one that there was no room for: where there never is enough, all
// get their turn. It reports whether it came round.
func (m *messages) tellWords(l *link) bool {
	if !m.marks.take(m.next, m.told) {
		return false
	}
	if !l.complete {
		if !l.room() {
			return false
		}
		l.put(uring.Complete, 0)
		l.complete = true
	}
	if m.next == 0 {
		return true
	}
	m.next = 0
	return m.marks.take(0, m.told)
}

// tellWord posts a marked word, if there is room. The caller is busy and there is a link.
func (m *messages) tellWord(i uint32) bool {
	if !m.link.room() {
		m.next = i
		return false
	}
	m.link.put(m.index(i), atomic.LoadUint64(m.word(i)))
	return true
}

// tellCounters posts those of the header's counters that have changed.
func (m *messages) tellCounters(l *link) bool {
	h := m.client.header.Load()
	for i := range l.counters {
		// In the header they follow each other in the order of their numbers.
		n := h.load(segment.OffRefused + i*8)
		if n == l.counters[i] {
			continue
		}
		if !l.room() {
			return false
		}
		l.put(uring.CounterBit|uint32(i), n)
		l.counters[i] = n
	}
	return true
}

// index is what the Collector knows a marked word by.
func (m *messages) index(i uint32) uint32 {
	if words := m.stripeWords(); i >= words {
		return uring.SharedBit | (i - words)
	}
	return i
}

// word is where a marked word is counted: in stripe 0, or the shared area.
func (m *messages) word(i uint32) *uint64 {
	a, words := m.client.mapping, m.stripeWords()
	if i >= words {
		return a.word(a.shared.offset + int(i-words)*8)
	}
	return a.word(a.stripes.offset + int(i)*8)
}

// dial makes a link, unless somebody is at it or it is too early for another attempt. It returns when that would be due.
func (m *messages) dial(deadline time.Time) (again time.Duration) {
	if !m.dialling.CompareAndSwap(false, true) {
		return retryAfter
	}
	defer m.dialling.Store(false)
	if early := retryAfter - time.Since(m.dialled); m.linked.Load() || early > 0 {
		return early
	}
	m.dialled = time.Now()
	l, err := connect(m.path, m.client.mapping, m.polled, deadline)
	if err != nil {
		m.failed(err)
		return retryAfter
	}
	m.markAll()
	m.offered.Store(l)
	m.tell()
	return retryAfter
}

// markAll marks what a Collector can't know: words that are not as a new series' are. An updowncounter that
// is zero again may have been something else when it was last told.
func (m *messages) markAll() {
	a := m.client.mapping
	catalogue := a.bytes(segment.HeaderSize, int(atomic.LoadUint64(a.word(segment.OffCatalogueUsed))))
	for len(catalogue) > 0 {
		slot := uint32(binary.NativeEndian.Uint64(catalogue[segment.RecordSlot:]))
		switch kind := catalogue[segment.RecordKind]; kind {
		case segment.KindCounter, segment.KindUpDownCounter:
			m.marks.set(slot)
		case segment.KindGauge:
			if i := m.stripeWords() + slot; atomic.LoadUint64(m.word(i)) != segment.GaugeUnset {
				m.marks.set(i)
			}
		case segment.KindHistogram:
			for i := slot; i < slot+segment.HistogramWords; i++ {
				if atomic.LoadUint64(m.word(i)) != 0 {
					m.marks.set(i)
				}
			}
		}
		catalogue = catalogue[binary.NativeEndian.Uint32(catalogue[segment.RecordSize:]):]
	}
}

// await connects, and tells what there is, for a moment at most. Then it goes on by itself.
func (m *messages) await() {
	done := make(chan struct{})
	go func() {
		m.dial(time.Now().Add(patience))
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(firstMoment):
	}
}

// flush tells everything. Where the queue is full it waits for room, and for the kernel's thread, but for a moment only.
func (m *messages) flush() {
	deadline := time.Now().Add(firstMoment)
	m.suspect.Store(true)
	m.tell()
	if !m.linked.Load() {
		m.await()
	}
	for !m.toldAll() && (m.linked.Load() || m.dialling.Load()) && time.Now().Before(deadline) {
		time.Sleep(50 * time.Microsecond)
	}
}

// toldAll reports whether everything is told that was marked before.
func (m *messages) toldAll() bool {
	if !m.busy.CompareAndSwap(false, true) {
		return false
	}
	defer m.busy.Store(false)
	return m.tellAll() && m.link.posted()
}
