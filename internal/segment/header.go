// Package segment turns the bytes of a segment into series. Whoever wrote them
// is not trusted: nothing in it can make a reader crash, loop, or read outside
// of the bytes at hand. docs/segment-format.md describes the format.
//
// The package reads no file. Its caller copies a segment's bytes into memory
// of its own, and only the copy is parsed.
package segment

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"
)

// FixedSize is how many bytes at the start of a header never change.
const FixedSize = layout.OffCatalogueUsed

// PageSize is the smallest page there is, in bytes. Every stripe begins on one of its own.
const PageSize = 4096

// Header is a validated header. Offsets and sizes are in bytes, all areas lie
// within FileSize and none overlaps another.
type Header struct {
	Minor     uint32
	FileSize  int64
	StartTime int64 // UNIX nanoseconds, positive
	PID       uint64
	Instance  [layout.InstanceSize]byte
	ID        uint64

	CatalogueOffset, CatalogueSize int64
	SharedOffset, SharedSize       int64
	StripesOffset, StripeSize      int64
	StripeCount                    int64

	Progress
}

// Progress is the part of a header that changes.
type Progress struct {
	CatalogueUsed int64 // bytes
	StripesUsed   int64
	Client        ClientCounters
}

// ClientCounters are what a client counts about itself.
type ClientCounters struct {
	Refused, Folded, Unplaced, Rejected uint64
}

// ParseHeader validates the first bytes of a file of the given size. The error
// wraps one of ErrMagic, ErrVersion, ErrHeader, ErrTruncated, ErrBounds, ErrOverlap, ErrStripes and ErrCatalogue.
func ParseHeader(b []byte, size int64) (Header, error) {
	if !HasMagic(b) {
		if len(b) < len(layout.Magic) {
			return Header{}, fmt.Errorf("%w: %d bytes", ErrTruncated, len(b))
		}
		return Header{}, ErrMagic
	}
	if len(b) < layout.HeaderSize {
		return Header{}, fmt.Errorf("%w: %d bytes", ErrTruncated, len(b))
	}
	if major := binary.NativeEndian.Uint32(b[layout.OffMajor:]); major != layout.Major {
		return Header{}, fmt.Errorf("%w: %d", ErrVersion, major)
	}

	h := Header{
		Minor: binary.NativeEndian.Uint32(b[layout.OffMinor:]),
		PID:   word(b, layout.OffPID),
		ID:    word(b, layout.OffSegmentID),
	}
	copy(h.Instance[:], b[layout.OffInstance:])

	headerSize := word(b, layout.OffHeaderSize)
	if headerSize < layout.HeaderSize || headerSize > math.MaxInt64 {
		return Header{}, fmt.Errorf("%w: header_size %d", ErrHeader, headerSize)
	}
	start := word(b, layout.OffStartTime)
	if start == 0 || start > math.MaxInt64 {
		return Header{}, fmt.Errorf("%w: start_time %d", ErrHeader, start)
	}
	h.StartTime = int64(start)
	fileSize := word(b, layout.OffFileSize)
	if size < 0 || fileSize > uint64(size) {
		return Header{}, fmt.Errorf("%w: file_size %d of a file of %d bytes", ErrTruncated, fileSize, size)
	}
	h.FileSize = int64(fileSize)

	if err := h.parseAreas(b, headerSize); err != nil {
		return Header{}, err
	}
	var err error
	if h.Progress, err = h.ParseProgress(b); err != nil {
		return Header{}, err
	}
	if h.CatalogueUsed < layout.RecordHeaderSize {
		return Header{}, fmt.Errorf("%w: no resource in %d bytes", ErrCatalogue, h.CatalogueUsed)
	}
	return h, nil
}

// HasMagic says whether b begins like a segment.
func HasMagic(b []byte) bool {
	return len(b) >= len(layout.Magic) && string(b[:len(layout.Magic)]) == layout.Magic
}

type area struct{ offset, end uint64 }

