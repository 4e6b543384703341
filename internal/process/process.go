// Package process says who wrote an event: it finds the process behind a thread
// id by the kernel's word (table.go), and follows it to its end.
package process

import "github.com/hotpath-metrics/hotpath/internal/emit"

// NoUID is the user id of a process of which none is known; the kernel gives it to nobody.
const NoUID = ^uint32(0)

// Identity is what the kernel says of a process.
type Identity struct {
	PID        uint64
	UID        uint32 // effective, or NoUID
	Executable string // the program's file name without its folder, or "" if it is not known
}

// Process is a process that wrote something. Its address tells it from any other, also from one
// that has its pid later. It is made by a [Table] and belongs to whoever guards that.
type Process struct {
	Identity
	// Start is when it was forked, in UNIX nanoseconds, right to 10 ms; zero if it is not known.
	Start int64
	// Older says that it was forked before the table was made, or in the same 10 ms, however the wall clock is set.
	Older bool
	// Unknown says that the thread was gone before its process could be found: PID is the thread's
	// id then, which need not be the process's, and nothing else is known.
	Unknown bool

	ticks uint64 // start time as the kernel counts it, to tell processes with one pid apart
	pidfd int    // -1 if there is none
	dead  bool
}

// Dead says that the process had ended before the last [Table.Sweep]. Nothing it wrote is newer than that.
func (p *Process) Dead() bool { return p.dead }

// Describe completes a resource, sorted by key, with what the kernel knows of the process, which
// outweighs what is there already, and a service.name if it has none. It changes a copy.
func (i *Identity) Describe(resource []emit.Attribute) []emit.Attribute {
	resource = append(make([]emit.Attribute, 0, len(resource)+5), resource...)
	resource = Set(resource, emit.Attribute{Key: "process.pid", Type: emit.AttributeInt, Bits: i.PID})
	if i.Executable != "" {
		resource = Set(resource, emit.Attribute{Key: "process.executable.name", Type: emit.AttributeString, Str: i.Executable})
	}
	if i.UID != NoUID {
		resource = Set(resource, emit.Attribute{Key: "process.user.id", Type: emit.AttributeInt, Bits: uint64(i.UID)})
	}
	return SetMissing(resource, "service.name", "unknown_service")
}
