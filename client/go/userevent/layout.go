// Package userevent is what hotpath has to know of Linux user_events: the layout of
// the event that its clients write, as docs/wire-formats.md describes it, and the
// system calls of linux/user_events.h. Clients write with it and the Collector's receiver reads with it.
package userevent

// Name of the event that carries state updates.
const Name = "hotpath_v1"

// Declaration declares the event. It has to be the same to the byte for all who register it.
const Declaration = Name + " u64 segment; u64 number; u64 start; u64 value; u64 zero; u64 instance_hi; u64 instance_lo; " +
	"u32 pid; u32 series; u16 first; u16 flags; __rel_loc u8[] record; __rel_loc u8[] resource; __rel_loc u8[] buckets"

// Offsets of the event's fields, in bytes from the first of them.
const (
	OffSegment    = 0
	OffNumber     = 8
	OffStart      = 16
	OffValue      = 24
	OffZero       = 32
	OffInstanceHi = 40
	OffInstanceLo = 48
	OffPID        = 56 // u32
	OffSeries     = 60 // u32
	OffFirst      = 64 // u16
	OffFlags      = 66 // u16
	OffRecord     = 68 // __rel_loc
	OffResource   = 72 // __rel_loc
	OffBuckets    = 76 // __rel_loc

	// HeaderSize is where the bytes of record, resource and buckets begin.
	HeaderSize = 80
)

// FlagMore says that the buckets go on in another event with the same number.
const FlagMore = 1

// Bounds on an event.
const (
	// MaxSize is how many bytes an event has at most, from its first field on. What is larger
	// might not fit a sub-buffer of 4 KiB, and ftrace would drop it without a word.
	MaxSize = 4032
	// MaxBuckets is how many buckets one event carries at most.
	MaxBuckets = 128
	// MaxSeries is what the number of every series is below.
	MaxSeries = 1 << 20
)

// IndexSize is the size of the write index, which comes before the fields in what is written and not in what is read.
const IndexSize = 4
