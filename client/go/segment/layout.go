// Package segment defines the layout of the shared memory that a hotpath client
// publishes: the constants that the Go client writes with and the Collector's
// receiver reads with. docs/segment-format.md describes it in full.
package segment

// Magic begins every segment.
const Magic = "HOTPATH\n"

// Version of the layout. Readers refuse another major and take any minor.
const (
	Major = 1
	Minor = 1
)

// Offsets of the header's fields, in bytes from the start of the file.
const (
	OffMagic           = 0
	OffMajor           = 8
	OffMinor           = 12
	OffHeaderSize      = 16
	OffFileSize        = 24
	OffStartTime       = 32
	OffPID             = 40
	OffInstance        = 48
	OffSegmentID       = 64
	OffCatalogueOffset = 72
	OffCatalogueSize   = 80
	OffSharedOffset    = 88
	OffSharedSize      = 96
	OffStripesOffset   = 104
	OffStripeSize      = 112
	OffStripeCount     = 120
	OffRingsOffset     = 128
	OffRingSize        = 136
	OffRingWords       = 144
	OffRingCount       = 152
	OffCatalogueUsed   = 192
	OffStripesUsed     = 200
	OffRingsUsed       = 208
	OffRefused         = 256
	OffFolded          = 264
	OffUnplaced        = 272
	OffRejected        = 280
	OffUnrecorded      = 288

	HeaderSize   = 512
	InstanceSize = 16
)

// MemfdName is the name of a memfd that is a segment, and MemfdSeals are what it has to have been given
// (linux/fcntl.h): F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW and F_SEAL_FUTURE_WRITE.
const (
	MemfdName  = "hotpath"
	MemfdSeals = 0x1 | 0x2 | 0x4 | 0x10
)

// Alignment of every area, in bytes.
const Alignment = 64

// Offsets of a record's fields, in bytes from its start.
const (
	RecordSize           = 0  // u32
	RecordKind           = 4  // u8
	RecordFlags          = 5  // u8
	RecordAttributes     = 6  // u16, how many
	RecordSlot           = 8  // u64, a word index
	RecordNameLen        = 16 // u16
	RecordUnitLen        = 18 // u16
	RecordDescriptionLen = 20 // u32

	RecordHeaderSize = 24
)

// Kinds of records.
const (
	KindResource      = 1
	KindCounter       = 2
	KindUpDownCounter = 3
	KindGauge         = 4
	KindHistogram     = 5
)

// FlagOverflow marks the series that others were folded into.
const FlagOverflow = 1

// Offsets of an attribute's fields, in bytes from its start.
const (
	AttributeKeyLen   = 0 // u16
	AttributeType     = 2 // u8
	AttributeValueLen = 4 // u32

	AttributeHeaderSize = 8
)

// Types of attributes.
const (
	AttributeString = 1
	AttributeInt64  = 2
	AttributeDouble = 3
	AttributeBool   = 4
)

// Bounds on what a record may hold, in bytes unless said otherwise.
const (
	MaxName        = 255
	MaxUnit        = 63
	MaxDescription = 1023
	MaxAttributes  = 64 // attributes of one record
	MaxKey         = 255
	MaxString      = 1023
	MaxRecord      = 131072
	MaxStripes     = 4096 // stripes of one segment
)

// Words of a histogram, from its slot on.
const (
	HistogramSum         = 0 // a double
	HistogramZero        = 1
	HistogramClamped     = 2
	HistogramFirstBucket = 8
	HistogramBuckets     = 512
	HistogramWords       = 520

	// HistogramScale is OpenTelemetry's: bucket i covers (2^(i/8), 2^((i+1)/8)].
	HistogramScale = 3
	// HistogramOffset is the index of the first bucket, which begins at 2^-30.
	HistogramOffset = -240
)

// Of a measurement ring, in bytes from its start.
const (
	RingHead  = 0    // a word: words written so far
	RingLock  = 64   // a u32 for its writers
	RingFirst = 4096 // where its words begin
)

// Bounds of measurement rings.
const (
	MaxRings     = MaxStripes
	MinRingWords = 4096
	MaxRingWords = 1 << 24
)

// Words of a measurement, and the parts of its first and last.
const (
	MeasurementSlot       = 0 // u32
	MeasurementKind       = 4 // u8
	MeasurementAttributes = 6 // u16, how many
	MeasurementValue      = 8 // a word
	MeasurementTime       = 16
	MeasurementHeaderSize = 16 // 24 for a gauge, with the time

	MaxMeasurement = 512 // words, with the trailer

	TrailerWordsBits = 16 // of the trailer: words of the measurement; above them its sequence number
)

// Doorbell is the name of the file in the directory on which a Collector waits (futex) for rings to fill, DoorbellSize its size, and
// DoorbellWaiters how many a client wakes: anybody may wait there, and it pays for each.
const (
	Doorbell        = ".doorbell"
	DoorbellSize    = 4096
	DoorbellWaiters = 16
)

// GaugeUnset are the bits of a gauge that was never set.
const GaugeUnset = 0xffff_ffff_ffff_ffff

// Words is the number of 64-bit words that a series of a kind takes, 0 if there is no such kind of series.
func Words(kind uint8) int {
	switch kind {
	case KindCounter, KindUpDownCounter, KindGauge:
		return 1
	case KindHistogram:
		return HistogramWords
	}
	return 0
}
