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

	stripeLimit, sharedLimit uint64 // words there are
	stripeNext, sharedNext   uint64 // lowest slot that the next record may have
	instruments              map[string]*emit.Instrument
	ids                      map[string]struct{}
	scratch                  []attribute
	identity                 []byte
}

// NewCatalogue returns a catalogue of which nothing was parsed yet.
func NewCatalogue(h *Header) *Catalogue {
	return &Catalogue{
		Skipped:     map[Reason]int64{},
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
			return fmt.Errorf("%w: %d bytes left at %d", ErrCatalogue, rest, c.Parsed)
		}
		if len(b) < layout.RecordHeaderSize {
			return nil
		}
		size := int64(binary.NativeEndian.Uint32(b[layout.RecordSize:]))
		if size < layout.RecordHeaderSize || size > layout.MaxRecord || size%8 != 0 || size > rest {
			return fmt.Errorf("%w: record of %d bytes at %d", ErrCatalogue, size, c.Parsed)
		}
		if size > int64(len(b)) {
			return nil
		}
		before := c.Charged
		if err := c.parseRecord(b[:size:size], room); err != nil {
			return fmt.Errorf("record at %d: %w", c.Parsed, err)
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
	kind, flags             byte
	slot                    uint64
	name, unit, description []byte
	attributes              []byte
	attributeCount          int
}

func split(b []byte) (record, bool) {
	r := record{
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
		return record{}, false
	}
	r.name = b[layout.RecordHeaderSize:][:name]
	r.unit = b[layout.RecordHeaderSize+name:][:unit]
	r.description = b[layout.RecordHeaderSize+name+unit:][:description]
	r.attributes = b[align8(text):]
	return r, true
}

func (c *Catalogue) parseRecord(b []byte, room int) error {
	first := c.Parsed == 0
	kind := b[layout.RecordKind]
	if first != (kind == layout.KindResource) {
		return fmt.Errorf("%w: the first record, and no other, is the resource", ErrCatalogue)
	}
	words := layout.Words(kind)
	if words == 0 && !first {
		return nil // a newer minor version
	}
	r, ok := split(b)
	if !ok {
		return fmt.Errorf("%w: text is longer than the record", ErrCatalogue)
	}
	if first {
		c.Charged += Charge(b)
		return c.addResource(&r)
	}
	if err := c.claim(&r, uint64(words)); err != nil {
		return err
	}
	cost := 1 + Charge(b)
	reason, err := c.addRecord(&r, words, room >= cost)
	switch {
	case err != nil:
		return err
	case reason != "":
		c.Skipped[reason]++
	default:
		c.Charged += cost
	}
	return nil
}

// addRecord adds the series of a record. The reason is about the series, the error about the record's structure.
func (c *Catalogue) addRecord(r *record, words int, room bool) (Reason, error) {
	reason, ok := c.seriesAttributes(r.attributes, r.attributeCount)
	if !ok {
		return "", fmt.Errorf("%w: attributes are longer than the record", ErrCatalogue)
	}
	if textual := r.fault(); textual != "" {
		reason = textual
	}
	if reason == "" {
		reason = c.addSeries(r, words, room)
	}
	return reason, nil
}

func (c *Catalogue) addResource(r *record) error {
	if !c.resourceAttributes(r.attributes, r.attributeCount) {
		return fmt.Errorf("%w: attributes are longer than the record", ErrCatalogue)
	}
	c.ResourceID = string(c.appendIdentity(nil))
	c.Resource = c.attributesOf(c.ResourceID, 0)
	return nil
}

// claim checks that a record's words lie behind those of all records before it, and within their area.
func (c *Catalogue) claim(r *record, words uint64) error {
	next, limit := &c.stripeNext, c.stripeLimit
	if r.kind == layout.KindGauge {
		next, limit = &c.sharedNext, c.sharedLimit
	}
	if words > limit || r.slot > limit-words {
		return fmt.Errorf("%w: slot %d of %d", ErrBounds, r.slot, limit)
	}
	if r.slot < *next {
		return fmt.Errorf("%w: slot %d before %d", ErrOverlap, r.slot, *next)
	}
	if r.kind == layout.KindHistogram && r.slot%8 != 0 {
		return fmt.Errorf("%w: histogram at slot %d", ErrCatalogue, r.slot)
	}
	*next = r.slot + words
	return nil
}

// fault is the reason against a record's text, or "".
func (r *record) fault() Reason {
	switch {
	case !validName(r.name):
		return ErrName
	case len(r.unit) > layout.MaxUnit || !isASCII(r.unit):
		return ErrUnit
	case len(r.description) > layout.MaxDescription:
		return ErrDescription
	case !utf8.Valid(r.description):
		return ErrUTF8
	}
	return ""
}

func (c *Catalogue) addSeries(r *record, words int, room bool) Reason {
	instrument := c.instruments[string(r.name)]
	if instrument != nil && (instrument.Kind != emit.Kind(r.kind) || instrument.Unit != string(r.unit)) {
		return ErrConflict
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
		return ErrDuplicate
	}
	if !room {
		return ErrLimit
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
	}, slot})
	switch instrument.Kind {
	case emit.KindGauge:
		c.SharedWords = slot + words
	case emit.KindHistogram:
		c.Histograms = append(c.Histograms, slot)
		fallthrough
	default:
		c.StripeWords = slot + words
	}
	return ""
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
