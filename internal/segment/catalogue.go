package segment

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// Series is a series of a segment and where its value is.
type Series struct {
	*emit.Series
	// Slot is a word index in each stripe, or in the shared area for a gauge.
	Slot int
	// Overflow says that others were folded into it.
	Overflow bool
}

// Catalogue is what was parsed of a segment's catalogue so far.
type Catalogue struct {
	// Resource holds the attributes of the resource record, sorted by key.
	Resource []emit.Attribute
	// ResourceID is equal for equal resources.
	ResourceID string
	// ResourceFaults counts attributes of the resource that were left out.
	ResourceFaults int
	// Series are those that can be delivered, in the order of the catalogue.
	Series []Series
	// Charged is what the catalogue takes of a limit on series: one for each of Series, and
	// one more for each full KiB of its record and of the resource's.
	Charged int
	// Histograms are the slots of the histograms among them, ascending.
	Histograms []int
	// Parsed is how many bytes of the catalogue were parsed.
	Parsed int64
	// StripeWords and SharedWords are how many words from the start of a
	// stripe, and of the shared area, hold values of Series.
	StripeWords, SharedWords int
	// Skipped counts records that were left out, by reason. The caller may clear it.
	Skipped map[Reason]int64
	// Inspect, if it is set, is told of each record, and Parse goes on where it can after those for which it would fail.
	Inspect func(*Record)

	offset                   int64  // in the file
	stripeLimit, sharedLimit uint64 // words there are
	stripeNext, sharedNext   uint64 // lowest slot that the next record may have
	instruments              map[string]*emit.Instrument
	ids                      map[string]struct{}
	scratch                  []Attribute
	identity                 []byte
}

// NewCatalogue returns a catalogue of which nothing was parsed yet.
func NewCatalogue(h *Header) *Catalogue {
	return &Catalogue{
		Skipped:     map[Reason]int64{},
		offset:      h.CatalogueOffset,
		stripeLimit: uint64(h.StripeSize) / 8,
		sharedLimit: uint64(h.SharedSize) / 8,
		stripeNext:  1, // word 0 belongs to no series
		sharedNext:  1,
		instruments: map[string]*emit.Instrument{},
		ids:         map[string]struct{}{},
	}
}

// Parse takes the bytes of the catalogue from c.Parsed on, used being
// catalogue_used, and advances c.Parsed past the records that are in b as a
// whole: a b of [layout.MaxRecord] bytes, or up to used, holds at least one. Series are added
// while c.Charged grows by no more than room. The error wraps ErrCatalogue, ErrBounds or ErrOverlap; nothing may be parsed after it.
func (c *Catalogue) Parse(b []byte, used int64, room int) error {
	defer func() { c.scratch, c.identity = nil, nil }() // they may be large, and refer to b
	for len(b) > 0 {
		rest := used - c.Parsed
		if rest < layout.RecordHeaderSize {
			return &Fault{ErrCatalogue, c.offset + c.Parsed, "bytes left for a record", nil, uint64(rest), "24 or more"}
		}
		if len(b) < layout.RecordHeaderSize {
			return nil
		}
		size := int64(binary.NativeEndian.Uint32(b[layout.RecordSize:]))
		if size < layout.RecordHeaderSize || size > layout.MaxRecord || size%8 != 0 || size > rest {
			return &Fault{
				ErrCatalogue, c.offset + c.Parsed + layout.RecordSize, "size", nil, uint64(size),
				fmt.Sprintf("a multiple of 8 from %d to %d", layout.RecordHeaderSize, min(rest, layout.MaxRecord)),
			}
		}
		if size > int64(len(b)) {
			return nil
		}
		before := c.Charged
		if err := c.parseRecord(b[:size:size], room); err != nil {
			return err
		}
		room -= c.Charged - before
		c.Parsed += size
		b = b[size:]
	}
	return nil
}

// Charge is what a record takes of a limit on series beside the series itself: one for each full KiB. A client may free the
// memory of a record once it was read, so limits count what is kept of it and not what the client has.
func Charge(b []byte) int { return len(b) / 1024 }

// record is a record split into its parts, all of them within the record.
type record struct {
	offset                  int64 // in the file
	kind, flags             byte
	slot                    uint64
	name, unit, description []byte
	attributes              []byte
	attributesAt            int64 // in the file
	attributeCount          int
}

