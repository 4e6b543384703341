// Package page parses the sub-buffers of the kernel's ring buffer that
// per_cpu/cpuN/trace_pipe_raw gives out (kernel/trace/ring_buffer.c): bytes to
// events. It is pure, and believes nothing that the bytes say of themselves.
package page

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/hotpath-metrics/hotpath/internal/source/userevents/format"
)

// A sub-buffer, on 64-bit kernels:
//
//	 0  u64  time of the first event's delta to begin from
//	 8  u64  commit: bytes of events in bits 0-29; bit 31: events were lost before
//	         this sub-buffer; bit 30: their number follows the events, as a u64
//	16       events, each a header and its data in words of 4 bytes:
//
//	          31                5 4       0
//	         +-------------------+---------+
//	         |    time delta     |  type   |
//	         +-------------------+---------+
//
//	type  0     data; the next word has its length in bytes, that word included
//	      1-28  data of so many words
//	      29    padding: to the end if the time delta is 0, else the length of what
//	            is to be skipped is in the next word, without the header
//	      30    the next word has bits 27 and up of a time delta
//	      31    the next word has bits 27 to 58 of an absolute time
const (
	headerSize  = 16
	timeOffset  = 0
	commitOff   = 8
	sizeMask    = 1<<30 - 1
	flagCounted = 1 << 30
	flagLost    = 1 << 31

	typeBits    = 5
	typeMask    = 1<<typeBits - 1
	deltaBits   = 32 - typeBits
	typeLong    = 0
	typeData    = 28 // the last
	typePadding = 29
	typeExtend  = 30

	wordSize = 4

	// absoluteBits are those of an absolute time; the bits above are those of the time before it.
	absoluteBits = 59
	absoluteMask = 1<<absoluteBits - 1

	// padded is the time delta of padding that has none of its own.
	padded = 1
)

// The fields that the records of all events begin with.
const (
	idOffset   = 0 // u16 common_type
	tidOffset  = 4 // s32 common_pid
	recordSize = 8
)

var (
	// ErrTruncated says that a sub-buffer claims to hold more than there is.
	ErrTruncated = errors.New("sub-buffer is shorter than it claims")
	// ErrMalformed says that an event's header is impossible; what lies behind it is lost.
	ErrMalformed = errors.New("malformed event")
	// ErrLayout says that the kernel's sub-buffers are not laid out as this package reads them.
	ErrLayout = errors.New("unknown layout of sub-buffers")
)

// SubBufferSize checks the text of events/header_page, and returns the size of a sub-buffer, in
// bytes. Its errors wrap [ErrLayout].
func SubBufferSize(headerPage []byte) (int, error) {
	fields, err := format.ParseLines(headerPage)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrLayout, err)
	}
	for _, want := range []struct {
		name         string
		offset, size int
	}{{"timestamp", timeOffset, 8}, {"commit", commitOff, 8}, {"data", headerSize, 0}} {
		f := fields.Lookup(want.name)
		if f == nil || f.Offset != want.offset || want.size != 0 && f.Size != want.size {
			return 0, fmt.Errorf("%w: no %s at %d", ErrLayout, want.name, want.offset)
		}
	}
	return headerSize + fields.Lookup("data").Size, nil
}

// Page walks over the events of one sub-buffer:
//
//	p.Reset(subBuffer)
//	for p.Next() {
//		... p.ID, p.Time, p.TID, p.Record ...
//	}
//	if err := p.Err(); err != nil { ... }
//
// It allocates nothing and can be used again. The zero value is an empty page.
type Page struct {
	// Time of the event, by the clock of the trace, in its units.
	Time uint64
	// Record is the event with the fields that all have. It ends with its last word: up to three
	// bytes are not the event's. It is part of the sub-buffer.
	Record []byte
	// ID is the number of the event's format.
	ID uint16
	// TID is the thread that wrote the event, by the kernel's word.
	TID int32

	// Lost says that events were lost before this sub-buffer, LostEvents how many, or 0 where
	// the sub-buffer had no room left to say it.
	Lost       bool
	LostEvents uint64

	events []byte // not read yet
	err    error
}

