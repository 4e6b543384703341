package uring

import (
	"encoding/binary"
	"fmt"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"
	wire "github.com/hotpath-metrics/hotpath/client/go/uring"

	"github.com/hotpath-metrics/hotpath/internal/segment"
)

// next splits the first message off what has come of a socket. It is nil while that is not all of one; the
// error wraps errMessage.
func next(b []byte) (message, rest []byte, err error) {
	if len(b) < wire.HeaderSize {
		return nil, b, nil
	}
	size := binary.NativeEndian.Uint32(b[wire.OffSize:])
	if size < wire.HeaderSize || size > wire.MaxMessage {
		return nil, nil, fmt.Errorf("%w: of %d bytes", errMessage, size)
	}
	if v := binary.NativeEndian.Uint16(b[wire.OffVersion:]); v != wire.Version {
		return nil, nil, fmt.Errorf("%w: of version %d, the Collector's is %d", errMessage, v, wire.Version)
	}
	if uint32(len(b)) < size {
		return nil, b, nil
	}
	return b[:size:size], b[size:], nil
}

func typeOf(message []byte) uint16 { return binary.NativeEndian.Uint16(message[wire.OffType:]) }

// outgoing makes a message.
func outgoing(kind uint16, body ...byte) []byte {
	return append(wire.AppendHeader(nil, kind, len(body)), body...)
}

func greeting(entries uint32) []byte {
	return outgoing(wire.TypeGreeting, binary.NativeEndian.AppendUint64(nil, uint64(entries))...)
}

// Places in an image. The areas follow each other, each on a page of its own.
const (
	pageSize        = segment.PageSize
	catalogueOffset = pageSize
	// maxArea keeps sums of sizes from wrapping, and images from using up addresses.
	maxArea = 1 << 30
)

// hello is what a client says of itself.
type hello struct {
	header   layout.Header // of its image
	ring     uint32        // descriptor
	resource []byte        // record, a part of the message
}

// parseHello checks a hello. The error wraps a reason.
func parseHello(message []byte) (hello, error) {
	if len(message) < wire.HelloResource {
		return hello{}, fmt.Errorf("%w: hello of %d bytes", errMessage, len(message))
	}
	word := func(offset int) uint64 { return binary.NativeEndian.Uint64(message[offset:]) }
	catalogue, shared, stripe := word(wire.HelloCatalogueSize), word(wire.HelloSharedSize), word(wire.HelloStripeSize)
	if catalogue > maxArea || shared > maxArea || stripe > maxArea {
		return hello{}, fmt.Errorf("%w: areas of %d, %d and %d bytes, %d are the most", segment.ErrTooLarge, catalogue, shared, stripe, maxArea)
	}
	h := hello{
		header: layout.Header{
			StartTime: word(wire.HelloStartTime), PID: word(wire.HelloPID), SegmentID: word(wire.HelloSegmentID),
			CatalogueOffset: catalogueOffset, CatalogueSize: catalogue, SharedSize: shared, StripeSize: stripe, StripeCount: 1,
		},
		ring:     binary.NativeEndian.Uint32(message[wire.HelloRing:]),
		resource: message[wire.HelloResource:],
	}
	copy(h.header.Instance[:], message[wire.HelloInstance:])
	h.header.SharedOffset = pageUp(catalogueOffset + catalogue)
	h.header.StripesOffset = pageUp(h.header.SharedOffset + shared)
	h.header.FileSize = h.header.StripesOffset + stripe
	if uint64(len(h.resource)) > catalogue {
		return hello{}, fmt.Errorf("%w: a resource of %d bytes in a catalogue of %d", segment.ErrCatalogue, len(h.resource), catalogue)
	}
	if _, err := segment.ParseResource(h.resource); err != nil {
		return hello{}, err
	}
	var b [layout.HeaderSize]byte
	h.putHeader(b[:])
	_, err := segment.ParseHeader(b[:], int64(h.header.FileSize))
	return h, err
}

// putHeader writes the header of an image that holds the resource.
func (h *hello) putHeader(b []byte) {
	h.header.Put(b)
	binary.NativeEndian.PutUint64(b[layout.OffCatalogueUsed:], uint64(len(h.resource)))
	binary.NativeEndian.PutUint64(b[layout.OffStripesUsed:], 1)
}

// record is as much of a catalogue record as says which words it is about. Package segment checks the rest.
type record struct {
	bytes []byte
	kind  byte
	end   uint64 // of its words, in the area that its kind has them in; 0 if it has none
}

// nextRecord splits the first record off the body of a series message.
func nextRecord(b []byte) (r record, rest []byte, err error) {
	if len(b) < layout.RecordHeaderSize {
		return record{}, nil, fmt.Errorf("%w: record of %d bytes", segment.ErrCatalogue, len(b))
	}
	size := binary.NativeEndian.Uint32(b[layout.RecordSize:])
	if size < layout.RecordHeaderSize || size > layout.MaxRecord || size%8 != 0 || uint64(size) > uint64(len(b)) {
		return record{}, nil, fmt.Errorf("%w: record of %d bytes in %d", segment.ErrCatalogue, size, len(b))
	}
	r = record{bytes: b[:size:size], kind: b[layout.RecordKind]}
	if words := uint64(layout.Words(r.kind)); words > 0 {
		slot := binary.NativeEndian.Uint64(b[layout.RecordSlot:])
		if slot > maxArea/8 {
			return record{}, nil, fmt.Errorf("%w: slot %d", segment.ErrBounds, slot)
		}
		r.end = slot + words
	}
	return r, b[size:], nil
}

func pageUp(n uint64) uint64 { return (n + pageSize - 1) &^ (pageSize - 1) }
