package uring

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/segment"
)

const (
	// A ring that overflowed is given so long to be emptied.
	overflowTime = time.Second
	// Where the Collector was held up for longer, nobody knows how long the kernel's list has become, and it is not asked for.
	overflowLate = 250 * time.Millisecond
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
		if pause := resume.Sub(now); pause > 0 {
			waiting = fds[:1]
			if until.IsZero() || resume.Before(until) {
				until = resume
			}
		}
		wait(waiting, now, until)
		woke := time.Now()
		rings := !woke.Before(resume)
		h.mu.Lock()
		if h.stopping {
			h.mu.Unlock()
			return
		}
		if h.turn(woke, rings) {
			resume = time.Now().Add(h.cfg.Latency)
		}
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

// turn does what there is to do, and says whether any ring was read.
func (h *hub) turn(woke time.Time, rings bool) (read bool) {
	for {
		n := h.ready(h.control)
		for i := range h.events[:n] {
			h.heed(idOf(&h.events[i]))
		}
		if n < len(h.events) {
			break
		}
	}
	h.timeout(woke)
	if rings {
		read = h.drainAll(woke)
	}
	h.sweep()
	return read
}

func (h *hub) ready(epoll int) int {
	n, err := unix.EpollWait(epoll, h.events[:], 0)
	if err != nil {
		return 0
	}
	return n
}

func (h *hub) heed(id uint64) {
	switch {
	case id == idListener:
		h.accept()
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

// drainAll reads every ring that has something, once.
func (h *hub) drainAll(woke time.Time) (read bool) {
	h.turns++
	for {
		n := h.ready(h.rings)
		again := false
		for i := range h.events[:n] {
			c := h.byID[idOf(&h.events[i])]
			if c == nil || c.ring == nil || c.turn == h.turns {
				continue
			}
			c.turn = h.turns
			read, again = true, true
			h.drain(c, woke)
		}
		if n < len(h.events) || !again {
			return read
		}
	}
}

// drain reads a ring that was said to have something, no more than its size.
func (h *hub) drain(c *client, woke time.Time) {
	n, err := h.take(c)
	switch {
	case err != nil:
		h.refuse(c.connection, segment.ReasonOf(err, errRing), err)
	case n == 0 || c.ring.Overflows():
		h.overflow(c, woke)
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
// keeps those in a list until their owner asks for them, which an honest client has no need for.
func (h *hub) overflow(c *client, woke time.Time) {
	if c.overflowing.IsZero() {
		c.overflowing = time.Now()
	}
	var cause error
	switch {
	case time.Since(c.overflowing) > overflowTime:
		cause = fmt.Errorf("%w: messages for which there was no room were not taken back within %v", errOverflow, overflowTime)
	case c.unread:
		cause = fmt.Errorf("%w: the ring had no room when it was offered", errOverflow)
	case time.Since(woke) > overflowLate:
		cause = fmt.Errorf("%w: messages were sent for which there was no room", errOverflow)
	default:
		budget := int64(h.cfg.OverflowBudget)
		size, err := c.ring.Overflow(budget)
		if err == nil && size <= budget {
			return
		}
		cause = errors.Join(fmt.Errorf("%w: the kernel holds %d bytes of messages for which there was no room, %d are allowed", errOverflow, size, budget), err)
	}
	h.refuse(c.connection, errOverflow, cause)
}