// Reset begins with a sub-buffer: the bytes that one read gave, or more. It sets Lost and LostEvents.
func (p *Page) Reset(b []byte) {
	*p = Page{}
	if len(b) < headerSize {
		p.err = fmt.Errorf("%w: %d bytes", ErrTruncated, len(b))
		return
	}
	p.Time = binary.NativeEndian.Uint64(b[timeOffset:])
	commit := binary.NativeEndian.Uint64(b[commitOff:])
	size := int(commit & sizeMask)
	p.Lost = commit&flagLost != 0
	b = b[headerSize:]
	if size > len(b) {
		p.err = fmt.Errorf("%w: %d bytes of events, %d are there", ErrTruncated, size, len(b))
		p.events = b
		return
	}
	p.events = b[:size]
	if p.Lost && commit&flagCounted != 0 {
		if b = b[size:]; len(b) < 8 {
			p.err = fmt.Errorf("%w: no number of lost events", ErrTruncated)
			return
		}
		p.LostEvents = binary.NativeEndian.Uint64(b)
	}
}

// Err is what was wrong with the sub-buffer, once Next is false: nil, or [ErrTruncated] or [ErrMalformed] with
// the details. The events before that are good.
func (p *Page) Err() error { return p.err }

// Next goes on to the next event with data. At the end, and where the sub-buffer makes no sense any more, it is false.
func (p *Page) Next() bool {
	events := p.events
	for len(events) >= wordSize {
		head := binary.NativeEndian.Uint32(events)
		typ, delta := head&typeMask, uint64(head>>typeBits)
		if typ-1 < typeData { // the usual case: 1 to 28 words
			end := wordSize + int(typ)*wordSize
			if end > len(events) || end < wordSize+recordSize {
				break
			}
			p.Time += delta
			p.take(events[wordSize:end:end])
			p.events = events[end:]
			return true
		}
		if typ == typePadding && delta == 0 {
			p.events = nil
			return false
		}
		if len(events) < 2*wordSize {
			break
		}
		second := binary.NativeEndian.Uint32(events[wordSize:])
		switch typ {
		case typeLong:
			// The length is that of the data and of the word which says it, in whole words.
			end := wordSize + (uint64(second)+wordSize-1)&^(wordSize-1)
			if end > uint64(len(events)) || end < 2*wordSize+recordSize {
				return p.malformed(events)
			}
			p.Time += delta
			p.take(events[2*wordSize : end : end])
			p.events = events[end:]
			return true
		case typePadding:
			// An event that was given up, which counts as time, or what no event fitted into any more.
			end := wordSize + (uint64(second)+wordSize-1)&^(wordSize-1)
			if end > uint64(len(events)) {
				return p.malformed(events)
			}
			if delta != padded {
				p.Time += delta
			}
			events = events[end:]
		case typeExtend:
			p.Time += uint64(second)<<deltaBits | delta
			events = events[2*wordSize:]
		default:
			p.Time = absolute(uint64(second)<<deltaBits|delta, p.Time)
			events = events[2*wordSize:]
		}
	}
	if len(events) > 0 {
		return p.malformed(events)
	}
	p.events = nil
	return false
}

func (p *Page) take(record []byte) {
	_ = record[recordSize-1]
	p.Record = record
	p.ID = binary.NativeEndian.Uint16(record[idOffset:])
	p.TID = int32(binary.NativeEndian.Uint32(record[tidOffset:]))
}

// absolute completes a time with the upper bits of the one before it, which it cannot precede.
func absolute(time, before uint64) uint64 {
	if upper := before &^ absoluteMask; upper != 0 {
		time |= upper
		if time < before {
			time += 1 << absoluteBits
		}
	}
	return time
}

// malformed ends the page. The last event of a truncated one is what was cut.
func (p *Page) malformed(events []byte) bool {
	if p.err == nil {
		p.err = fmt.Errorf("%w: %d bytes before the end", ErrMalformed, len(events))
	}
	p.events = nil
	return false
}
