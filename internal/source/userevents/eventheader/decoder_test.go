package eventheader_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/hotpath-metrics/hotpath/internal/source/userevents/eventheader"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/format"
)

// plain is an event byte for byte: "Served", with u32 port, s64 delta and a string of counted bytes.
var plain = []byte{
	0x07, 0x01, 0x02, 0x00, 0x03, 0x00, 0x00, 0x05, // flags, version, id, tag, opcode, level
	0x1d, 0x00, 0x01, 0x00, // 29 bytes of metadata, the last extension
	'S', 'e', 'r', 'v', 'e', 'd', 0,
	'p', 'o', 'r', 't', 0, 0x04, // value32
	'd', 'e', 'l', 't', 'a', 0, 0x85, 0x02, // value64, a format follows: signed
	'h', 'o', 's', 't', ';', 'a', 0, 0x0a, // string of length16 char8, and an attribute of the field
	0x50, 0x00, 0x00, 0x00, // 80
	0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, // -2
	0x03, 0x00, 'a', 'm', 's',
	0xaa, 0xaa, 0xaa, // what fills the record up
}

func text(v eventheader.Value) string {
	switch v.Kind {
	case eventheader.Int:
		return fmt.Sprint("int ", int64(v.Bits))
	case eventheader.Uint:
		return fmt.Sprint("uint ", v.Bits)
	case eventheader.Float:
		return fmt.Sprint("float ", math.Float64frombits(v.Bits))
	case eventheader.Bool:
		return fmt.Sprint("bool ", v.Bits)
	case eventheader.Text:
		return fmt.Sprintf("text %q", v.Bytes)
	case eventheader.Binary:
		return fmt.Sprintf("binary %x", v.Bytes)
	}
	return "none"
}

func TestDecodeReadsAnEvent(t *testing.T) {
	d := eventheader.NewDecoder("host", "port", "missing", "delta", "port", "host;a", "port.x")
	for range 2 { // from the metadata, and from the cache
		e, err := d.Decode(plain)
		if err != nil {
			t.Fatal(err)
		}
		if e.Name != "Served" {
			t.Errorf("the event is %q", e.Name)
		}
		for i, want := range []string{`text "ams"`, "uint 80", "none", "int -2", "uint 80", "none", "none"} {
			if got := text(e.Values[i]); got != want {
				t.Errorf("value %d is %s, want %s", i, got, want)
			}
		}
	}
}

func TestDecodeNeedsAllBytesUpToTheLastWantedField(t *testing.T) {
	d := eventheader.NewDecoder("host")
	first := eventheader.NewDecoder("port")
	end := len(plain) - 3
	for n := range end {
		if e, err := d.Decode(plain[:n]); !errors.Is(err, eventheader.ErrTruncated) {
			t.Errorf("%d bytes: %+v, %v", n, e, err)
		}
		if e, err := first.Decode(plain[:n]); (err == nil) != (n >= 12+29+4) {
			t.Errorf("%d bytes, only the first value: %+v, %v", n, e, err)
		}
	}
	if _, err := d.Decode(plain[:end]); err != nil {
		t.Error(err)
	}
}

// builder writes events of either byte order.
type builder struct {
	order    binary.AppendByteOrder
	metadata []byte
	data     []byte
}

func (b *builder) field(name string, encoding byte, more ...byte) *builder {
	b.metadata = append(b.metadata, name+"\x00"...)
	b.metadata = append(append(b.metadata, encoding), more...)
	return b
}

func (b *builder) length(n uint16) *builder {
	b.metadata = b.order.AppendUint16(b.metadata, n)
	return b
}

func (b *builder) u8(v ...byte) *builder {
	b.data = append(b.data, v...)
	return b
}

func (b *builder) u16(values ...uint16) *builder {
	for _, v := range values {
		b.data = b.order.AppendUint16(b.data, v)
	}
	return b
}

