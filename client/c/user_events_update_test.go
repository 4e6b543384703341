package c

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/client/go/userevent"
)

func TestUserEventsCarryWhatEverySeriesHasComeTo(t *testing.T) {
	l := listen(t)
	before := time.Now()
	c := eventsClient(t, "values")
	if got := l.read(); len(got) != 0 || !strings.HasSuffix(c.status, "which none does now") {
		t.Fatalf("%d events while nobody listens, status %q", len(got), c.status)
	}
	l.enable(true)
	c.step()
	if !strings.HasSuffix(c.status, "while a collector listens, which one does now") {
		t.Errorf("status is %q", c.status)
	}
	s := l.only()
	counter := s["values.counter"]
	if counter.Value != 4 || counter.Number != 1 || counter.events != 1 {
		t.Errorf("the counter's %d events end with %d, number %d", counter.events, counter.Value, counter.Number)
	}
	want := segment.AppendRecord(nil, &segment.Record{
		Kind: segment.KindCounter, Name: "values.counter", Unit: "{call}", Description: "calls",
		Attributes: []segment.Attribute{
			{Key: "s", Type: segment.AttributeString, Str: "text"}, {Key: "i", Type: segment.AttributeInt64, Bits: minus(5)},
		},
	})
	if !bytes.Equal(counter.record, want) {
		t.Errorf("the counter's record is %q, want %q", counter.record, want)
	}
	if int(counter.PID) != c.cmd.Process.Pid || counter.Start < uint64(before.UnixNano()) || counter.Start > uint64(time.Now().UnixNano()) ||
		counter.Instance == [16]byte{} {
		t.Errorf("the process is %+v", counter.Update)
	}
	if u := s["values.updowncounter"]; int64(u.Value) != -7 || u.Number != 2 || u.events != 2 {
		t.Errorf("the updowncounter's %d events end with %d", u.events, int64(u.Value))
	}
	if g := s["values.gauge"]; g.float() != -3.25 || g.events != 1 {
		t.Errorf("the gauge's %d events end with %v", g.events, g.float())
	}
	h := s["values.histogram"]
	if h.events != 5 || h.Number != 4 || h.count() != 4 || h.Zero != 1 || h.float() != 2.5 ||
		h.histogram[0] != 1 || h.histogram[239] != 1 || h.histogram[244] != 1 {
		t.Errorf("the histogram's %d events end with %d values, sum %v, number %d: %v", h.events, h.count(), h.float(), h.Number, h.histogram)
	}
	if z := s["values.zeros"]; z.count() != 1 || z.Zero != 1 || z.events != 1 || z.buckets != nil || z.First != 0 {
		t.Errorf("the histogram of zeros is %+v", z)
	}
	wide(t, l, s["values.wide"])
	goesAndComes(t, l, c)
}

func minus(n uint64) uint64 { return -n }

// 512 buckets take four events of one number.
func wide(t *testing.T, l *listener, s *last) {
	t.Helper()
	if s.events != 4 || s.Number != 1 || s.count() != 65 || s.float() != 1e300 {
		t.Errorf("the wide histogram's %d events have %d values, sum %v", s.events, s.count(), s.float())
	}
	for _, u := range l.seen {
		if more := u.Flags&userevent.FlagMore != 0; u.name == s.name && more != (int(u.First)+len(u.buckets) < segment.HistogramBuckets) {
			t.Errorf("buckets from %d: %d, more: %v", u.First, len(u.buckets), more)
		}
	}
}

func goesAndComes(t *testing.T, l *listener, c *client) {
	t.Helper()
	l.enable(false)
	c.step()
	if got := l.read(); len(got) != 0 {
		t.Errorf("%d events while nobody listens any more", len(got))
	}
	l.enable(true)
	c.step()
	s := l.only()
	if got := s["values.counter"]; got.Value != 15 || got.Number != 2 {
		t.Errorf("the counter has come to %d, number %d", got.Value, got.Number)
	}
	if got := s["values.gauge"]; got.float() != 2 {
		t.Errorf("the gauge has come to %v", got.float())
	}
	if got := s["values.histogram"]; got.count() != 6 || got.float() != 4.5 {
		t.Errorf("the histogram has %d values, sum %v", got.count(), got.float())
	}
	c.finish()
}

