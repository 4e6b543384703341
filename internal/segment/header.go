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
	h, faults := InspectHeader(b, size)
	if len(faults) > 0 {
		return Header{}, &faults[0]
	}
	return h, nil
}

// InspectHeader is like ParseHeader but tells of everything that is wrong. What it returns is safe to use all the same: a catalogue or shared area that does
// not lie within the file is empty, and of stripes that do not, or that are more than there are, none is in use.
func InspectHeader(b []byte, size int64) (h Header, faults []Fault) {
	if !HasMagic(b) {
		if len(b) < len(layout.Magic) {
			return h, []Fault{short(b)}
		}
		return h, []Fault{{ErrMagic, layout.OffMagic, "magic", b[:len(layout.Magic)], 0, fmt.Sprintf("%q", layout.Magic)}}
	}
	if len(b) < layout.HeaderSize {
		return h, []Fault{short(b)}
	}
	if major := binary.NativeEndian.Uint32(b[layout.OffMajor:]); major != layout.Major {
		return h, []Fault{number(ErrVersion, layout.OffMajor, "major", uint64(major), "%d", layout.Major)}
	}

	h = Header{
		Minor: binary.NativeEndian.Uint32(b[layout.OffMinor:]),
		PID:   word(b, layout.OffPID),
		ID:    word(b, layout.OffSegmentID),
	}
	copy(h.Instance[:], b[layout.OffInstance:])

	headerSize := word(b, layout.OffHeaderSize)
	if headerSize < layout.HeaderSize || headerSize > math.MaxInt64 {
		faults = append(faults, number(ErrHeader, layout.OffHeaderSize, "header_size", headerSize, "%d or more", layout.HeaderSize))
		headerSize = layout.HeaderSize
	}
	start := word(b, layout.OffStartTime)
	if start == 0 || start > math.MaxInt64 {
		faults = append(faults, number(ErrHeader, layout.OffStartTime, "start_time", start, "UNIX nanoseconds"))
		start = 0
	}
	h.StartTime = int64(start)
	fileSize := word(b, layout.OffFileSize)
	if size < 0 || fileSize > uint64(size) {
		faults = append(faults, number(ErrTruncated, layout.OffFileSize, "file_size", fileSize, "%d or less, the size of the file", size))
		fileSize = uint64(max(size, 0))
	}
	h.FileSize = int64(fileSize)

	wrong, stripes := h.inspectAreas(b, headerSize)
	faults = append(faults, wrong...)
	h.Progress, wrong = h.inspectProgress(b)
	faults = append(faults, wrong...)
	if !stripes {
		h.StripesUsed = 0
	}
	if used := word(b, layout.OffCatalogueUsed); used < layout.RecordHeaderSize {
		faults = append(faults, number(ErrCatalogue, layout.OffCatalogueUsed, "catalogue_used", used, "%d or more, for the resource", layout.RecordHeaderSize))
	}
	return h, faults
}

func short(b []byte) Fault {
	return number(ErrTruncated, 0, "length of the header", uint64(len(b)), "%d", layout.HeaderSize)
}

func number(reason Reason, offset int64, field string, read uint64, want string, args ...any) Fault {
	return Fault{Reason: reason, Offset: offset, Field: field, Number: read, Want: fmt.Sprintf(want, args...)}
}

// HasMagic says whether b begins like a segment.
func HasMagic(b []byte) bool {
	return len(b) >= len(layout.Magic) && string(b[:len(layout.Magic)]) == layout.Magic
}

type area struct {
	name         string // of its fields, without what they measure
	at           int64  // where its offset stands in the header
	sizeAt       int64
	offset, size uint64
}

func (a *area) end() uint64 { return a.offset + a.size }

