package probe

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/cilium/ebpf/ringbuf"
	"go.uber.org/zap"
)

// maxEvents is how many events are read before a collection has its turn.
const maxEvents = 1 << 15

// eventSize is that of an event without the attributes of its key.
const eventSize = 4 + 4 + 8 + keySize

// listen takes events until the ring buffer is closed.
func (s *Source) listen(c *common) {
	var record ringbuf.Record
	for {
		err := c.reader.ReadInto(&record)
		if err == nil {
			err = s.heedAll(c, &record)
		}
		switch {
		case err == nil:
		case errors.Is(err, ringbuf.ErrClosed):
			close(s.drained)
			return
		case errors.Is(err, ringbuf.ErrFlushed): // there is nothing more
			s.mu.Lock()
			s.consumed(math.MaxInt)
			s.mu.Unlock()
		default:
			s.logger.Warn("Cannot read an event", zap.Error(err))
		}
	}
}

// heedAll records an event and those that wait behind it, some milliseconds' worth at most.
func (s *Source) heedAll(c *common, record *ringbuf.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.common != c {
		return nil
	}
	s.accept(record)
	for n := 0; n < maxEvents && c.reader.AvailableBytes() > 0; n++ {
		if err := c.reader.ReadInto(record); err != nil {
			return err
		}
		s.accept(record)
	}
	return nil
}

func (s *Source) accept(record *ringbuf.Record) {
	s.heed(record.RawSample)
	s.consumed((recordHeader + len(record.RawSample) + 7) &^ 7)
}

// recordHeader is what the kernel has before each record of a ring buffer, in bytes.
const recordHeader = 8

// consumed says that bytes of the ring buffer were read. A collection waits for those that were there when it began, and not for
// what may come faster than anybody reads.
func (s *Source) consumed(bytes int) {
	if s.undrained == 0 {
		return
	}
	if s.undrained = max(0, s.undrained-bytes); s.undrained == 0 {
		s.drained <- struct{}{}
	}
}

// drain has everything read that waits in the ring buffer.
func (s *Source) drain() {
	s.mu.Lock()
	c := s.common
	if c == nil || c.reader == nil || c.reader.AvailableBytes() == 0 {
		s.mu.Unlock()
		return
	}
	s.undrained = c.reader.AvailableBytes()
	err := c.reader.Flush()
	s.mu.Unlock()
	if err == nil {
		<-s.drained
	}
}

// heed records an event.
func (s *Source) heed(b []byte) {
	s.read++
	if len(b) < eventSize {
		return
	}
	number32 := binary.NativeEndian.Uint32(b)
	if int(number32) >= len(s.probes) {
		return
	}
	p := s.probes[number32]
	if len(b) < eventSize-keySize+int(p.fixed.KeySize) {
		return
	}
	k := parseKey(b[eventSize-keySize:])
	of := s.process(k.id)
	if of == nil {
		s.skips[processLimit]++
		return
	}
	signed := binary.NativeEndian.Uint32(b[4:]) != 0
	if refusal := p.put(&k).Record(of.measured, number(binary.NativeEndian.Uint64(b[8:]), signed), of.start); refusal != "" {
		s.skips[string(refusal)]++
	}
}

// countLost reports events that the kernel had no room for.
func (s *Source) countLost() error {
	if s.common.lost == nil {
		return nil
	}
	var lost []uint64
	if err := s.common.lost.Lookup(uint32(0), &lost); err != nil {
		return err
	}
	for cpu, n := range lost {
		if cpu < len(s.lost) {
			n -= s.lost[cpu]
		}
		if n > 0 {
			s.tel.EventsDropped(cpu, int64(n))
		}
	}
	s.lost = lost
	return nil
}
