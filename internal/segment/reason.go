package segment

import "errors"

// Reason is why a segment, or one series of it, is not delivered. It is an
// error, and its text is what the reason is counted under.
type Reason string

// Reasons against a whole segment: what a correct client never writes.
const (
	ErrMagic     Reason = "magic"     // it does not begin with the magic
	ErrVersion   Reason = "version"   // a major version other than this one
	ErrHeader    Reason = "header"    // a field of the header is impossible, or changed
	ErrTruncated Reason = "truncated" // the file ends before what it claims to hold
	ErrBounds    Reason = "bounds"    // an area or slot lies outside of what holds it
	ErrOverlap   Reason = "overlap"   // areas overlap, or slots do not ascend
	ErrStripes   Reason = "stripes"   // no stripes, or more than the format allows
	ErrRings     Reason = "rings"     // measurement rings of an impossible size, or too many
	ErrCatalogue Reason = "catalogue" // a record is malformed, or the resource is missing
	ErrShrunk    Reason = "shrunk"    // a length that only grows became smaller
	ErrSparse    Reason = "sparse"    // it claims more than it has blocks for
	ErrTooLarge  Reason = "too_large" // reading it would exceed the configured size
)

// Reasons against one series; the rest of its segment is good.
const (
	ErrName        Reason = "name"        // not an OpenTelemetry instrument name
	ErrUnit        Reason = "unit"        // too long or not ASCII
	ErrDescription Reason = "description" // too long
	ErrUTF8        Reason = "utf8"        // text that is not UTF-8
	ErrAttributes  Reason = "attributes"  // too many or too long, or of an unknown type
	ErrUnsorted    Reason = "unsorted"    // keys that do not strictly ascend
	ErrConflict    Reason = "conflict"    // the name has another kind or unit already
	ErrDuplicate   Reason = "duplicate"   // the identity is in the segment already
	ErrLimit       Reason = "limit"       // beyond a limit on the number of series
)

func (r Reason) Error() string { return "segment: " + string(r) }

// ReasonOf returns the reason in err's tree, or other if there is none.
func ReasonOf(err error, other Reason) Reason {
	if r, ok := errors.AsType[Reason](err); ok {
		return r
	}
	return other
}
