package page_test

import (
	"os"
	"testing"

	"github.com/hotpath-metrics/hotpath/internal/source/userevents/page"
)

// capture is a sub-buffer that Linux 6.12 gave out. One thread had written numbered events.
func capture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".page")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCapturedEventsFollowEachOther(t *testing.T) {
	for _, c := range []struct {
		name         string
		id           uint16
		first, last  uint64
		number       func(record []byte) uint64
		lost         uint64
		pause, after uint64 // how long the writer slept, in ns, and before which event
	}{
		{name: "state", id: 481, first: 1, last: 26, number: updateNumber},
		// 18 events were on the page before this one; the kernel's statistics said the rest was overrun.
		{name: "lost", id: 481, first: 929, last: 954, number: updateNumber, lost: 910},
		// 300 ms took a time extend; an event that the kernel refused, and withdrew, an absolute time.
		{name: "mixed", id: 482, first: 15, last: 22, number: func(r []byte) uint64 { return uint64(ne.Uint32(r[8:])) }, pause: 300e6, after: 19},
	} {
		var p page.Page
		p.Reset(capture(t, c.name))
		if p.LostEvents != c.lost || p.Lost != (c.lost > 0) {
			t.Errorf("%s: lost %v, %d; want %d", c.name, p.Lost, p.LostEvents, c.lost)
		}
		want, time := c.first, p.Time
		for ; p.Next(); want++ {
			if n := c.number(p.Record); n != want || p.ID != c.id || p.TID != 61 {
				t.Errorf("%s: event %d of format %d by %d, want %d of %d by 61", c.name, n, p.ID, p.TID, want, c.id)
			}
			passed := p.Time - time
			if long := want == c.after && passed >= c.pause; passed > 20e6 && !long {
				t.Errorf("%s: %d ns before event %d", c.name, passed, want)
			}
			if want == c.after && passed < c.pause {
				t.Errorf("%s: only %d ns before event %d", c.name, passed, want)
			}
			time = p.Time
		}
		if p.Err() != nil || want != c.last+1 {
			t.Errorf("%s: events up to %d, want %d: %v", c.name, want-1, c.last, p.Err())
		}
	}
}

// updateNumber is that of a record of hotpath_v1.
func updateNumber(record []byte) uint64 { return ne.Uint64(record[16:]) }
