package segment

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

func TestAppendRecordWritesTheBytesOfTheFormat(t *testing.T) {
	r := Record{
		Kind: KindCounter, Flags: FlagOverflow, Slot: 7, Name: "requests", Unit: "1", Description: "all of them",
		Attributes: []Attribute{
			{Key: "ok", Type: AttributeBool, Bits: 1},
			{Key: "dc", Type: AttributeString, Str: "ams"},
		},
	}
	var want []byte
	ne := binary.NativeEndian
	want = ne.AppendUint32(want, 24+24+16+24)
	want = append(want, KindCounter, FlagOverflow)
	want = ne.AppendUint16(want, 2)
	want = ne.AppendUint64(want, 7)
	want = ne.AppendUint16(want, 8)
	want = ne.AppendUint16(want, 1)
	want = ne.AppendUint32(want, 11)
	want = append(want, "requests1all of them\x00\x00\x00\x00"...)
	want = ne.AppendUint16(want, 2)
	want = append(want, AttributeString, 0)
	want = ne.AppendUint32(want, 3)
	want = append(want, "dcams\x00\x00\x00"...)
	want = ne.AppendUint16(want, 2)
	want = append(want, AttributeBool, 0)
	want = ne.AppendUint32(want, 8)
	want = append(want, "ok"...)
	want = ne.AppendUint64(want, 1)
	want = append(want, 0, 0, 0, 0, 0, 0)

	got := AppendRecord([]byte("before"), &r)
	if got, ok := bytes.CutPrefix(got, []byte("before")); !ok || !bytes.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if r.Size() != len(want) {
		t.Errorf("Size() = %d, want %d", r.Size(), len(want))
	}
}

func TestEqualAttributeSetsAreEqualBytes(t *testing.T) {
	a := Record{Kind: KindGauge, Name: "x", Attributes: []Attribute{
		{Key: "b", Type: AttributeInt64, Bits: 1}, {Key: "a", Type: AttributeString, Str: "1"}, {Key: "b", Type: AttributeInt64, Bits: 2},
	}}
	b := Record{Kind: KindGauge, Name: "x", Attributes: []Attribute{
		{Key: "a", Type: AttributeString, Str: "0"}, {Key: "b", Type: AttributeInt64, Bits: 2}, {Key: "a", Type: AttributeString, Str: "1"},
	}}
	if !bytes.Equal(AppendRecord(nil, &a), AppendRecord(nil, &b)) {
		t.Error("the last of equal keys does not win, or the order shows")
	}
	if want := []Attribute{{Key: "a", Type: AttributeString, Str: "1"}, {Key: "b", Type: AttributeInt64, Bits: 2}}; !slices.Equal(a.Attributes, want) {
		t.Errorf("attributes are %v, want %v", a.Attributes, want)
	}
}

func FuzzRecordsAreAlignedAndAsLongAsTheySay(f *testing.F) {
	f.Add("requests", "1", "description", "key", "value")
	f.Add("", "", "", "", "")
	f.Fuzz(func(t *testing.T, name, unit, description, key, value string) {
		r := Record{
			Kind: KindCounter, Name: Text(name, MaxName), Unit: Text(unit, MaxUnit), Description: Text(description, MaxDescription),
			Attributes: []Attribute{{Key: Text(key, MaxKey), Type: AttributeString, Str: Text(value, MaxString)}, {Key: key[:len(key)/2], Type: AttributeDouble}},
		}
		b := AppendRecord(nil, &r)
		if len(b)%8 != 0 || len(b) != r.Size() || int(binary.NativeEndian.Uint32(b)) != len(b) {
			t.Fatalf("%d bytes, Size() = %d, size field %d", len(b), r.Size(), binary.NativeEndian.Uint32(b))
		}
	})
}

func TestTheLargestRecordKeepsItsBound(t *testing.T) {
	r := Record{Name: strings.Repeat("n", MaxName), Unit: strings.Repeat("u", MaxUnit), Description: strings.Repeat("d", MaxDescription)}
	for i := range MaxAttributes {
		r.Attributes = append(r.Attributes, Attribute{Key: strings.Repeat(string(rune('0'+i)), MaxKey), Type: AttributeString, Str: strings.Repeat("v", MaxString)})
	}
	if n := len(AppendRecord(nil, &r)); n > MaxRecord {
		t.Errorf("a record has %d bytes, the format allows %d", n, MaxRecord)
	}
}