func (b *builder) u32(values ...uint32) *builder {
	for _, v := range values {
		b.data = b.order.AppendUint32(b.data, v)
	}
	return b
}

func (b *builder) u64(v uint64) *builder {
	b.data = b.order.AppendUint64(b.data, v)
	return b
}

// bytes puts the metadata between an activity's id and an extension of an unknown kind.
func (b *builder) bytes() []byte {
	flags := byte(0x07)
	if b.order == binary.AppendByteOrder(binary.BigEndian) {
		flags = 0x05
	}
	out := []byte{flags, 0, 0, 0, 0, 0, 0, 4}
	metadata := append([]byte("Event;k=v\x00"), b.metadata...)
	for _, extension := range []struct {
		kind uint16
		data []byte
	}{{0x8002, make([]byte, 16)}, {0x8001, metadata}, {0x0777, []byte("x")}} {
		out = b.order.AppendUint16(out, uint16(len(extension.data)))
		out = b.order.AppendUint16(out, extension.kind)
		out = append(out, extension.data...)
	}
	return append(out, b.data...)
}

func everything(order binary.AppendByteOrder) (*builder, []string, []string) {
	b := &builder{order: order}
	var paths, want []string
	add := func(path, value string) *builder {
		paths, want = append(paths, path), append(want, value)
		return b
	}
	add("u8", "uint 200").field("u8", 2).u8(200)
	add("s8", "int -56").field("s8", 0x82, 2).u8(200)
	add("bool8", "bool 1").field("bool8", 0x82, 7).u8(2)
	add("char", `text "é"`).field("char", 0x82, 10).u8(0xe9)
	add("u16", "uint 65534").field("u16", 3).u16(65534)
	add("s16", "int -2").field("s16", 0x83, 2).u16(65534)
	add("port", "uint 443").field("port", 0x83, 16).u8(1, 187)
	add("char16", `text "€"`).field("char16", 0x83, 11).u16(0x20ac)
	add("u32", "uint 4294967295").field("u32", 0x84, 0x80|1, 9, 9).u32(math.MaxUint32)
	add("errno", "int -1").field("errno", 0x84, 4).u32(math.MaxUint32)
	add("bool", "bool 0").field("bool", 0x84, 7).u32(0)
	add("f32", "float 0.5").field("f32", 0x84, 8).u32(math.Float32bits(0.5))
	add("char32", `text "😀"`).field("char32", 0x84, 11).u32(0x1f600)
	add("ipv4", `text "10.0.0.1"`).field("ipv4", 0x84, 17).u8(10, 0, 0, 1)
	add("u64", "uint 18446744073709551615").field("u64", 5).u64(math.MaxUint64)
	add("s64", "int -1").field("s64", 0x85, 2).u64(math.MaxUint64)
	add("time", "int -5").field("time", 0x85, 6).u64(math.MaxUint64 - 4)
	add("f64", "float -1.25").field("f64", 0x85, 8).u64(math.Float64bits(-1.25))
	add("odd", "uint 7").field("odd", 0x85, 99).u64(7)
	add("wide", "binary 000102030405060708090a0b0c0d0e0f").field("wide", 6).u8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
	add("uuid", `text "00010203-0405-0607-0809-0a0b0c0d0e0f"`).field("uuid", 0x86, 15).u8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
	add("ipv6", `text "::1"`).field("ipv6", 0x86, 18).u8(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)
	add("z8", `text "zéro"`).field("z8", 7).u8([]byte("zéro\x00")...)
	add("z8 empty", `text ""`).field("z8 empty", 7).u8(0)
	add("z16", `text "a😀b"`).field("z16", 8).u16('a', 0xd83d, 0xde00, 'b', 0)
	add("z16 broken", "text \"\ufffda\ufffd\"").field("z16 broken", 8).u16(0xde00, 'a', 0xd83d, 0)
	add("z32", "text \"€\ufffd\"").field("z32", 9).u32(0x20ac, 0xffff_ffff, 0)
	add("s8s", `text "a\x00b"`).field("s8s", 10).u16(3).u8('a', 0, 'b')
	add("s16s", `text "hé"`).field("s16s", 11).u16(2, 'h', 0xe9)
	add("s32s", `text "h"`).field("s32s", 12).u16(1).u32('h')
	add("latin", `text "ü"`).field("latin", 0x8a, 10).u16(1).u8(0xfc)
	add("hex", "binary 00ff").field("hex", 0x8a, 9).u16(2).u8(0, 255)
	add("bom8", `text "b"`).field("bom8", 0x8a, 12).u16(4).u8(0xef, 0xbb, 0xbf, 'b')
	add("bom16", `text "b"`).field("bom16", 0x8b, 12).u16(2, 0xfeff, 'b')
	add("bom16 swapped", `text "b"`).field("bom16 swapped", 0x8b, 14).u16(2, 0xfffe, 'b'<<8)
	add("bin", "binary 0102").field("bin", 13).u16(2).u8(1, 2)
	add("bin text", `text "ab"`).field("bin text", 0x8d, 11).u16(2).u8('a', 'b')
	add("bin int", "int -3").field("bin int", 0x8d, 2).u16(4).u32(math.MaxUint32 - 2)
	add("z8 int", `text "abcd"`).field("z8 int", 0x87, 2).u8([]byte("abcd\x00")...)
	add("bin null", "none").field("bin null", 0x8d, 2).u16(0)
	add("bin wrong", "binary 010203").field("bin wrong", 0x8d, 2).u16(3).u8(1, 2, 3)
	// Fields behind arrays and structures of all sorts.
	add("fixed", "none").field("fixed", 0x24).length(3).u32(1, 2, 3)
	add("variable", "none").field("variable", 0x44).u16(2).u32(1, 2)
	add("strings", "none").field("strings", 0x27).length(2).u8('a', 0, 'b', 'c', 0)
	add("counted", "none").field("counted", 0x4b).u16(2, 1, 'a', 2, 'b', 'c')
	add("empty", "none").field("empty", 0x4a).u16(0)
	add("outer.a", "uint 11").field("outer", 0x81, 3).field("a", 2).u8(11)
	add("outer.inner.b", "uint 12").field("inner", 0x81, 0x80|1, 0, 0).field("b", 3).u16(12)
	add("outer.c", `text "in"`).field("c", 7).u8('i', 'n', 0)
	add("dotted.name", "uint 13").field("dotted.name", 2).u8(13)
	add("structs.x", "none").field("structs", 0xa1, 2).length(2).field("x", 2).field("y", 7).u8(1, 'a', 0, 2, 0)
	add("small.x", "none").field("small", 0xa1, 2).length(3).field("x", 2).field("y", 3).u8(make([]byte, 9)...)
	add("none.x", "none").field("none", 0xc1, 1).field("x", 5).u16(0)
	add("last", "uint 99").field("last", 2).u8(99)
	add("a", "none")
	return b, paths, want
}

