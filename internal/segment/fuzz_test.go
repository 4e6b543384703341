package segment_test

import (
	"maps"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
)

// FuzzCatalogue parses any bytes, once as a whole and once in two parts, and
// checks what every accepted series promises.
func FuzzCatalogue(f *testing.F) {
	f.Add(encode(segmenttest.Resource(segmenttest.Str("service.name", "shop")),
		segmenttest.Counter(1, "a", segmenttest.Str("k", "v")), segmenttest.Gauge(1, "g"),
		segmenttest.UpDownCounter(2, "u", segmenttest.Bool("b", true)), segmenttest.Histogram(8, "h")), uint16(40), uint8(3))
	f.Add(encode(segmenttest.Resource(), segmenttest.Counter(1, "a"), segmenttest.Counter(1, "b")), uint16(0), uint8(9))
	f.Fuzz(func(t *testing.T, b []byte, cut uint16, room uint8) {
		header := segment.Header{SharedSize: 4096, StripeSize: 32 << 10}
		whole := segment.NewCatalogue(&header)
		err := whole.Parse(b, int64(len(b)), int(room))
		if err != nil && segment.ReasonOf(err, "") == "" {
			t.Fatalf("no reason in %v", err)
		}
		if err == nil && whole.Parsed != int64(len(b)) {
			t.Fatalf("parsed %d of %d bytes", whole.Parsed, len(b))
		}
		check(t, whole, int(room))

		parts := segment.NewCatalogue(&header)
		partErr := parts.Parse(b[:min(int(cut), len(b))], int64(len(b)), int(room))
		if partErr == nil {
			partErr = parts.Parse(b[parts.Parsed:], int64(len(b)), int(room)-parts.Charged)
		}
		if (err == nil) != (partErr == nil) {
			t.Fatalf("as a whole: %v, in parts: %v", err, partErr)
		}
		inspect(t, b, &header, err, whole)
		if len(parts.Series) != len(whole.Series) || parts.Charged != whole.Charged || !maps.Equal(parts.Skipped, whole.Skipped) {
			t.Fatalf("as a whole: %d, %v, in parts: %d, %v", len(whole.Series), whole.Skipped, len(parts.Series), parts.Skipped)
		}
	})
}

// inspect checks that whoever is told of each record comes to the same result.
func inspect(t *testing.T, b []byte, header *segment.Header, err error, whole *segment.Catalogue) {
	c := segment.NewCatalogue(header)
	fatal := false
	faults := 0
	c.Inspect = func(r *segment.Record) {
		fatal = fatal || r.Fatal
		faults += len(r.Faults)
		for i := range r.Faults {
			if f := &r.Faults[i]; f.Reason == "" || f.Offset < r.Offset || f.Offset >= r.Offset+int64(r.Size) {
				t.Fatalf("record of %d bytes at %d: %v", r.Size, r.Offset, f)
			}
		}
	}
	inspectErr := c.Parse(b, int64(len(b)), manySeries)
	if bad := fatal || inspectErr != nil; bad != (err != nil) {
		t.Fatalf("%v, but with a look at each record %v, fatal: %v", err, inspectErr, fatal)
	}
	if err == nil && (c.ResourceID != whole.ResourceID || len(c.Series) < len(whole.Series)) {
		t.Fatalf("%d series, but with a look at each record %d", len(whole.Series), len(c.Series))
	}
	if err == nil && c.ResourceFaults+int(skipped(c)) != faults {
		t.Fatalf("%d faults of %d and %v", faults, c.ResourceFaults, c.Skipped)
	}
}

func skipped(c *segment.Catalogue) (n int64) {
	for _, m := range c.Skipped {
		n += m
	}
	return n
}

func check(t *testing.T, c *segment.Catalogue, room int) {
	if len(c.Series) > room || len(c.Series) > 0 && c.Charged > room {
		t.Fatalf("%d series that take %d in room for %d", len(c.Series), c.Charged, room)
	}
	checkAttributes(t, c.Resource)
	ids := map[string]bool{}
	names := map[string]*emit.Instrument{}
	for _, s := range c.Series {
		if ids[s.ID] {
			t.Fatalf("two series %q", s.ID)
		}
		ids[s.ID] = true
		if other := names[s.Instrument.Name]; other != nil && other != s.Instrument {
			t.Fatalf("two instruments %q", s.Instrument.Name)
		}
		names[s.Instrument.Name] = s.Instrument
		checkAttributes(t, s.Attributes)
		words, limit := 1, c.StripeWords
		switch s.Instrument.Kind {
		case emit.KindHistogram:
			words = 520
		case emit.KindGauge:
			limit = c.SharedWords
		}
		if s.Slot < 1 || s.Slot+words > limit || limit > 4096 {
			t.Fatalf("slot %d, %d words of %d", s.Slot, words, limit)
		}
	}
	if !slices.IsSorted(c.Histograms) {
		t.Fatalf("histograms at %v", c.Histograms)
	}
}

func checkAttributes(t *testing.T, attributes []emit.Attribute) {
	for i, a := range attributes {
		if i > 0 && attributes[i-1].Key >= a.Key {
			t.Fatalf("key %q after %q", a.Key, attributes[i-1].Key)
		}
		if !utf8.ValidString(a.Key) || !utf8.ValidString(a.Str) || len(a.Str) > 1023 {
			t.Fatalf("attribute %q=%q", a.Key, a.Str)
		}
	}
}

// FuzzAttributes puts any bytes behind the fixed part of a good record.
func FuzzAttributes(f *testing.F) {
	f.Add(segmenttest.Counter(1, "a", segmenttest.Str("k", "v"), segmenttest.Int("l", -1)).Append(nil)[32:], uint16(2))
	f.Add(segmenttest.Counter(1, "a", segmenttest.Bool("b", true), segmenttest.Double("d", 0.5)).Append(nil)[32:], uint16(2))
	f.Fuzz(func(t *testing.T, attributes []byte, n uint16) {
		if len(attributes) > 4096 {
			return
		}
		record := segmenttest.Counter(1, "a").Append(nil)
		record = append(record, attributes[:len(attributes)&^7]...)
		record[0], record[1] = byte(len(record)), byte(len(record)>>8)
		record[6], record[7] = byte(n), byte(n>>8)
		for _, b := range [][]byte{
			append(encode(segmenttest.Resource()), record...),
			append(append([]byte(nil), record[:4]...), append([]byte{1}, record[5:]...)...), // as the resource
		} {
			c := segment.NewCatalogue(&segment.Header{SharedSize: 4096, StripeSize: 32 << 10})
			_ = c.Parse(b, int64(len(b)), 10)
			check(t, c, 10)
		}
	})
}
