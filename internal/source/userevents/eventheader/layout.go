package eventheader

import (
	"bytes"
	"encoding/binary"
)

// The metadata is the event's name and then, for each field, without padding:
//
//	the name, in UTF-8; NUL
//	u8   encoding in bits 0-4; bit 5: an array of constant length, bit 6: of a length that
//	     precedes the elements as a u16; bit 7: a format follows
//	u8   format in bits 0-6, or the number of fields of a structure; bit 7: a tag follows
//	u16  tag
//	u16  length of an array of constant length
//
// Names may go on with attributes behind a semicolon.
const (
	encodingMask     = 0x1f
	encodingConstant = 0x20
	encodingVariable = 0x40
	chain            = 0x80
	formatMask       = 0x7f
)

// Encodings: how long a value is.
const (
	encodingStruct     = 1
	encodingValue8     = 2
	encodingValue16    = 3
	encodingValue32    = 4
	encodingValue64    = 5
	encodingValue128   = 6
	encodingNul8       = 7
	encodingNul16      = 8
	encodingNul32      = 9
	encodingCounted8   = 10
	encodingCounted16  = 11
	encodingCounted32  = 12
	encodingCountedBin = 13 // as encodingCounted8, binary by default
)

// maxDepth is how deep structures may lie within each other, as in the library's own decoder.
const maxDepth = 8

// maxSize is more than an event can have, in bytes.
const maxSize = 1 << 24

// op is what a step does.
type op uint8

const (
	opSkip     op = iota // n bytes
	opValue              // of n bytes
	opNul                // a string of n bytes a character, up to a NUL
	opCounted            // a string of n bytes a character, behind its length
	opConstant           // n times the steps of an element
	opVariable           // as many times the steps of an element as a u16 says
)

// step is a part of the way through an event's values.
type step struct {
	elements []step
	wanted   []int // the values that are to be set
	n        int
	op       op
	format   uint8
	binary   bool // the default format of a string is not text
}

// layout is how to get at the wanted fields of the events with one metadata.
type layout struct {
	name  string
	steps []step
}

// size is what the layout takes, in bytes, about.
func (l *layout) size() int {
	const stepSize = 80
	return len(l.name) + stepSize*count(l.steps)
}

func count(steps []step) int {
	n := len(steps)
	for i := range steps {
		n += count(steps[i].elements)
	}
	return n
}

// wanted is what is left of a wanted path, and which value it is.
type wanted struct {
	path  string
	index int
}

type parser struct {
	metadata []byte
	order    binary.ByteOrder
	found    map[int]bool
}

// parseLayout reads metadata. Its work is in proportion to the metadata's length and the number of wanted fields.
func parseLayout(metadata []byte, order binary.ByteOrder, paths []wanted) (*layout, error) {
	p := parser{metadata: metadata, order: order, found: map[int]bool{}}
	name, ok := p.name()
	if !ok {
		return nil, ErrMalformed
	}
	l := &layout{name: string(name)}
	var err error
	if l.steps, err = p.fields(-1, 0, paths); err != nil {
		return nil, err
	}
	for n := len(l.steps); n > 0 && len(l.steps[n-1].wanted) == 0; n-- {
		l.steps = l.steps[:n-1]
	}
	return l, nil
}

// name takes a name and its NUL, and leaves the attributes out.
func (p *parser) name() ([]byte, bool) {
	name, rest, ok := bytes.Cut(p.metadata, []byte{0})
	p.metadata = rest
	name, _, _ = bytes.Cut(name, []byte{';'})
	return name, ok
}

// fields reads n fields, or all if n is negative. Metadata may end within a structure.
func (p *parser) fields(n, depth int, paths []wanted) (steps []step, err error) {
	if depth > maxDepth {
		return nil, ErrMalformed
	}
	for ; n != 0 && len(p.metadata) > 0; n-- {
		if steps, err = p.field(steps, depth, paths); err != nil {
			return nil, err
		}
	}
	return steps, nil
}