func TestDecodeReadsEveryEncodingInBothByteOrders(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		b, paths, want := everything(order)
		payload := b.bytes()
		d := eventheader.NewDecoder(paths...)
		for range 2 {
			e, err := d.Decode(payload)
			if err != nil {
				t.Fatal(order, err)
			}
			if e.Name != "Event" {
				t.Errorf("%v: the event is %q", order, e.Name)
			}
			for i, v := range e.Values {
				if got := text(v); got != want[i] {
					t.Errorf("%v: %s is %s, want %s", order, paths[i], got, want[i])
				}
			}
		}
		for i, path := range paths { // each by itself, past all others
			if e, err := eventheader.NewDecoder(path).Decode(payload); err != nil || text(e.Values[0]) != want[i] {
				t.Errorf("%v: %s alone is %+v, %v; want %s", order, path, e, err, want[i])
			}
		}
	}
}

func TestEventsLeaveNothingBehind(t *testing.T) {
	d := eventheader.NewDecoder("port", "n")
	if _, err := d.Decode(plain); err != nil {
		t.Fatal(err)
	}
	// The same bytes are one u8 of padding in one byte order and 256 in the other.
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		b := &builder{order: order}
		b.field("pad", 0x22, 1, 0).field("n", 2)
		b.data = append([]byte{1, 2}, make([]byte, 255)...)
		want := "uint 2"
		if b.order == binary.AppendByteOrder(binary.BigEndian) {
			want = "uint 0"
		}
		if e, err := d.Decode(b.bytes()); err != nil || text(e.Values[0]) != "none" || text(e.Values[1]) != want {
			t.Errorf("%v: %+v, %v; want %s", order, e, err, want)
		}
	}
}

