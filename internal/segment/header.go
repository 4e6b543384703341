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
	RingsOffset, RingSize          int64 // 0 where there are no measurement rings
	RingWords, RingCount           int64

	Progress
}

// Progress is the part of a header that changes.
type Progress struct {
	CatalogueUsed int64 // bytes
	StripesUsed   int64
	RingsUsed     int64
	Client        ClientCounters
}

// ClientCounters are what a client counts about itself.
type ClientCounters struct {
	Refused, Folded, Unplaced, Rejected, Unrecorded uint64
}

// ParseHeader validates the first bytes of a file of the given size. The error
// wraps one of ErrMagic, ErrVersion, ErrHeader, ErrTruncated, ErrBounds, ErrOverlap, ErrStripes, ErrRings and ErrCatalogue.
func ParseHeader(b []byte, size int64) (Header, error) {
	h, faults := InspectHeader(b, size)
	if len(faults) > 0 {
		return Header{}, &faults[0]
	}
	return h, nil
}

// InspectHeader is like ParseHeader but tells of everything that is wrong. What it returns is safe to use all the same: a catalogue or shared area that does
// not lie within the file is empty, and of stripes or rings that do not, or that are more than there are, none is in use.
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

	wrong, before := h.inspectAreas(b, headerSize)
	faults = append(faults, wrong...)
	wrong = h.inspectRings(b, before)
	faults = append(faults, wrong...)
	h.Progress, wrong = h.inspectProgress(b)
	faults = append(faults, wrong...)
	if before[len(before)-1].size == 0 {
		h.StripesUsed = 0
	}
	if used := word(b, layout.OffCatalogueUsed); used < layout.RecordHeaderSize {
		faults = append(faults, number(ErrCatalogue, layout.OffCatalogueUsed, "catalogue_used", used, "%d or more, for the resource", layout.RecordHeaderSize))
	}
	return h, faults
}

// Ring is where a measurement ring begins, from 0 on, in bytes from the start of the file.
func (h *Header) Ring(i int64) int64 { return h.RingsOffset + i*h.RingSize }

// RingBytes is how much of a ring in use has memory: its head, and its words.
func (h *Header) RingBytes() int64 { return layout.RingFirst + h.RingWords*8 }

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

// inspectAreas sets where the areas are that every segment has. It returns them in the order of their fields, those empty that do not
// lie within the file. The stripes are the last.
func (h *Header) inspectAreas(b []byte, headerSize uint64) (faults []Fault, inspected []area) {
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

	areas := []area{
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
	return faults, areas
}

// inspectRings sets where the measurement rings are, if there are any and nothing is wrong with them.
func (h *Header) inspectRings(b []byte, before []area) (faults []Fault) {
	offset, count := word(b, layout.OffRingsOffset), word(b, layout.OffRingCount)
	size, words := word(b, layout.OffRingSize), word(b, layout.OffRingWords)
	if h.Minor == 0 {
		return nil // they are reserved there
	}
	if offset == 0 {
		for _, f := range [...]struct {
			at    int64
			name  string
			value uint64
		}{{layout.OffRingSize, "ring_size", size}, {layout.OffRingWords, "ring_words", words}, {layout.OffRingCount, "ring_count", count}} {
			if f.value != 0 {
				faults = append(faults, number(ErrRings, f.at, f.name, f.value, "0, where there are no rings"))
			}
		}
		return faults
	}
	if count == 0 || count > layout.MaxRings {
		faults = append(faults, number(ErrRings, layout.OffRingCount, "ring_count", count, "1 to %d", layout.MaxRings))
	}
	if words < layout.MinRingWords || words > layout.MaxRingWords || words&(words-1) != 0 {
		faults = append(faults, number(ErrRings, layout.OffRingWords, "ring_words", words,
			"a power of two from %d to %d", layout.MinRingWords, layout.MaxRingWords))
	} else if least := layout.RingFirst + words*8; size < least || size%PageSize != 0 {
		faults = append(faults, number(ErrRings, layout.OffRingSize, "ring_size", size, "a multiple of %d, %d or more", PageSize, least))
	}
	if offset%PageSize != 0 {
		faults = append(faults, number(ErrHeader, layout.OffRingsOffset, "rings_offset", offset, "a multiple of %d", PageSize))
	}
	overflow, total := bits.Mul64(size, count)
	if overflow != 0 {
		return append(faults, number(ErrBounds, layout.OffRingSize, "ring_size", size, "%d of which fit into the file", count))
	}
	rings := area{"rings", layout.OffRingsOffset, layout.OffRingSize, offset, total}
	wrong, _ := rings.inspect(uint64(h.FileSize), before)
	if faults = append(faults, wrong...); len(faults) > 0 {
		return faults
	}
	h.RingsOffset, h.RingSize, h.RingWords, h.RingCount = int64(offset), int64(size), int64(words), int64(count)
	return nil
}

// inspect says what is wrong with where an area is, and whether it lies within the file.
func (a *area) inspect(fileSize uint64, before []area) (faults []Fault, within bool) {
	if a.offset%layout.Alignment != 0 {
		faults = append(faults, number(ErrHeader, a.at, a.name+"_offset", a.offset, "a multiple of %d", layout.Alignment))
	}
	if a.size%layout.Alignment != 0 && a.sizeAt != layout.OffStripeSize && a.sizeAt != layout.OffRingSize { // these have to be multiples of more
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
	var rings uint64
	if h.RingCount > 0 {
		rings = word(b, layout.OffRingsUsed)
	}
	if rings > uint64(h.RingCount) {
		faults = append(faults, number(ErrBounds, layout.OffRingsUsed, "rings_used", rings, "%d or less, as many as there are", h.RingCount))
		rings = uint64(h.RingCount)
	}
	if int64(used) < h.CatalogueUsed {
		faults = append(faults, number(ErrShrunk, layout.OffCatalogueUsed, "catalogue_used", used, "%d or more, as before", h.CatalogueUsed))
	}
	if int64(stripes) < h.StripesUsed {
		faults = append(faults, number(ErrShrunk, layout.OffStripesUsed, "stripes_used", stripes, "%d or more, as before", h.StripesUsed))
	}
	if int64(rings) < h.RingsUsed {
		faults = append(faults, number(ErrShrunk, layout.OffRingsUsed, "rings_used", rings, "%d or more, as before", h.RingsUsed))
	}
	p = Progress{
		CatalogueUsed: int64(used),
		StripesUsed:   int64(stripes),
		RingsUsed:     int64(rings),
		Client: ClientCounters{
			Refused:  word(b, layout.OffRefused),
			Folded:   word(b, layout.OffFolded),
			Unplaced: word(b, layout.OffUnplaced),
			Rejected: word(b, layout.OffRejected),
		},
	}
	if h.Minor > 0 {
		p.Client.Unrecorded = word(b, layout.OffUnrecorded)
	}
	return p, faults
}

func word(b []byte, offset int) uint64 { return binary.NativeEndian.Uint64(b[offset:]) }