func (h *Header) parseAreas(b []byte, headerSize uint64) error {
	count := word(b, layout.OffStripeCount)
	if count == 0 || count > layout.MaxStripes {
		return fmt.Errorf("%w: stripe_count %d", ErrStripes, count)
	}
	stripe := word(b, layout.OffStripeSize)
	overflow, stripes := bits.Mul64(stripe, count)
	if overflow != 0 {
		return fmt.Errorf("%w: stripe_size %d", ErrBounds, stripe)
	}
	// What shares a page costs its writer nothing, and a reader a read.
	if stripe == 0 || stripe%PageSize != 0 {
		return fmt.Errorf("%w: stripe_size %d", ErrHeader, stripe)
	}

	areas := [...]struct {
		name         string
		offset, size uint64
	}{
		{"catalogue", word(b, layout.OffCatalogueOffset), word(b, layout.OffCatalogueSize)},
		{"shared", word(b, layout.OffSharedOffset), word(b, layout.OffSharedSize)},
		{"stripes", word(b, layout.OffStripesOffset), stripes},
	}
	taken := [len(areas) + 1]area{{0, headerSize}}
	for i, a := range areas {
		if a.offset%layout.Alignment != 0 || a.size%layout.Alignment != 0 {
			return fmt.Errorf("%w: %s of %d bytes at %d is not aligned", ErrHeader, a.name, a.size, a.offset)
		}
		// Compared so that no sum can wrap.
		if a.size > uint64(h.FileSize) || a.offset > uint64(h.FileSize)-a.size {
			return fmt.Errorf("%w: %s of %d bytes at %d", ErrBounds, a.name, a.size, a.offset)
		}
		end := a.offset + a.size
		for _, t := range taken[:i+1] {
			if a.offset < t.end && t.offset < end {
				return fmt.Errorf("%w: %s of %d bytes at %d", ErrOverlap, a.name, a.size, a.offset)
			}
		}
		taken[i+1] = area{a.offset, end}
	}

	h.CatalogueOffset, h.CatalogueSize = int64(areas[0].offset), int64(areas[0].size)
	h.SharedOffset, h.SharedSize = int64(areas[1].offset), int64(areas[1].size)
	h.StripesOffset, h.StripeSize, h.StripeCount = int64(areas[2].offset), int64(stripe), int64(count)
	return nil
}

// ParseProgress reads the changing fields from a later copy of a header that h
// was parsed from. The error wraps ErrTruncated, ErrHeader, ErrBounds or ErrShrunk.
func (h *Header) ParseProgress(b []byte) (Progress, error) {
	if len(b) < layout.HeaderSize {
		return Progress{}, fmt.Errorf("%w: %d bytes", ErrTruncated, len(b))
	}
	used, stripes := word(b, layout.OffCatalogueUsed), word(b, layout.OffStripesUsed)
	switch {
	case used%8 != 0:
		return Progress{}, fmt.Errorf("%w: catalogue_used %d", ErrHeader, used)
	case used > uint64(h.CatalogueSize):
		return Progress{}, fmt.Errorf("%w: catalogue_used %d of %d", ErrBounds, used, h.CatalogueSize)
	case stripes > uint64(h.StripeCount):
		return Progress{}, fmt.Errorf("%w: stripes_used %d of %d", ErrBounds, stripes, h.StripeCount)
	case int64(used) < h.CatalogueUsed:
		return Progress{}, fmt.Errorf("%w: catalogue_used from %d to %d", ErrShrunk, h.CatalogueUsed, used)
	case int64(stripes) < h.StripesUsed:
		return Progress{}, fmt.Errorf("%w: stripes_used from %d to %d", ErrShrunk, h.StripesUsed, stripes)
	}
	return Progress{
		CatalogueUsed: int64(used),
		StripesUsed:   int64(stripes),
		Client: ClientCounters{
			Refused:  word(b, layout.OffRefused),
			Folded:   word(b, layout.OffFolded),
			Unplaced: word(b, layout.OffUnplaced),
			Rejected: word(b, layout.OffRejected),
		},
	}, nil
}

func word(b []byte, offset int) uint64 { return binary.NativeEndian.Uint64(b[offset:]) }
