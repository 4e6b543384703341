package eventheader_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/hotpath-metrics/hotpath/internal/source/userevents/eventheader"
)

// FuzzDecode decodes any bytes.
func FuzzDecode(f *testing.F) {
	f.Add(plain)
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		b := builder{order: order}
		b.field("n", 0x84, 2).field("s", 10).u32(1).u16(1).u8('x')
		f.Add(b.bytes())
	}
	f.Fuzz(func(t *testing.T, payload []byte) { decode(t, payload) })
}

// FuzzFields puts any metadata and data behind a good header.
func FuzzFields(f *testing.F) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		b, _, _ := everything(order)
		f.Add(b.metadata, b.data, order == binary.AppendByteOrder(binary.BigEndian))
	}
	b := &builder{order: binary.LittleEndian}
	b.field("a", 0xa1, 2).length(2).field("x", 0x47).field("y", 0x81, 1).field("z", 3).field("n", 10)
	f.Add(b.metadata, b.u16(1).u8('x', 0).u16(7, 0, 7, 1).u8('n').data, false)
	f.Fuzz(func(t *testing.T, metadata, data []byte, big bool) {
		b := builder{order: binary.LittleEndian, metadata: metadata, data: data}
		if big {
			b.order = binary.BigEndian
		}
		if len(metadata) < 60000 {
			decode(t, b.bytes())
		}
	})
}

// decode decodes an event twice, and once for each value alone. Neither the cache nor other values must show.
func decode(t *testing.T, payload []byte) {
	paths := []string{"n", "s", "a.b", "host", "outer.inner.b", "last", "u8", "char16", "z16", ""}
	d := eventheader.NewDecoder(paths...)
	e, err := d.Decode(payload)
	if err != nil {
		if !errors.Is(err, eventheader.ErrTruncated) && !errors.Is(err, eventheader.ErrMalformed) && !errors.Is(err, eventheader.ErrNoMetadata) {
			t.Fatal(err)
		}
		return
	}
	var first []string
	for _, v := range e.Values {
		first = append(first, text(v))
		if v.Kind == eventheader.Bool && v.Bits > 1 || len(v.Bytes) > 3*len(payload)+45 {
			t.Fatalf("%+v of %d bytes", v, len(payload))
		}
	}
	again, err := d.Decode(bytes.Clone(payload))
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range again.Values {
		if got := text(v); got != first[i] {
			t.Fatalf("%s was %s and is %s", paths[i], first[i], got)
		}
		alone, err := eventheader.NewDecoder(paths[i]).Decode(payload)
		if err != nil {
			t.Fatal(err)
		}
		if got := text(alone.Values[0]); got != first[i] {
			t.Fatalf("%s is %s with others and %s alone", paths[i], first[i], got)
		}
	}
}
