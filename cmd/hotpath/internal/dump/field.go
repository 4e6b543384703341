package dump

import (
	"encoding/binary"
	"fmt"
	"strconv"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/internal/process"
)

// field is a field of the header.
type field struct {
	offset int
	name   string
	size   int // in bytes
	show   func(uint64) string
}

var fields = []field{
	{layout.OffMajor, "major", 4, decimal},
	{layout.OffMinor, "minor", 4, decimal},
	{layout.OffHeaderSize, "header_size", 8, decimal},
	{layout.OffFileSize, "file_size", 8, decimal},
	{layout.OffStartTime, "start_time", 8, timeText},
	{layout.OffPID, "pid", 8, decimal},
	{layout.OffInstance, "instance", layout.InstanceSize, nil},
	{layout.OffSegmentID, "segment_id", 8, hexadecimal},
	{layout.OffCatalogueOffset, "catalogue_offset", 8, decimal},
	{layout.OffCatalogueSize, "catalogue_size", 8, decimal},
	{layout.OffSharedOffset, "shared_offset", 8, decimal},
	{layout.OffSharedSize, "shared_size", 8, decimal},
	{layout.OffStripesOffset, "stripes_offset", 8, decimal},
	{layout.OffStripeSize, "stripe_size", 8, decimal},
	{layout.OffStripeCount, "stripe_count", 8, decimal},
	{layout.OffRingsOffset, "rings_offset", 8, decimal},
	{layout.OffRingSize, "ring_size", 8, decimal},
	{layout.OffRingWords, "ring_words", 8, decimal},
	{layout.OffRingCount, "ring_count", 8, decimal},
	{layout.OffCatalogueUsed, "catalogue_used", 8, decimal},
	{layout.OffStripesUsed, "stripes_used", 8, decimal},
	{layout.OffRingsUsed, "rings_used", 8, decimal},
	{layout.OffRefused, "refused", 8, decimal},
	{layout.OffFolded, "folded", 8, decimal},
	{layout.OffUnplaced, "unplaced", 8, decimal},
	{layout.OffRejected, "rejected", 8, decimal},
	{layout.OffUnrecorded, "unrecorded", 8, decimal},
}

func decimal(n uint64) string     { return strconv.FormatUint(n, 10) }
func hexadecimal(n uint64) string { return fmt.Sprintf("%016x", n) }

func (f *field) number(head []byte) uint64 {
	if f.size == 4 {
		return uint64(binary.NativeEndian.Uint32(head[f.offset:]))
	}
	return binary.NativeEndian.Uint64(head[f.offset:])
}

func (f *field) text(head []byte) string {
	if f.show == nil {
		return process.UUID([layout.InstanceSize]byte(head[f.offset:][:f.size]))
	}
	return f.show(f.number(head))
}