func TestTheFirstOfEqualFieldsWins(t *testing.T) {
	b := &builder{order: binary.LittleEndian}
	b.field("n", 2).field("n", 2).u8(1, 2)
	if e, err := eventheader.NewDecoder("n").Decode(b.bytes()); err != nil || e.Values[0].Bits != 1 {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestStructuresMayEndWithTheMetadata(t *testing.T) {
	b := &builder{order: binary.LittleEndian}
	b.field("s", 0x81, 5).field("n", 2).u8(7)
	if e, err := eventheader.NewDecoder("s.n").Decode(b.bytes()); err != nil || e.Values[0].Bits != 7 {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestBadEventsAreRefused(t *testing.T) {
	le := func() *builder { return &builder{order: binary.LittleEndian} }
	deep := func(levels int) *builder {
		b := le()
		for range levels {
			b.field("s", 0x81, 1)
		}
		return b.field("n", 2).u8(1)
	}
	nested := le()
	for range 8 {
		nested.field("s", 0xa1, 1).length(65535)
	}
	nested.field("n", 2).field("x", 2)
	endless := le()
	for range 8 {
		endless.field("s", 0xa1, 1).length(65535)
	}
	for _, c := range []struct {
		what    string
		payload []byte
		want    error
	}{
		{"nothing", nil, eventheader.ErrTruncated},
		{"an unknown flag", []byte{0x0b, 0, 0, 0, 0, 0, 0, 5}, eventheader.ErrMalformed},
		{"no extension", []byte{0x03, 0, 0, 0, 0, 0, 0, 5, 1, 2, 3, 4}, eventheader.ErrNoMetadata},
		{"half an extension", []byte{0x07, 0, 0, 0, 0, 0, 0, 5, 1, 2, 3}, eventheader.ErrTruncated},
		{"an extension past the end", []byte{0x07, 0, 0, 0, 0, 0, 0, 5, 1, 0, 1, 0}, eventheader.ErrTruncated},
		{"an extension of kind 0", []byte{0x07, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0}, eventheader.ErrMalformed},
		{"two metadata", []byte{0x07, 0, 0, 0, 0, 0, 0, 5, 1, 0, 1, 0x80, 0, 1, 0, 1, 0, 0}, eventheader.ErrMalformed},
		{"an endless chain", []byte{0x07, 0, 0, 0, 0, 0, 0, 5, 1, 0, 1, 0x80, 0}, eventheader.ErrTruncated},
		{"no name", []byte{0x07, 0, 0, 0, 0, 0, 0, 5, 1, 0, 1, 0, 'x'}, eventheader.ErrMalformed},
		{"empty metadata", []byte{0x07, 0, 0, 0, 0, 0, 0, 5, 0, 0, 1, 0}, eventheader.ErrMalformed},
		{"no encoding", append(plain[:8:8], 4, 0, 1, 0, 'E', 0, 'f', 0), eventheader.ErrMalformed},
		{"encoding 0", le().field("x", 0).bytes(), eventheader.ErrMalformed},
		{"encoding 14", le().field("x", 14).bytes(), eventheader.ErrMalformed},
		{"no format", le().field("x", 0x82).bytes(), eventheader.ErrMalformed},
		{"half a tag", le().field("x", 0x82, 0x80, 1).bytes(), eventheader.ErrMalformed},
		{"no length of an array", le().field("x", 0x22, 1).bytes(), eventheader.ErrMalformed},
		{"an array of no elements", le().field("x", 0x22).length(0).bytes(), eventheader.ErrMalformed},
		{"an array of both sorts", le().field("x", 0x62).length(1).bytes(), eventheader.ErrMalformed},
		{"a structure without fields", le().field("x", 0x81, 0).bytes(), eventheader.ErrMalformed},
		{"a structure without a format", le().field("x", 1).bytes(), eventheader.ErrMalformed},
		{"structures nine deep", deep(9).bytes(), eventheader.ErrMalformed},
		{"an array of structures at the end of the metadata", endless.bytes(), eventheader.ErrMalformed},
		{"65535^8 elements", nested.bytes(), eventheader.ErrMalformed},
		{"a string without an end", le().field("x", 8).u16('a').u8(0).bytes(), eventheader.ErrTruncated},
		{"a string past the end", le().field("x", 11).u16(2, 'a').u8(0).bytes(), eventheader.ErrTruncated},
		{"an array past the end", le().field("a", 0x43).field("x", 2).u16(2, 1).u8(0).bytes(), eventheader.ErrTruncated},
		{"an array of strings past the end", le().field("a", 0x47).field("x", 2).u16(3).u8(0, 0).bytes(), eventheader.ErrTruncated},
		{"an array without its length", le().field("a", 0x43).field("x", 2).u8(0).bytes(), eventheader.ErrTruncated},
	} {
		if e, err := eventheader.NewDecoder("x").Decode(c.payload); !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v; want %v", c.what, e, err, c.want)
		}
	}
	if e, err := eventheader.NewDecoder("s.s.s.s.s.s.s.s.n").Decode(deep(8).bytes()); err != nil || e.Values[0].Bits != 1 {
		t.Errorf("structures eight deep: %+v, %v", e, err)
	}
}

func TestEndlesslyNewEventsTakeBoundedMemory(t *testing.T) {
	d := eventheader.NewDecoder("n")
	long := strings.Repeat("x", 4000)
	for i := range 2000 { // 8 MB of metadata
		b := &builder{order: binary.LittleEndian}
		b.field(fmt.Sprint(long, i), 2).field("n", 3).u8(1).u16(uint16(i))
		if e, err := d.Decode(b.bytes()); err != nil || e.Values[0].Bits != uint64(i) {
			t.Fatalf("%+v, %v", e, err)
		}
	}
	if n := d.Cached(); n > 1<<20 {
		t.Errorf("%d bytes of metadata are kept", n)
	}
}

func TestDecodeAllocatesNothingForKnownEvents(t *testing.T) {
	b, paths, _ := everything(binary.LittleEndian)
	payload := b.bytes()
	d := eventheader.NewDecoder(paths...)
	decode := func() {
		if _, err := d.Decode(payload); err != nil {
			t.Fatal(err)
		}
	}
	decode()
	if n := testing.AllocsPerRun(100, decode); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTheFormatOfEventsInThisEncodingIsKnown(t *testing.T) {
	for name, want := range map[string]bool{"Provider_L5K1": true, "otlp_metrics": false, "otlp_metrics_cpp": false} {
		b, err := os.ReadFile("../format/testdata/" + name + ".format")
		if err != nil {
			t.Fatal(err)
		}
		f, err := format.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := eventheader.Is(f); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	d := eventheader.NewDecoder("port", "delta", "host")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Decode(plain); err != nil {
			b.Fatal(err)
		}
	}
}