// inspectAreas sets where the areas are. It also says whether the stripes lie within the file.
func (h *Header) inspectAreas(b []byte, headerSize uint64) (faults []Fault, stripesWithin bool) {
	count := word(b, layout.OffStripeCount)
	if count == 0 || count > layout.MaxStripes {
		faults = append(faults, number(ErrStripes, layout.OffStripeCount, "stripe_count", count, "1 to %d", layout.MaxStripes))
		count = 0
	}
	stripe := word(b, layout.OffStripeSize)
	overflow, stripes := bits.Mul64(stripe, count)
	// What shares a page costs its writer nothing, and a reader a read.
	if overflow != 0 {
		faults = append(faults, number(ErrBounds, layout.OffStripeSize, "stripe_size", stripe, "%d of which fit into the file", count))
		stripe, stripes = 0, 0
	} else if stripe == 0 || stripe%PageSize != 0 {
		faults = append(faults, number(ErrHeader, layout.OffStripeSize, "stripe_size", stripe, "a multiple of %d", PageSize))
	}

	areas := [...]area{
		{"header", 0, layout.OffHeaderSize, 0, headerSize},
		{"catalogue", layout.OffCatalogueOffset, layout.OffCatalogueSize, word(b, layout.OffCatalogueOffset), word(b, layout.OffCatalogueSize)},
		{"shared", layout.OffSharedOffset, layout.OffSharedSize, word(b, layout.OffSharedOffset), word(b, layout.OffSharedSize)},
		{"stripes", layout.OffStripesOffset, layout.OffStripeSize, word(b, layout.OffStripesOffset), stripes},
	}
	for i := range areas[1:] {
		a := &areas[i+1]
		wrong, within := a.inspect(uint64(h.FileSize), areas[:i+1])
		faults = append(faults, wrong...)
		if !within {
			a.offset, a.size = 0, 0
		}
	}
	h.CatalogueOffset, h.CatalogueSize = int64(areas[1].offset), int64(areas[1].size)
	h.SharedOffset, h.SharedSize = int64(areas[2].offset), int64(areas[2].size)
	h.StripesOffset, h.StripeSize, h.StripeCount = int64(areas[3].offset), int64(stripe), int64(count)
	return faults, areas[3].size > 0
}

// inspect says what is wrong with where an area is, and whether it lies within the file.
func (a *area) inspect(fileSize uint64, before []area) (faults []Fault, within bool) {
	if a.offset%layout.Alignment != 0 {
		faults = append(faults, number(ErrHeader, a.at, a.name+"_offset", a.offset, "a multiple of %d", layout.Alignment))
	}
	if a.size%layout.Alignment != 0 && a.sizeAt != layout.OffStripeSize { // that has to be a multiple of more
		faults = append(faults, number(ErrHeader, a.sizeAt, a.name+"_size", a.size, "a multiple of %d", layout.Alignment))
	}
	// Compared so that no sum can wrap.
	if a.size > fileSize || a.offset > fileSize-a.size {
		return append(faults, number(ErrBounds, a.at, a.name+"_offset", a.offset, "one from which %d bytes fit into the file's %d", a.size, fileSize)), false
	}
	for i := range before {
		if t := &before[i]; a.offset < t.end() && t.offset < a.end() {
			faults = append(faults, number(ErrOverlap, a.at, a.name+"_offset", a.offset, "outside of the %s, from %d to %d", t.name, t.offset, t.end()))
		}
	}
	return faults, true
}

// ParseProgress reads the changing fields from a later copy of a header that h
// was parsed from. The error wraps ErrTruncated, ErrHeader, ErrBounds or ErrShrunk.
func (h *Header) ParseProgress(b []byte) (Progress, error) {
	p, faults := h.inspectProgress(b)
	if len(faults) > 0 {
		return Progress{}, &faults[0]
	}
	return p, nil
}

func (h *Header) inspectProgress(b []byte) (p Progress, faults []Fault) {
	if len(b) < layout.HeaderSize {
		return p, []Fault{short(b)}
	}
	used, stripes := word(b, layout.OffCatalogueUsed), word(b, layout.OffStripesUsed)
	if used%8 != 0 {
		faults = append(faults, number(ErrHeader, layout.OffCatalogueUsed, "catalogue_used", used, "a multiple of 8"))
		used &^= 7
	}
	if used > uint64(h.CatalogueSize) {
		faults = append(faults, number(ErrBounds, layout.OffCatalogueUsed, "catalogue_used", used, "%d or less, the catalogue's size", h.CatalogueSize))
		used = uint64(h.CatalogueSize)
	}
	if h.StripeCount > 0 && stripes > uint64(h.StripeCount) {
		faults = append(faults, number(ErrBounds, layout.OffStripesUsed, "stripes_used", stripes, "%d or less, as many as there are", h.StripeCount))
		stripes = uint64(h.StripeCount)
	}
	if int64(used) < h.CatalogueUsed {
		faults = append(faults, number(ErrShrunk, layout.OffCatalogueUsed, "catalogue_used", used, "%d or more, as before", h.CatalogueUsed))
	}
	if int64(stripes) < h.StripesUsed {
		faults = append(faults, number(ErrShrunk, layout.OffStripesUsed, "stripes_used", stripes, "%d or more, as before", h.StripesUsed))
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
	}, faults
}

func word(b []byte, offset int) uint64 { return binary.NativeEndian.Uint64(b[offset:]) }
