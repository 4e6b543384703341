package uring

import (
	"encoding/binary"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

// Hello says who a client is and where its target ring is. All but Ring are as in the segment's header.
type Hello struct {
	StartTime     uint64
	PID           uint64
	Instance      [segment.InstanceSize]byte
	SegmentID     uint64
	CatalogueSize uint64
	SharedSize    uint64
	StripeSize    uint64
	Ring          uint32 // the target ring's descriptor
}

// AppendHello appends the message with the resource record.
func AppendHello(dst []byte, h *Hello, resource []byte) []byte {
	dst = AppendHeader(dst, TypeHello, HelloResource-HeaderSize+len(resource))
	for _, field := range [...]uint64{h.StartTime, h.PID} {
		dst = binary.NativeEndian.AppendUint64(dst, field)
	}
	dst = append(dst, h.Instance[:]...)
	for _, field := range [...]uint64{h.SegmentID, h.CatalogueSize, h.SharedSize, h.StripeSize} {
		dst = binary.NativeEndian.AppendUint64(dst, field)
	}
	dst = binary.NativeEndian.AppendUint32(dst, h.Ring)
	dst = binary.NativeEndian.AppendUint32(dst, 0)
	return append(dst, resource...)
}

// AppendSeries appends the messages that declare series, as few as they fit. The records are those of a
// catalogue: whole, and none longer than [segment.MaxRecord].
func AppendSeries(dst, records []byte) []byte {
	for len(records) > 0 {
		n := 0
		for n < len(records) {
			size := int(binary.NativeEndian.Uint32(records[n+segment.RecordSize:]))
			if n+size > MaxMessage-HeaderSize {
				break
			}
			n += size
		}
		dst = AppendHeader(dst, TypeSeries, n)
		dst = append(dst, records[:n]...)
		records = records[n:]
	}
	return dst
}

// AppendHeader appends the header of a message whose body has that many bytes.
func AppendHeader(dst []byte, kind uint16, body int) []byte {
	dst = binary.NativeEndian.AppendUint32(dst, uint32(HeaderSize+body))
	dst = binary.NativeEndian.AppendUint16(dst, kind)
	return binary.NativeEndian.AppendUint16(dst, Version)
}