func split(b []byte, offset int64) (record, error) {
	r := record{
		offset:         offset,
		kind:           b[layout.RecordKind],
		flags:          b[layout.RecordFlags],
		slot:           word(b, layout.RecordSlot),
		attributeCount: int(binary.NativeEndian.Uint16(b[layout.RecordAttributes:])),
	}
	name := int64(binary.NativeEndian.Uint16(b[layout.RecordNameLen:]))
	unit := int64(binary.NativeEndian.Uint16(b[layout.RecordUnitLen:]))
	description := int64(binary.NativeEndian.Uint32(b[layout.RecordDescriptionLen:]))
	text := layout.RecordHeaderSize + name + unit + description
	if align8(text) > int64(len(b)) {
		return r, &Fault{
			ErrCatalogue, offset + layout.RecordNameLen, "name, unit and descr. len", nil, uint64(name + unit + description),
			fmt.Sprintf("%d or less, what is left of the record", len(b)-layout.RecordHeaderSize),
		}
	}
	r.name = b[layout.RecordHeaderSize:][:name]
	r.unit = b[layout.RecordHeaderSize+name:][:unit]
	r.description = b[layout.RecordHeaderSize+name+unit:][:description]
	r.attributes = b[align8(text):]
	r.attributesAt = offset + align8(text)
	return r, nil
}

func (c *Catalogue) parseRecord(b []byte, room int) error {
	if c.Inspect != nil {
		return c.inspectRecord(b, room)
	}
	_, err := c.readRecord(b, room)
	return err
}

// readRecord takes a record. The faults are against its series or attributes, the error against the whole segment.
func (c *Catalogue) readRecord(b []byte, room int) (faults []Fault, err error) {
	first := c.Parsed == 0
	kind := b[layout.RecordKind]
	at := c.offset + c.Parsed
	if first != (kind == layout.KindResource) {
		want := "1 (the resource) in the first record"
		if !first {
			want = "another than 1 (the resource), which is only in the first record"
		}
		return nil, &Fault{ErrCatalogue, at + layout.RecordKind, "kind", nil, uint64(kind), want}
	}
	words := layout.Words(kind)
	if words == 0 && !first {
		return nil, nil // a newer minor version
	}
	r, err := split(b, at)
	if err != nil {
		return nil, err
	}
	if first {
		c.Charged += Charge(b)
		return c.addResource(&r)
	}
	if err := c.claim(&r, uint64(words)); err != nil {
		return nil, err
	}
	cost := 1 + Charge(b)
	fault, err := c.addRecord(&r, words, room >= cost)
	switch {
	case err != nil:
		return nil, err
	case fault.Reason != "":
		c.Skipped[fault.Reason]++
		if c.Inspect != nil {
			faults = append(faults, fault)
		}
	default:
		c.Charged += cost
	}
	return faults, nil
}

// addRecord adds the series of a record. The fault is against the series, the error against the record's structure.
func (c *Catalogue) addRecord(r *record, words int, room bool) (Fault, error) {
	fault, err := c.seriesAttributes(r)
	if err != nil {
		return Fault{}, err
	}
	if textual := r.fault(); textual.Reason != "" {
		fault = textual
	}
	if fault.Reason == "" {
		fault = c.addSeries(r, words, room)
	}
	return fault, nil
}

func (c *Catalogue) addResource(r *record) (faults []Fault, err error) {
	faults, err = c.resourceAttributes(r)
	if err != nil {
		return faults, err
	}
	c.ResourceID = string(c.appendIdentity(nil))
	c.Resource = c.attributesOf(c.ResourceID, 0)
	return faults, nil
}