func TestUserEventsOfSeriesThatAreTooLong(t *testing.T) {
	l := listen(t)
	l.enable(true)
	c := eventsClient(t, "sizes")
	if !strings.Contains(c.status, "sending 10 series") || !strings.Contains(c.status, "; 3 of them are too long for an event and stay in private memory") {
		t.Errorf("status is %q", c.status)
	}
	s := l.only()
	for name, described := range map[string]bool{
		"sizes.c0": true, "sizes.c1": true, "sizes.c2": true, "sizes.c3": false, "sizes.h0": true, "sizes.h1": true, "sizes.h2": false,
	} {
		if s[name] == nil || s[name].events != 1 {
			t.Errorf("nothing of %s: %v", name, s[name])
			continue
		}
		if got := binary.NativeEndian.Uint32(s[name].record[segment.RecordDescriptionLen:]) != 0; got != described {
			t.Errorf("%s has its description: %v", name, got)
		}
	}
	if len(s) != 7 {
		t.Errorf("%d series were sent", len(s))
	}
}

// The last event of each series carries what all threads counted.
func TestUserEventsOfManyThreadsEndExact(t *testing.T) {
	const threads, each = 4, 4800
	l := listen(t)
	l.enable(true)
	c := eventsClient(t, "threads", strconv.Itoa(threads), strconv.Itoa(each))
	c.step()
	s := l.only()
	counter, h := s["threads.counter"], s["threads.histogram"]
	if counter.Value != threads*each || counter.Number != threads*each {
		t.Errorf("counted %d, number %d, of %d", counter.Value, counter.Number, threads*each)
	}
	var sum float64
	for i := range each / 16 {
		sum += float64(threads * (1 + i*16%7))
	}
	if h.count() != threads*each/16 || h.float() != sum {
		t.Errorf("histogram has %d values of %d, sum %v of %v", h.count(), threads*each/16, h.float(), sum)
	}
	numbers := map[uint64]uint64{}
	for _, u := range l.seen {
		if u.name == "threads.counter" {
			if numbers[u.Number] != 0 {
				t.Fatalf("number %d came twice", u.Number)
			}
			numbers[u.Number] = u.Value
		}
	}
	for n := uint64(1); n <= counter.Number; n++ {
		if numbers[n] != 0 && numbers[n] < n {
			t.Fatalf("update %d says %d, which is less than was added before it", n, numbers[n])
		}
	}
}

func TestUserEventsOfKilledWritersLoseNothing(t *testing.T) {
	l := listen(t)
	l.enable(true)
	notes := filepath.Join(t.TempDir(), "notes")
	for round := range 10 {
		l.seen = nil
		c := eventsClient(t, "killed", notes)
		time.Sleep(time.Duration(20+7*round) * time.Millisecond)
		c.kill()
		done, err := os.ReadFile(notes)
		if err != nil {
			t.Fatal(err)
		}
		s := l.only()
		for i := range 2 {
			completed := binary.NativeEndian.Uint64(done[8*i:])
			if got := value(s, "killed."+strconv.Itoa(i)); got != completed && got != completed+1 {
				t.Fatalf("round %d: delivered %d of %d", round, got, completed)
			}
		}
	}
}

// What an add costs while nobody listens, and while somebody does. In an emulated machine ratios only count.
func TestUserEventsCost(t *testing.T) {
	l := listen(t)
	c := eventsClient(t, "cost", "5000")
	idle := c.before
	l.enable(true)
	c.step()
	t.Logf("ns while nobody listens: %v; while somebody does: %v", idle, c.before)
	for i, what := range []string{"add ", "set ", "record "} {
		off, err := strconv.ParseFloat(strings.TrimPrefix(idle[i], what), 64)
		on, err2 := strconv.ParseFloat(strings.TrimPrefix(c.before[i], what), 64)
		if err != nil || err2 != nil || off*10 > on {
			t.Errorf("%scosts %v ns while nobody listens, %v while somebody does", what, off, on)
		}
	}
}
