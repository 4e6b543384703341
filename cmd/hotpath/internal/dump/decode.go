package dump

import (
	"errors"
	"fmt"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/reading"
	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/segment"
)

// Dump is all that is known of a file.
type Dump struct {
	file   *file
	Head   []byte
	Header segment.Header
	Writer *Writer // nil of what does not begin like a segment
	// Records are those of the catalogue up to where its structure is lost.
	Records []Record
	Values  []Value // of Records, where they have any
	Rings   []Ring  // in use
	Faults  []Fault
	// Remarks are what the format does not allow, or does not know, and no reader minds.
	Remarks []string
	Verdict Verdict
}

// Fault is what is wrong, with text that does not change any more.
type Fault struct {
	Reason string `json:"reason"`
	Offset int64  `json:"offset"`
	Field  string `json:"field"`
	Read   string `json:"read"`
	Want   string `json:"want"`
}

// Record is a record of the catalogue.
type Record struct {
	segment.Record
	Name, Unit, Description string
	Attributes              []emit.Attribute
}

// chunk is read of the catalogue at once, in bytes; it holds the largest record.
const chunk = 2 * layout.MaxRecord

// read decodes a file. The error is for one that cannot be read.
func read(path string) (*Dump, error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d := &Dump{file: f}
	if d.Head, err = f.head(); err != nil {
		return nil, err
	}
	if d.Writer, err = f.writer(d.Head); err != nil {
		return nil, err
	}
	header, faults := segment.InspectHeader(d.Head, f.stat.Size)
	d.Header = header
	d.addFaults(faults)
	if header.CatalogueSize > 0 {
		if err := d.readCatalogue(); err != nil {
			return nil, err
		}
		if err := d.readValues(); err != nil {
			return nil, err
		}
	}
	d.readRings()
	if segment.HasMagic(d.Head) {
		d.remark()
	}
	d.Verdict = d.ask()
	return d, nil
}

func (d *Dump) addFaults(faults []segment.Fault) {
	for i := range faults {
		f := &faults[i]
		d.Faults = append(d.Faults, Fault{string(f.Reason), f.Offset, f.Field, f.Read(), f.Want})
	}
}

func (d *Dump) readCatalogue() error {
	used := min(d.Header.CatalogueUsed, reading.Limits().SegmentSize) // more the receiver would not read either
	c := segment.NewCatalogue(&d.Header)
	c.Inspect = d.addRecord
	b := make([]byte, min(used, chunk))
	for c.Parsed < used {
		part := b[:min(used-c.Parsed, chunk)]
		if n, err := d.file.ReadAt(part, d.Header.CatalogueOffset+c.Parsed); err != nil {
			at := d.Header.CatalogueOffset + c.Parsed + int64(n)
			d.Faults = append(d.Faults, Fault{string(segment.ErrTruncated), at, "catalogue", err.Error(), fmt.Sprintf("%d bytes", len(part))})
			return nil
		}
		before := c.Parsed
		err := c.Parse(part, used, reading.Limits().SeriesPerSegment)
		if fault, ok := errors.AsType[*segment.Fault](err); ok {
			d.addFaults([]segment.Fault{*fault})
			return nil
		}
		if err != nil {
			return err
		}
		if c.Parsed == before {
			return nil // what is left was cut off by the limit
		}
	}
	return nil
}

// addRecord keeps a record that the decoder tells of.
func (d *Dump) addRecord(r *segment.Record) {
	kept := Record{Record: *r, Name: string(r.Name), Unit: string(r.Unit), Description: string(r.Description)}
	for i := range r.Attributes {
		a := &r.Attributes[i]
		attribute := emit.Attribute{Key: string(a.Key), Type: a.Type}
		if bits, ok := a.Bits(); ok && a.Type != emit.AttributeString {
			attribute.Bits = bits
		} else {
			attribute.Type, attribute.Str = emit.AttributeString, string(a.Value)
		}
		kept.Attributes = append(kept.Attributes, attribute)
	}
	kept.Record.Name, kept.Record.Unit, kept.Record.Description, kept.Record.Attributes = nil, nil, nil, nil // they refer to what is read over
	d.addFaults(r.Faults)
	kept.Faults = nil
	d.Records = append(d.Records, kept)
}

// remark tells what no reader minds.
func (d *Dump) remark() {
	say := func(format string, args ...any) { d.Remarks = append(d.Remarks, fmt.Sprintf(format, args...)) }
	if len(d.Head) == layout.HeaderSize && d.Header.Minor == layout.Minor {
		for _, reserved := range [][2]int{{layout.OffRingCount + 8, layout.OffCatalogueUsed}, {layout.OffRingsUsed + 8, layout.OffRefused}, {layout.OffUnrecorded + 8, layout.HeaderSize}} {
			for at := reserved[0]; at < reserved[1]; at++ {
				if d.Head[at] != 0 {
					say("reserved byte at %d of the header is %#02x, not 0", at, d.Head[at])
					break
				}
			}
		}
	}
	for _, area := range []struct {
		name   string
		offset int64
	}{{"shared_offset", d.Header.SharedOffset}, {"stripes_offset", d.Header.StripesOffset}} {
		if area.offset%segment.PageSize != 0 {
			say("%s is %d, which is no page's beginning", area.name, area.offset)
		}
	}
	for i := range d.Records {
		if r := &d.Records[i]; r.Words == 0 && r.Kind != layout.KindResource {
			say("record at %d is of kind %d, which this version does not know: it is passed over", r.Offset, r.Kind)
		}
	}
}
