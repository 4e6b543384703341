// Package eventheader decodes events that describe their own fields, in the
// EventHeader encoding of the LinuxTracepoints libraries
// (https://github.com/microsoft/LinuxTracepoints, eventheader.h). It is pure and
// takes hostile input; its work for an event is bounded by the event's length.
package eventheader

import (
	"encoding/binary"
	"errors"

	"github.com/hotpath-metrics/hotpath/internal/source/userevents/format"
)

// Declaration is that of every event in this encoding. The fields are but the header of what is written.
const Declaration = "u8 eventheader_flags; u8 version; u16 id; u16 tag; u8 opcode; u8 level"

var declared, _ = format.ParseFields(Declaration) // a test sees to it that it parses

// Is says whether the records of a format are in this encoding. The payload is then
// what begins with the format's first field.
func Is(f *format.Format) bool { return f.Fields.Equal(declared) }

// An event is a header, extensions, and the values of the fields, without padding anywhere:
//
//	0  u8   flags: 1 pointers have 64 bits, 2 little-endian, 4 extensions follow
//	1  u8   version
//	2  u16  id
//	4  u16  tag
//	6  u8   opcode
//	7  u8   level
//
// An extension is
//
//	0  u16  size of what follows the kind, in bytes
//	2  u16  kind: 1 metadata, 2 activity ids; bit 15: another extension follows
const (
	headerSize = 8

	flagPointer64    = 1
	flagLittleEndian = 2
	flagExtension    = 4
	knownFlags       = flagPointer64 | flagLittleEndian | flagExtension

	extensionSize = 4
	kindMask      = 0x7fff
	kindChain     = 0x8000
	kindMetadata  = 1
)

// Errors of events. They come bare: a process that writes nonsense all the time should cost little.
var (
	ErrTruncated  = errors.New("event ends before its fields do")
	ErrMalformed  = errors.New("event is not in the EventHeader encoding")
	ErrNoMetadata = errors.New("event does not describe its fields")
)

// maxCached is how much of layouts a decoder keeps, in bytes, about. An application has some dozens of
// events; whoever makes up new ones all the time makes the decoder begin anew.
const maxCached = 1 << 20

// Decoder takes the values of chosen fields out of events.
type Decoder struct {
	wanted  []wanted
	event   Event
	layouts [2]map[string]*layout // by metadata, big-endian and little-endian
	cached  int
	text    []byte // what had to be converted, of the event
}

// Event is what a decoder was asked for.
type Event struct {
	// Name is the event's own, within its tracepoint.
	Name string
	// Values has one for each path of the decoder.
	Values []Value
}

// NewDecoder returns a decoder for the fields with these paths: the name of a field, or the names
// of the structures that it is in and its own, with dots between them. Elements of arrays cannot be named.
func NewDecoder(paths ...string) *Decoder {
	d := &Decoder{
		event:   Event{Values: make([]Value, len(paths))},
		layouts: [2]map[string]*layout{{}, {}},
	}
	for i, path := range paths {
		d.wanted = append(d.wanted, wanted{path, i})
	}
	return d
}

// Decode reads an event: the payload of a record, which may be longer than the event. What lies behind the
// last wanted field is not looked at. The result is the decoder's own, refers to payload, and
// holds until the next call. The error is ErrTruncated, ErrMalformed or ErrNoMetadata.
func (d *Decoder) Decode(payload []byte) (*Event, error) {
	if len(payload) < headerSize {
		return nil, ErrTruncated
	}
	flags := payload[0]
	if flags&^knownFlags != 0 {
		return nil, ErrMalformed
	}
	little := flags&flagLittleEndian != 0
	metadata, data, err := extensions(payload[headerSize:], flags&flagExtension != 0, order(little))
	if err != nil {
		return nil, err
	}
	l, err := d.layout(metadata, little)
	if err != nil {
		return nil, err
	}
	d.event.Name = l.name
	clear(d.event.Values)
	d.text = d.text[:0]
	w := walk{data: data, order: order(little), values: d.event.Values, text: d.text}
	ok := w.steps(l.steps)
	d.text = w.text
	if !ok {
		return nil, ErrTruncated
	}
	return &d.event, nil
}

func order(little bool) binary.ByteOrder {
	if little {
		return binary.LittleEndian
	}
	return binary.BigEndian
}

// extensions goes through the chain of extensions to the metadata and to what lies behind them.
func extensions(b []byte, more bool, order binary.ByteOrder) (metadata, data []byte, err error) {
	for more {
		if len(b) < extensionSize {
			return nil, nil, ErrTruncated
		}
		size, kind := int(order.Uint16(b)), order.Uint16(b[2:])
		b = b[extensionSize:]
		if size > len(b) {
			return nil, nil, ErrTruncated
		}
		switch kind & kindMask {
		case 0:
			return nil, nil, ErrMalformed
		case kindMetadata:
			if metadata != nil {
				return nil, nil, ErrMalformed
			}
			metadata = b[:size:size]
		}
		b = b[size:]
		more = kind&kindChain != 0
	}
	if metadata == nil {
		return nil, nil, ErrNoMetadata
	}
	return metadata, b, nil
}

// layout is that of an event with this metadata, from the cache or new.
func (d *Decoder) layout(metadata []byte, little bool) (*layout, error) {
	cache := d.layouts[0]
	if little {
		cache = d.layouts[1]
	}
	if l, ok := cache[string(metadata)]; ok {
		return l, nil
	}
	l, err := parseLayout(metadata, order(little), d.wanted)
	if err != nil {
		return nil, err
	}
	if d.cached += len(metadata) + l.size(); d.cached > maxCached {
		clear(d.layouts[0])
		clear(d.layouts[1])
		d.cached = len(metadata) + l.size()
	}
	cache[string(metadata)] = l
	return l, nil
}
