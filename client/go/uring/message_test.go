package uring

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

func TestAHelloIsAsTheFormatSays(t *testing.T) {
	h := Hello{
		StartTime: 0x0102030405060708, PID: 9, SegmentID: 0x1111111111111111,
		CatalogueSize: 1 << 20, SharedSize: 4096, StripeSize: 8192, Ring: 3841,
	}
	copy(h.Instance[:], "0123456789abcdef")
	got := AppendHello([]byte("before"), &h, []byte("resource"))

	want := []byte("before")
	for _, v := range []any{
		uint32(88), uint16(2), uint16(1),
		uint64(0x0102030405060708), uint64(9), []byte("0123456789abcdef"), uint64(0x1111111111111111),
		uint64(1 << 20), uint64(4096), uint64(8192), uint32(3841), uint32(0), []byte("resource"),
	} {
		var err error
		if want, err = binary.Append(want, binary.NativeEndian, v); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the hello is\n% x, want\n% x", got, want)
	}
	for name, offset := range map[string][2]int{
		"start_time": {HelloStartTime, 8}, "pid": {HelloPID, 16}, "instance": {HelloInstance, 24}, "segment_id": {HelloSegmentID, 40},
		"catalogue_size": {HelloCatalogueSize, 48}, "shared_size": {HelloSharedSize, 56}, "stripe_size": {HelloStripeSize, 64},
		"ring": {HelloRing, 72}, "resource": {HelloResource, 80}, "greeting": {GreetingSize, 16}, "message": {MaxMessage, 131080},
	} {
		if offset[0] != offset[1] {
			t.Errorf("%s is at %d, want %d", name, offset[0], offset[1])
		}
	}
}

func TestSeriesAreSplitBetweenRecords(t *testing.T) {
	long := make([]segment.Attribute, segment.MaxAttributes)
	for i := range long {
		long[i] = segment.Attribute{Key: fmt.Sprintf("%0255d", i), Type: segment.AttributeString, Str: string(make([]byte, segment.MaxString))}
	}
	var records []byte
	var sizes []int
	for i := range 300 {
		r := segment.Record{Kind: segment.KindCounter, Name: fmt.Sprint("series", i), Slot: uint64(i + 1)}
		if i%100 == 50 {
			r.Attributes = long
		}
		before := len(records)
		records = segment.AppendRecord(records, &r)
		sizes = append(sizes, len(records)-before)
	}
	stream, got, messages := AppendSeries(nil, records), []byte(nil), 0
	for ; len(stream) > 0; messages++ {
		size := int(binary.NativeEndian.Uint32(stream[OffSize:]))
		if size > MaxMessage || size <= HeaderSize || binary.NativeEndian.Uint16(stream[OffType:]) != TypeSeries || binary.NativeEndian.Uint16(stream[OffVersion:]) != Version {
			t.Fatalf("message %d begins with % x", messages, stream[:HeaderSize])
		}
		body := stream[HeaderSize:size]
		stream = stream[size:]
		got = append(got, body...)
		for len(body) > 0 {
			if n := int(binary.NativeEndian.Uint32(body)); n != sizes[0] || n > len(body) {
				t.Fatalf("message %d has %d bytes of a record of %d", messages, len(body), sizes[0])
			}
			body, sizes = body[sizes[0]:], sizes[1:]
		}
	}
	if !bytes.Equal(got, records) || len(sizes) != 0 || messages < 2 || messages > 4 {
		t.Errorf("%d messages lack %d records", messages, len(sizes))
	}
	if AppendSeries(nil, nil) != nil {
		t.Error("no series make a message")
	}
}
