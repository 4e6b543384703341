package uring

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/segment"
)

const (
	// A ring that overflowed is given so long to be emptied, or less where the budget may be used up by then.
	overflowTime = time.Second
	// overflowed is what the kernel takes for a completion that found no room (struct io_overflow_cqe), and overflowPace
	// how fast they come at most. A system call with many of them takes some 200 ns for each.
	overflowed   = 32
	overflowPace = 100 * time.Nanosecond
	// heedAtMost is how many sockets and ends are heeded before rings are looked at again.
	heedAtMost = 32
)

// run waits for whatever happens, and looks. After rings were read they are left alone for the configured latency, so that
// a flood of messages costs one wake-up in that time; until the next message, or connection, nothing happens at all.
func (h *hub) run() {
	var resume time.Time // when rings are looked at again
	var deadline time.Time
	fds := [2]unix.PollFd{{Fd: int32(h.control), Events: unix.POLLIN}, {Fd: int32(h.rings), Events: unix.POLLIN}}
	for {
		now := time.Now()
		waiting, until := fds[:], deadline
		paused := resume.After(now)
		if paused {
			waiting = fds[:1]
			if until.IsZero() || resume.Before(until) {
				until = resume
			}
		}
		wait(waiting, now, until)
		woke := time.Now()
		since := woke // when what is there began to come
		if paused {
			since = resume.Add(-h.cfg.Latency)
		}
		h.mu.Lock()
		if h.stopping {
			h.mu.Unlock()
			return
		}
		h.heedAll(woke, 1)
		if !woke.Before(resume) && h.drainAll(since) {
			resume = time.Now().Add(h.cfg.Latency)
		}
		h.sweep()
		deadline = h.deadline()
		h.mu.Unlock()
	}
}

func wait(fds []unix.PollFd, now, until time.Time) {
	var timeout *unix.Timespec
	if !until.IsZero() {
		t := unix.NsecToTimespec(max(0, until.Sub(now).Nanoseconds()))
		timeout = &t
	}
	if _, err := unix.Ppoll(fds, timeout, nil); err != nil && !errors.Is(err, unix.EINTR) {
		time.Sleep(time.Second) // out of memory: it passes, or everything ends
	}
}

// heedAll looks at sockets and ends, as often as it is told and no longer: who sends as fast as he is heard must not
// keep the rings from being read.
func (h *hub) heedAll(now time.Time, looks int) {
	for range looks {
		n := h.ready(h.control, heedAtMost)
		for i := range h.events[:n] {
			h.heed(idOf(&h.events[i]))
		}
		if n < heedAtMost {
			break
		}
	}
	h.timeout(now)
}

func (h *hub) ready(epoll, atMost int) int {
	n, err := unix.EpollWait(epoll, h.events[:atMost], 0)
	if err != nil {
		return 0
	}
	return n
}

func (h *hub) heed(id uint64) {
	switch {
	case id == idListener:
		h.accept()
	case id == idGone:
		for h.listener.gone >= 0 {
			if n, err := unix.Read(h.listener.gone, h.input); err != nil || n == 0 {
				break
			}
		}
		_ = h.listenAnew() // a collection tries again, and says what is wrong
	case id == idWake:
	case id&pidfdBit != 0:
		if c := h.byID[id&^pidfdBit]; c != nil {
			h.end(c)
		}
	default:
		if c := h.sockets[id]; c != nil {
			h.receive(c)
		}
	}
}

// drainAll reads every ring that has something, once, which came since a time.
// Those are taken out of epoll until they are looked at again: whoever posts to a ring that somebody waits for pays for it.
func (h *hub) drainAll(since time.Time) (read bool) {
	h.rouse()
	h.turns++
	for {
		n := h.ready(h.rings, len(h.events))
		again := false
		for i := range h.events[:n] {
			c := h.byID[idOf(&h.events[i])]
			if c == nil || c.ring == nil {
				continue
			}
			read, again = true, true
			h.drain(c, since)
			if c.ring != nil {
				_ = unix.EpollCtl(h.rings, unix.EPOLL_CTL_DEL, c.ring.FD(), nil)
				h.resting = append(h.resting, c)
			}
		}
		if n < len(h.events) || !again {
			return read
		}
	}
}

// rouse has rings waited for again. One that cannot be is given up, as one is that cannot be waited for at first.
func (h *hub) rouse() {
	for _, c := range h.resting {
		if c.ring == nil {
			continue
		}
		if err := watch(h.rings, c.ring.FD(), c.id); err != nil && !errors.Is(err, unix.EEXIST) {
			h.refuse(c.connection, errRing, err)
		}
	}
	h.resting = h.resting[:0]
}

// drain reads a ring that was said to have something, no more than its size.
func (h *hub) drain(c *client, since time.Time) {
	n, err := h.take(c)
	switch {
	case err != nil:
		h.refuse(c.connection, segment.ReasonOf(err, errRing), err)
	case n == 0 || c.ring.Overflows():
		h.overflow(c, since)
	default:
		c.overflowing = time.Time{}
	}
	c.unread = false
}

// take applies what is in a ring now.
func (h *hub) take(c *client) (total int, err error) {
	var r received
	for total < h.cfg.CQEntries && err == nil {
		var n int
		if n, err = c.ring.Drain(h.batch[:min(len(h.batch), h.cfg.CQEntries-total)]); n == 0 {
			break
		}
		c.image.apply(h.batch[:n], &r)
		total += n
	}
	h.read += int64(total)
	h.skipped.noWord += r.noWord
	h.skipped.noMemory += r.noMemory
	c.busy = c.busy || total > 0
	if r.complete && c.segment == nil {
		c.complete, c.told = true, true
		err = errors.Join(err, h.admit(c))
	}
	return total, err
}

// overflow is about a ring that is ready though it has nothing to read, or says that completions found no room: the kernel
// keeps those in a list until their owner asks for them, which an honest client has no need for. How long the list is the kernel
// tells only in fdinfo, along with all that the client has the ring know: gigabytes of text, and seconds. So what counts is the time.
func (h *hub) overflow(c *client, since time.Time) {
	if c.overflowing.IsZero() {
		c.overflowing = since
	}
	allowed := min(overflowTime, overflowPace*time.Duration(h.cfg.OverflowBudget/overflowed))
	switch {
	case c.unread:
		h.refuse(c.connection, errOverflow, fmt.Errorf("%w: the ring had no room when it was offered", errOverflow))
	case time.Since(c.overflowing) > allowed:
		h.refuse(c.connection, errOverflow, fmt.Errorf("%w: messages for which there was no room were not taken back within %v, "+
			"after which the kernel may hold overflow_budget of them", errOverflow, allowed))
	}
}
