package uring

import "github.com/hotpath-metrics/hotpath/internal/segment"

// Reasons for which a client's connection ends, beside those of packages segment and segments. Its text is what they are counted under.
const (
	errMessage    segment.Reason = "message"       // malformed, out of order, or of another version
	errTimeout    segment.Reason = "timeout"       // no hello in time
	errPeer       segment.Reason = "peer"          // the kernel does not say who it is
	errPermission segment.Reason = "not_permitted" // to take its ring
	errRing       segment.Reason = "ring"          // no ring, or one that cannot be read
	errOverflow   segment.Reason = "overflow"      // it sends where there is no room
	errMemory     segment.Reason = "memory_limit"  // beyond what is kept of clients
	errIncomplete segment.Reason = "incomplete"    // it ended before it had told what it had counted before
)

// Reasons for which a message of a ring is not used.
const (
	skipIndex  = "index"        // there is no such word
	skipMemory = "memory_limit" // no memory for the word
)