// field reads a field and appends the steps through it.
func (p *parser) field(steps []step, depth int, paths []wanted) ([]step, error) {
	name, ok := p.name()
	if !ok || len(p.metadata) < 1 {
		return nil, ErrMalformed
	}
	encoding, format, length, ok := p.typ()
	if !ok {
		return nil, ErrMalformed
	}
	array := encoding&(encodingConstant|encodingVariable) != 0
	if array {
		paths = nil // nothing within an array can be wanted
	}
	inner := within(paths, name)
	var element []step
	if encoding&encodingMask == encodingStruct {
		if format == 0 {
			return nil, ErrMalformed
		}
		var err error
		if element, err = p.fields(int(format), depth+1, inner); err != nil {
			return nil, err
		}
	} else {
		s, ok := value(encoding&encodingMask, format)
		if !ok {
			return nil, ErrMalformed
		}
		for _, w := range paths {
			if w.path == string(name) && !p.found[w.index] {
				p.found[w.index] = true
				s.wanted = append(s.wanted, w.index)
			}
		}
		element = push(nil, s)
	}
	if !array {
		// A structure has no bytes of its own: its fields might as well be its parent's.
		for _, s := range element {
			steps = push(steps, s)
		}
		return steps, nil
	}
	return pushArray(steps, element, encoding, length)
}

// typ takes what follows a field's name.
func (p *parser) typ() (encoding, format uint8, length int, ok bool) {
	take := func(n int) []byte {
		if n > len(p.metadata) {
			return nil
		}
		b := p.metadata[:n]
		p.metadata = p.metadata[n:]
		return b
	}
	encoding = take(1)[0]
	if encoding&chain != 0 {
		b := take(1)
		if b == nil {
			return 0, 0, 0, false
		}
		format = b[0]
		if format&chain != 0 && take(2) == nil {
			return 0, 0, 0, false
		}
	}
	switch encoding & (encodingConstant | encodingVariable) {
	case encodingConstant | encodingVariable:
		return 0, 0, 0, false
	case encodingConstant:
		b := take(2)
		if b == nil || p.order.Uint16(b) == 0 {
			return 0, 0, 0, false
		}
		length = int(p.order.Uint16(b))
	}
	return encoding &^ chain, format & formatMask, length, true
}

// within is what is wanted within a structure of this name.
func within(paths []wanted, name []byte) (inner []wanted) {
	for _, w := range paths {
		if n := len(name); len(w.path) > n && w.path[n] == '.' && w.path[:n] == string(name) {
			inner = append(inner, wanted{w.path[n+1:], w.index})
		}
	}
	return inner
}

// value is the step through a value that is no structure. It is false for an unknown encoding.
func value(encoding, format uint8) (step, bool) {
	switch encoding {
	case encodingValue8, encodingValue16, encodingValue32, encodingValue64, encodingValue128:
		return step{op: opValue, n: 1 << (encoding - encodingValue8), format: format}, true
	case encodingNul8, encodingNul16, encodingNul32:
		return step{op: opNul, n: 1 << (encoding - encodingNul8), format: format}, true
	case encodingCounted8, encodingCounted16, encodingCounted32:
		return step{op: opCounted, n: 1 << (encoding - encodingCounted8), format: format}, true
	case encodingCountedBin:
		return step{op: opCounted, n: 1, format: format, binary: true}, true
	}
	return step{}, false
}

// push appends a step. Values of a fixed size that nobody wants are one skip.
func push(steps []step, s step) []step {
	if s.op == opValue && len(s.wanted) == 0 {
		s = step{op: opSkip, n: s.n}
	}
	if last := len(steps) - 1; s.op == opSkip && last >= 0 && steps[last].op == opSkip {
		steps[last].n += s.n
		return steps
	}
	return append(steps, s)
}

// pushArray appends the steps through an array. An element has at least one byte, so that the
// number of elements is bounded by that of bytes.
func pushArray(steps, element []step, encoding uint8, length int) ([]step, error) {
	if len(element) == 0 {
		return nil, ErrMalformed
	}
	if encoding&encodingVariable != 0 {
		return append(steps, step{op: opVariable, elements: element}), nil
	}
	if len(element) == 1 && element[0].op == opSkip {
		if element[0].n > maxSize/length {
			return nil, ErrMalformed
		}
		return push(steps, step{op: opSkip, n: element[0].n * length}), nil
	}
	return append(steps, step{op: opConstant, n: length, elements: element}), nil
}