// claim checks that a record's words lie behind those of all records before it, and within their area.
func (c *Catalogue) claim(r *record, words uint64) error {
	next, limit := &c.stripeNext, c.stripeLimit
	if r.kind == layout.KindGauge {
		next, limit = &c.sharedNext, c.sharedLimit
	}
	wrong := func(reason Reason, want string, args ...any) error {
		return &Fault{reason, r.offset + layout.RecordSlot, "slot", nil, r.slot, fmt.Sprintf(want, args...)}
	}
	if words > limit || r.slot > limit-words {
		return wrong(ErrBounds, "one with %d words up to %d", words, limit)
	}
	if r.slot < *next {
		return wrong(ErrOverlap, "%d or more, behind the slots before it", *next)
	}
	if r.kind == layout.KindHistogram && r.slot%8 != 0 {
		return wrong(ErrCatalogue, "a multiple of 8, for a histogram")
	}
	*next = r.slot + words
	return nil
}

// fault is the reason against a record's text; it has none if that is good.
func (r *record) fault() Fault {
	at := r.offset + layout.RecordHeaderSize
	switch {
	case !validName(r.name):
		return Fault{ErrName, at, "name", r.name, 0, "1 to 255 of [A-Za-z0-9_./-], a letter first"}
	case len(r.unit) > layout.MaxUnit:
		return Fault{ErrUnit, r.offset + layout.RecordUnitLen, "unit len", nil, uint64(len(r.unit)), "63 or less"}
	case !isASCII(r.unit):
		return Fault{ErrUnit, at + int64(len(r.name)), "unit", r.unit, 0, "ASCII"}
	case len(r.description) > layout.MaxDescription:
		return Fault{ErrDescription, r.offset + layout.RecordDescriptionLen, "descr. len", nil, uint64(len(r.description)), "1023 or less"}
	case !utf8.Valid(r.description):
		return Fault{ErrUTF8, at + int64(len(r.name)+len(r.unit)), "description", r.description, 0, "UTF-8"}
	}
	return Fault{}
}

func (c *Catalogue) addSeries(r *record, words int, room bool) Fault {
	at := r.offset + layout.RecordHeaderSize
	instrument := c.instruments[string(r.name)]
	if instrument != nil && (instrument.Kind != emit.Kind(r.kind) || instrument.Unit != string(r.unit)) {
		return Fault{ErrConflict, at, "name", r.name, 0, "one that has another kind or unit already"}
	}
	if r.flags&layout.FlagOverflow != 0 {
		c.markOverflow()
	}
	c.identity = append(c.identity[:0], r.kind, byte(len(r.name)), byte(len(r.unit)))
	c.identity = append(c.identity, r.name...)
	c.identity = append(c.identity, r.unit...)
	attributesAt := len(c.identity)
	c.identity = c.appendIdentity(c.identity)
	if _, ok := c.ids[string(c.identity)]; ok {
		return Fault{ErrDuplicate, at, "name", r.name, 0, "one that is there already with these attributes"}
	}
	if !room {
		return Fault{ErrLimit, r.offset, "series", r.name, 0, "beyond a limit"}
	}

	// All text of the series is part of this one string.
	id := string(c.identity)
	if instrument == nil {
		instrument = &emit.Instrument{
			Name:        id[3:][:len(r.name)],
			Unit:        id[3+len(r.name):][:len(r.unit)],
			Description: string(r.description),
			Kind:        emit.Kind(r.kind),
		}
		c.instruments[instrument.Name] = instrument
	}
	c.ids[id] = struct{}{}
	slot := int(r.slot)
	c.Series = append(c.Series, Series{&emit.Series{
		Instrument: instrument,
		Attributes: c.attributesOf(id, attributesAt),
		ID:         id,
	}, slot, r.flags&layout.FlagOverflow != 0})
	switch instrument.Kind {
	case emit.KindGauge:
		c.SharedWords = slot + words
	case emit.KindHistogram:
		c.Histograms = append(c.Histograms, slot)
		fallthrough
	default:
		c.StripeWords = slot + words
	}
	return Fault{}
}

// validName says whether a name is an OpenTelemetry instrument name.
func validName(name []byte) bool {
	if len(name) == 0 || len(name) > layout.MaxName || !isLetter(name[0]) {
		return false
	}
	for _, b := range name[1:] {
		switch {
		case isLetter(b), '0' <= b && b <= '9', b == '_', b == '.', b == '/', b == '-':
		default:
			return false
		}
	}
	return true
}

func isLetter(b byte) bool { return 'a' <= b|0x20 && b|0x20 <= 'z' }

func isASCII(text []byte) bool {
	for _, b := range text {
		if b >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
