package segment

import (
	"encoding/binary"
	"errors"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"
)

// Record is a record of the catalogue as [Catalogue.Inspect] is told of it. Its text is part of the bytes that were parsed.
type Record struct {
	Offset int64 // in the file
	Size   int   // in bytes
	Kind   uint8
	Flags  uint8
	Slot   uint64
	// Words is how many there are at the slot, 0 of a kind that this version does not know. Words that do not lie behind those
	// of the records before, and within their area, are not Claimed: their value means nothing.
	Words   int
	Claimed bool

	Name, Unit, Description []byte
	Attributes              []Attribute
	// Faults are what is wrong with it. Of one that is Fatal, nobody would read the segment.
	Faults []Fault
	Fatal  bool
}

// inspectRecord reads a record and tells of it, whatever is wrong with it.
func (c *Catalogue) inspectRecord(b []byte, room int) error {
	at := c.offset + c.Parsed
	told := Record{Offset: at, Size: len(b), Kind: b[layout.RecordKind], Words: layout.Words(b[layout.RecordKind])}
	stripeNext, sharedNext := c.stripeNext, c.sharedNext
	faults, err := c.readRecord(b, room)
	told.Claimed = c.stripeNext != stripeNext || c.sharedNext != sharedNext
	told.Faults = faults
	if fault, ok := errors.AsType[*Fault](err); ok {
		told.Faults = append(told.Faults, *fault)
		told.Fatal = true
	}
	if told.Words > 0 || told.Kind == layout.KindResource {
		r, _ := split(b, at)
		told.Flags, told.Slot = r.flags, r.slot
		told.Name, told.Unit, told.Description = r.name, r.unit, r.description
		for b := r.attributes; len(told.Attributes) < r.attributeCount; {
			a, rest, ok := nextAttribute(b, r.attributesAt+int64(len(r.attributes)-len(b)))
			if !ok {
				break
			}
			told.Attributes = append(told.Attributes, a)
			b = rest
		}
	}
	c.Inspect(&told)
	return nil
}

// Bits is the value of an attribute that is no string, if it is as long as it has to be.
func (a *Attribute) Bits() (bits uint64, ok bool) {
	if len(a.Value) != 8 {
		return 0, false
	}
	return binary.NativeEndian.Uint64(a.Value), true
}
