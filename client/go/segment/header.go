package segment

import "encoding/binary"

// Header holds the fields of a segment's header that are written before it
// becomes visible and never again.
type Header struct {
	FileSize        uint64
	StartTime       uint64 // UNIX nanoseconds
	PID             uint64
	Instance        [InstanceSize]byte
	SegmentID       uint64
	CatalogueOffset uint64
	CatalogueSize   uint64
	SharedOffset    uint64
	SharedSize      uint64
	StripesOffset   uint64
	StripeSize      uint64
	StripeCount     uint64
	RingsOffset     uint64 // 0: there are no measurement rings
	RingSize        uint64
	RingWords       uint64
	RingCount       uint64
}

// Put writes the header into b, which holds at least [HeaderSize] bytes, of this
// package's version. It leaves all other fields alone.
func (h *Header) Put(b []byte) {
	copy(b[OffMagic:], Magic)
	binary.NativeEndian.PutUint32(b[OffMajor:], Major)
	binary.NativeEndian.PutUint32(b[OffMinor:], Minor)
	copy(b[OffInstance:], h.Instance[:])
	put := func(offset int, value uint64) { binary.NativeEndian.PutUint64(b[offset:], value) }
	put(OffHeaderSize, HeaderSize)
	put(OffFileSize, h.FileSize)
	put(OffStartTime, h.StartTime)
	put(OffPID, h.PID)
	put(OffSegmentID, h.SegmentID)
	put(OffCatalogueOffset, h.CatalogueOffset)
	put(OffCatalogueSize, h.CatalogueSize)
	put(OffSharedOffset, h.SharedOffset)
	put(OffSharedSize, h.SharedSize)
	put(OffStripesOffset, h.StripesOffset)
	put(OffStripeSize, h.StripeSize)
	put(OffStripeCount, h.StripeCount)
	put(OffRingsOffset, h.RingsOffset)
	put(OffRingSize, h.RingSize)
	put(OffRingWords, h.RingWords)
	put(OffRingCount, h.RingCount)
}
