package userevent

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// TestTheOffsetsAreThoseOfTheDeclaration lays the fields out as the kernel does: one after the other, without padding.
func TestTheOffsetsAreThoseOfTheDeclaration(t *testing.T) {
	offsets := map[string]int{
		"segment": OffSegment, "number": OffNumber, "start": OffStart, "value": OffValue, "zero": OffZero,
		"instance_hi": OffInstanceHi, "instance_lo": OffInstanceLo, "pid": OffPID, "series": OffSeries,
		"first": OffFirst, "flags": OffFlags, "record": OffRecord, "resource": OffResource, "buckets": OffBuckets,
	}
	sizes := map[string]int{"u64": 8, "u32": 4, "u16": 2, "__rel_loc u8[]": 4}
	fields, found := strings.CutPrefix(Declaration, Name+" ")
	if !found || strings.Count(fields, ";") != strings.Count(fields, "; ") || len(Declaration) >= 512 {
		t.Fatalf("no kernel finds %q again", Declaration)
	}
	at := 0
	for field := range strings.SplitSeq(fields, "; ") {
		blank := strings.LastIndexByte(field, ' ')
		size, offset := sizes[field[:blank]], offsets[field[blank+1:]]
		if size == 0 || offset != at {
			t.Errorf("%q is at %d, want %d", field, at, offset)
		}
		delete(offsets, field[blank+1:])
		at += size
	}
	if len(offsets) != 0 || at != HeaderSize {
		t.Errorf("%v are not declared, the header has %d bytes", offsets, at)
	}
}

func TestAnUpdateIsAsTheFormatSays(t *testing.T) {
	u := Update{
		Segment: 0x0102030405060708, Number: 9, Start: 0x1111111111111111, Value: 0xfffffffffffffffe, Zero: 5,
		PID: 0xabcd, Series: 0x54321, First: 511, Flags: FlagMore,
		RecordLen: 48, ResourceLen: 256, BucketsLen: 1024,
	}
	copy(u.Instance[:], "0123456789abcdef")
	got := bytes.Repeat([]byte{0xee}, HeaderSize+1)
	u.Put(got)

	var want []byte
	for _, v := range []any{
		uint64(0x0102030405060708), uint64(9), uint64(0x1111111111111111), uint64(0xfffffffffffffffe), uint64(5),
		[]byte("0123456789abcdef"), uint32(0xabcd), uint32(0x54321), uint16(511), uint16(1),
		uint32(48<<16 | 8), uint32(256<<16 | 4 + 48), uint32(1024<<16 | (48 + 256)),
		byte(0xee),
	} {
		var err error
		if want, err = binary.Append(want, binary.NativeEndian, v); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the header is\n%s, want\n%s", lines(got), lines(want))
	}
}

func lines(b []byte) string {
	var s strings.Builder
	for ; len(b) >= 8; b = b[8:] {
		fmt.Fprintf(&s, "% x\n", b[:8])
	}
	return s.String()
}
