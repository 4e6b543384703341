// Package event is what the reader of a trace buffer hands to those who make
// metrics of events.
package event

// Event is one event as the kernel recorded it.
type Event struct {
	// Time is when it was written, in UNIX nanoseconds.
	Time int64
	// TID is the thread that wrote it, by the kernel's word, in the kernel's first pid namespace.
	TID int32
	// Record is the whole event, the fields that all have included, so that the offsets of its
	// format hold. It is valid during the call only.
	Record []byte
}

// Handler takes the events of one format. Calls come one at a time.
type Handler interface {
	Handle(*Event)
}
