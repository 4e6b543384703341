// Package uring is what hotpath's clients and the Collector say to each other with the transport io_uring: the
// messages of the socket and those of the target ring, as docs/wire-formats.md describes them.
package uring

import "github.com/hotpath-metrics/hotpath/client/go/segment"

// DefaultSocket is where the Collector listens. A path that begins with '@' is an abstract name.
const DefaultSocket = "/run/hotpath/io_uring.sock"

// Version of all messages of the socket.
const Version = 1

// Offsets of a message's header, in bytes from its start.
const (
	OffSize    = 0 // u32, of the message with its header
	OffType    = 4 // u16
	OffVersion = 6 // u16

	HeaderSize = 8
	// MaxMessage is the size of the largest message: it has room for any record.
	MaxMessage = HeaderSize + segment.MaxRecord
)

// Types of messages.
const (
	TypeGreeting = 1 // Collector, at once
	TypeHello    = 2 // client
	TypeSeries   = 3 // client: catalogue records
	TypeReady    = 4 // Collector: it has the ring
	TypeRefused  = 5 // Collector: a sentence
)

// Offsets of a greeting's fields, in bytes from the message's start.
const (
	GreetingEntries = HeaderSize // u32, of the target ring's completion queue: a power of two

	GreetingSize = HeaderSize + 8
)

// Offsets of a hello's fields, in bytes from the message's start.
const (
	HelloStartTime     = HeaderSize + 0  // u64, UNIX nanoseconds
	HelloPID           = HeaderSize + 8  // u64
	HelloInstance      = HeaderSize + 16 // segment.InstanceSize bytes
	HelloSegmentID     = HeaderSize + 32 // u64
	HelloCatalogueSize = HeaderSize + 40 // u64
	HelloSharedSize    = HeaderSize + 48 // u64
	HelloStripeSize    = HeaderSize + 56 // u64
	HelloRing          = HeaderSize + 64 // u32, the target ring's descriptor

	// HelloResource is where the resource record begins.
	HelloResource = HeaderSize + 72
)

// MaxSentence is how many bytes of UTF-8 a refusal has at most.
const MaxSentence = 255

// MaxEntries is how many entries the kernel lets a completion queue have (IORING_MAX_CQ_ENTRIES).
const MaxEntries = 65536

// The index of a word, in the 32 bits of a completion's res. Below SharedBit it is a word of the stripe.
const (
	SharedBit  = 1 << 29 // the rest is a word of the shared area
	CounterBit = 1 << 30 // the rest is one of the header's counters
)

// The header's counters, behind CounterBit.
const (
	CounterRefused  = 0
	CounterFolded   = 1
	CounterUnplaced = 2
	CounterRejected = 3

	Counters = 4
)

// Complete is the index of the message that says that all words which were not zero at the hello have been told.
const Complete = CounterBit | Counters

// When updates are told, unless the environment says otherwise.
const (
	DefaultBatch = 64    // updates
	DefaultDelay = 10000 // microseconds
)
