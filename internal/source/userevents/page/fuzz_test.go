package page_test

import (
	"errors"
	"testing"

	"github.com/hotpath-metrics/hotpath/internal/source/userevents/page"
)

// FuzzPage walks over any bytes. Events must lie in them, one behind the other.
func FuzzPage(f *testing.F) {
	s := subBuffer{time: 5 << 59, flags: 1<<31 | 1<<30}
	s.words(head(2, 0)).record(7, 70).words(head(30, 1), 1).words(head(0, 6), 4+8).record(9, 90)
	s.words(head(29, 1), 4).words(head(31, 7), 4).words(head(3, 0)).record(11, 110, 1).words(head(29, 0))
	f.Add(s.bytes()[:16+len(s.events)+8])
	f.Add(capture(f, "mixed"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p page.Page
		p.Reset(b)
		used := 16
		for p.Next() {
			if len(p.Record) < 8 || len(p.Record)%4 != 0 || cap(p.Record) != len(p.Record) {
				t.Fatalf("a record of %d bytes, capacity %d", len(p.Record), cap(p.Record))
			}
			used += 4 + len(p.Record)
			if used > len(b) {
				t.Fatalf("%d bytes of events in %d", used, len(b))
			}
		}
		if err := p.Err(); err != nil && !errors.Is(err, page.ErrTruncated) && !errors.Is(err, page.ErrMalformed) {
			t.Fatal(err)
		}
		if p.Next() {
			t.Fatal("an event after the last")
		}
		if p.LostEvents > 0 && !p.Lost {
			t.Fatal("events were lost and were not")
		}
	})
}
