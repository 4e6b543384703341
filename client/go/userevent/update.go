package userevent

import (
	"encoding/binary"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

// Update is a state update without the bytes of its record, resource and buckets.
type Update struct {
	Segment  uint64 // id of the segment
	Number   uint64 // of the update, within its series, from 1
	Start    uint64 // UNIX nanoseconds
	Value    uint64 // running total, or IEEE 754 bits of a gauge's value or a histogram's sum
	Zero     uint64 // values of a histogram that were zero
	Instance [segment.InstanceSize]byte
	PID      uint32
	Series   uint32 // below MaxSeries
	First    uint16 // bucket that the buckets begin with
	Flags    uint16

	// Lengths in bytes, multiples of 8, of what follows the header in this order.
	RecordLen   uint16
	ResourceLen uint16
	BucketsLen  uint16
}

// Put writes the header into b, which holds at least [HeaderSize] bytes.
func (u *Update) Put(b []byte) {
	b = b[:HeaderSize]
	binary.NativeEndian.PutUint64(b[OffSegment:], u.Segment)
	binary.NativeEndian.PutUint64(b[OffNumber:], u.Number)
	binary.NativeEndian.PutUint64(b[OffStart:], u.Start)
	binary.NativeEndian.PutUint64(b[OffValue:], u.Value)
	binary.NativeEndian.PutUint64(b[OffZero:], u.Zero)
	copy(b[OffInstanceHi:], u.Instance[:])
	binary.NativeEndian.PutUint32(b[OffPID:], u.PID)
	binary.NativeEndian.PutUint32(b[OffSeries:], u.Series)
	binary.NativeEndian.PutUint16(b[OffFirst:], u.First)
	binary.NativeEndian.PutUint16(b[OffFlags:], u.Flags)
	at := uint32(HeaderSize)
	for _, part := range [...]struct {
		field uint32
		size  uint16
	}{{OffRecord, u.RecordLen}, {OffResource, u.ResourceLen}, {OffBuckets, u.BucketsLen}} {
		// linux/user_events.h: a length, and how far behind the field the bytes begin.
		binary.NativeEndian.PutUint32(b[part.field:], uint32(part.size)<<16|(at-part.field-4))
		at += uint32(part.size)
	}
}
