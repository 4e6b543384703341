package userevents

import (
	"errors"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/source/userevents/event"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/tracefs"
)

// run reads buffers as they fill up, and looks for new events, until the poll is stopped. One goroutine does for all
// CPUs: it takes events in an order of magnitude faster than a CPU can write them, and the ingests have one lock.
func (t *trace) run(mu *sync.Mutex) {
	var ready []int
	var failed string // what was logged
	for {
		mu.Lock()
		wait := t.untilScan()
		mu.Unlock()
		var err error
		ready, err = t.poll.Wait(ready[:0], wait)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err == nil {
			mu.Lock()
			err = t.serve(ready)
			mu.Unlock()
		}
		if err != nil {
			if text := err.Error(); text != failed {
				failed = text
				t.logger.Error("Cannot read events between collections; it is tried again", zap.Error(err))
			}
			time.Sleep(retryInterval) // what fails may be ready all the time
		}
	}
}

const retryInterval = 100 * time.Millisecond

func (t *trace) serve(ready []int) error {
	if t.untilScan() == 0 {
		return errors.Join(t.drainAll(), t.scan())
	}
	t.clock.Anchor()
	var errs error
	for _, id := range ready {
		for _, c := range t.cpus {
			if c.ID == id {
				errs = errors.Join(errs, t.drain(c, false))
			}
		}
	}
	return errs
}

// untilScan is negative if there is nothing to look for.
func (t *trace) untilScan() time.Duration {
	if !t.cfg.OTLP && len(t.cfg.Events) == 0 && t.registry.complete() {
		return -1
	}
	return max(0, time.Until(t.scanned.Add(t.wait)))
}

// admit begins to read CPUs that came online for the first time.
func (t *trace) admit() error {
	if len(t.absent) == 0 {
		return nil
	}
	online, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err == nil && string(online) == t.online {
		return nil
	}
	t.online = string(online)
	var errs error
	absent := t.absent[:0]
	for _, c := range t.absent {
		// Polled without a buffer, it would be ready all the time.
		n, err := c.Read(t.buffer)
		if err == nil {
			err = t.poll.Add(c.CPU)
		}
		if err != nil {
			absent = append(absent, c)
			if !errors.Is(err, tracefs.ErrNoBuffer) {
				errs = errors.Join(errs, err)
			}
			continue
		}
		t.cpus = append(t.cpus, c)
		if n > 0 {
			t.count(t.take(t.buffer[:n]))
		}
	}
	clear(t.absent[len(absent):])
	t.absent = absent
	return errs
}

// drainAll takes all that was written until now.
func (t *trace) drainAll() error {
	t.clock.Anchor()
	err := t.admit()
	for _, c := range t.cpus {
		err = errors.Join(err, t.drain(c, true))
	}
	return err
}

// drain takes what was written on a CPU until now: all of it, or only what can be had cheaply. It ends however fast
// more is written.
func (t *trace) drain(c *cpu, all bool) error {
	// A buffer has so many sub-buffers, another that is being read, and two of which parts were read before.
	most := t.cfg.BufferSizeKB<<10/t.instance.SubBufferSize + 4
	var sum counts
	defer func() { t.count(sum) }()
	for i := range most {
		n, err := c.Read(t.buffer)
		if err != nil || n == 0 {
			return err
		}
		taken := t.take(t.buffer[:n])
		sum.add(taken)
		// The first may be the rest of one that was read before. Another one that is half empty is most likely the writer's own:
		// to go on would mean to get each event as it comes, at the price of a sub-buffer.
		if !all && i > 0 && taken.bytes < int64(n/2) {
			return nil
		}
	}
	return nil
}

// counts is what became of events.
type counts struct{ read, bytes, unknown, nearLimit, malformed int64 }

func (c *counts) add(o counts) {
	c.read += o.read
	c.bytes += o.bytes
	c.unknown += o.unknown
	c.nearLimit += o.nearLimit
	c.malformed += o.malformed
}

// take hands the events of a sub-buffer to those who are bound to them.
func (t *trace) take(subBuffer []byte) counts {
	var n counts
	p := &t.page
	p.Reset(subBuffer)
	var e event.Event
	for p.Next() {
		n.read++
		n.bytes += int64(len(p.Record))
		var b *binding
		if int(p.ID) < len(t.byID) {
			b = t.byID[p.ID]
		}
		if b == nil {
			n.unknown++
			continue
		}
		if p.TID != b.last {
			b.heard(p.TID)
		}
		b.events++
		if len(p.Record) >= b.nearLimit {
			n.nearLimit++
			t.warnNearLimit(b, len(p.Record))
		}
		e = event.Event{Time: t.clock.Unix(p.Time), TID: p.TID, Record: p.Record}
		for _, h := range b.handlers {
			h.Handle(&e)
		}
	}
	if err := p.Err(); err != nil {
		n.malformed++
		if !t.broken {
			t.broken = true
			t.logger.Error("Cannot read what the kernel recorded; further sub-buffers like it are only counted", zap.Error(err))
		}
	}
	return n
}

func (t *trace) count(n counts) {
	for _, c := range []struct {
		n      int64
		report func(int64)
	}{
		{n.read, t.tel.EventsRead},
		{n.nearLimit, t.tel.EventsNearLimit},
		{n.unknown, func(n int64) { t.tel.EventsSkipped("unknown_event", n) }},
		{n.malformed, func(n int64) { t.tel.EventsSkipped("malformed_sub_buffer", n) }},
	} {
		if c.n > 0 {
			c.report(c.n)
		}
	}
}

// countLost reports what was lost since the last time.
func (t *trace) countLost() error {
	var errs error
	for _, c := range t.cpus {
		lost, err := c.Lost()
		if err != nil {
			errs = errors.Join(errs, err)
			continue
		}
		n := lost - c.lost
		if lost < c.lost { // somebody emptied the buffers, which sets the counters to zero
			n = lost
		}
		c.lost = lost
		if n > 0 {
			t.tel.EventsDropped(c.ID, int64(n))
		}
	}
	return errs
}
