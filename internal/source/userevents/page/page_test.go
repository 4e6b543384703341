package page_test

import (
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/hotpath-metrics/hotpath/internal/source/userevents/page"
)

var ne = binary.NativeEndian

// subBuffer makes a sub-buffer of any parts, word by word as the kernel does.
type subBuffer struct {
	time   uint64
	flags  uint64
	events []byte
	behind []byte // what follows the committed events
}

func (s *subBuffer) words(words ...uint32) *subBuffer {
	for _, w := range words {
		s.events = ne.AppendUint32(s.events, w)
	}
	return s
}

func head(typ, delta uint32) uint32 { return delta<<5 | typ }

// record appends the data of an event: its id, thread and words of 4 bytes each.
func (s *subBuffer) record(id uint16, tid int32, words ...uint32) *subBuffer {
	s.events = ne.AppendUint16(s.events, id)
	s.events = append(s.events, 0, 0)
	return s.words(uint32(tid)).words(words...)
}

func (s *subBuffer) bytes() []byte {
	b := ne.AppendUint64(nil, s.time)
	b = ne.AppendUint64(b, uint64(len(s.events))|s.flags)
	b = append(b, s.events...)
	b = append(b, s.behind...)
	return append(b, make([]byte, max(0, 4096-len(b)))...)
}

type event struct {
	time uint64
	id   uint16
	tid  int32
	size int
}

func walk(p *page.Page, b []byte) (events []event) {
	p.Reset(b)
	for p.Next() {
		events = append(events, event{p.Time, p.ID, p.TID, len(p.Record)})
	}
	return events
}

func expect(t *testing.T, b []byte, want ...event) *page.Page {
	t.Helper()
	var p page.Page
	got := walk(&p, b)
	if err := p.Err(); err != nil {
		t.Error(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%d events %v, want %v", len(got), got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("event %d is %v, want %v", i, got[i], want[i])
		}
	}
	return &p
}

func TestEventsOfAllSizesAreRead(t *testing.T) {
	s := subBuffer{time: 1000}
	s.words(head(2, 0)).record(7, 70)
	s.words(head(28, 5)).record(8, -1, make([]uint32, 26)...)
	s.words(head(0, 6), 4+120).record(9, 90, make([]uint32, 28)...)
	s.words(head(0, 1), 4+10).record(10, 100, 0) // a length that is not whole words
	s.words(head(3, 1)).record(11, 110, 0xabcd)
	p := expect(t, s.bytes(), event{1000, 7, 70, 8}, event{1005, 8, -1, 112}, event{1011, 9, 90, 120},
		event{1012, 10, 100, 12}, event{1013, 11, 110, 12})
	if p.Lost || p.LostEvents != 0 {
		t.Errorf("lost %v, %d", p.Lost, p.LostEvents)
	}
}

func TestRecordsAreTheirEventsAlone(t *testing.T) {
	s := subBuffer{}
	s.words(head(3, 0)).record(7, 70, 0x11111111).words(head(3, 0)).record(8, 80, 0x22222222)
	var p page.Page
	p.Reset(s.bytes())
	for want := uint32(0x11111111); p.Next(); want += 0x11111111 {
		if got := ne.Uint32(p.Record[8:]); got != want || cap(p.Record) != 12 {
			t.Errorf("record %x of capacity %d, want it to end with %x", p.Record, cap(p.Record), want)
		}
	}
}

func TestTimeIsExtendedAndSet(t *testing.T) {
	const upper = uint64(3) << 59
	s := subBuffer{time: upper | 1000}
	s.words(head(2, 1)).record(1, 1)
	s.words(head(30, 5), 2).words(head(2, 1)).record(2, 2) // 2<<27 + 5, then 1
	s.words(head(31, 7), 4).words(head(2, 0)).record(3, 3) // 4<<27 + 7, and the upper bits
	s.words(head(31, 0), 0).words(head(2, 0)).record(4, 4) // earlier: the upper bits went up
	expect(t, s.bytes(), event{upper | 1001, 1, 1, 8}, event{upper | (1007 + 2<<27), 2, 2, 8},
		event{upper | (4<<27 + 7), 3, 3, 8}, event{4 << 59, 4, 4, 8})

	s = subBuffer{time: 1 << 40}
	s.words(head(31, 7), 4).words(head(2, 0)).record(3, 3) // a clock without upper bits may be set back
	expect(t, s.bytes(), event{4<<27 + 7, 3, 3, 8})
}

func TestPaddingIsSkipped(t *testing.T) {
	s := subBuffer{time: 100}
	s.words(head(29, 1), 8, 0)               // an event without a time of its own that was given up
	s.words(head(29, 5), 4+4, 0xffffffff)    // one that advanced the time
	s.words(head(2, 1)).record(1, 1)         // follows it
	s.words(head(29, 0), 0xffffffff, 0xffff) // the rest
	s.words(head(2, 1)).record(9, 9)         // is not there
	expect(t, s.bytes(), event{106, 1, 1, 8})

	empty := subBuffer{}
	expect(t, empty.bytes())
}

func TestLostEventsAreTold(t *testing.T) {
	s := subBuffer{flags: 1<<31 | 1<<30, behind: ne.AppendUint64(nil, 12345)}
	s.words(head(2, 0)).record(1, 1)
	if p := expect(t, s.bytes(), event{0, 1, 1, 8}); !p.Lost || p.LostEvents != 12345 {
		t.Errorf("lost %v, %d", p.Lost, p.LostEvents)
	}
	s.flags = 1 << 31
	if p := expect(t, s.bytes(), event{0, 1, 1, 8}); !p.Lost || p.LostEvents != 0 {
		t.Errorf("lost %v, %d", p.Lost, p.LostEvents)
	}
	s.flags = 1 << 30
	if p := expect(t, s.bytes(), event{0, 1, 1, 8}); p.Lost || p.LostEvents != 0 {
		t.Errorf("lost %v, %d", p.Lost, p.LostEvents)
	}
}

func TestTruncatedSubBuffersAreReadAsFarAsTheyGo(t *testing.T) {
	s := subBuffer{}
	s.words(head(2, 0)).record(1, 1).words(head(2, 0)).record(2, 2)
	whole := s.bytes()
	for n := range 16 + len(s.events) {
		var p page.Page
		got := walk(&p, whole[:n])
		if want := max(0, n-16) / 12; len(got) != want || !errors.Is(p.Err(), page.ErrTruncated) {
			t.Errorf("%d bytes: %v, %v", n, got, p.Err())
		}
	}
	var p page.Page
	if got := walk(&p, whole[:16+len(s.events)]); len(got) != 2 || p.Err() != nil {
		t.Errorf("all bytes: %v, %v", got, p.Err())
	}
	s.flags = 1<<31 | 1<<30
	if got := walk(&p, s.bytes()[:16+len(s.events)+7]); len(got) != 2 || !p.Lost || !errors.Is(p.Err(), page.ErrTruncated) {
		t.Errorf("without the number of lost events: %v, %v", got, p.Err())
	}
}

func TestImpossibleEventsEndThePage(t *testing.T) {
	for _, c := range []struct {
		what  string
		words []uint32
	}{
		{"longer than the page", []uint32{head(28, 0), 9, 9}},
		{"too short for a record", []uint32{head(1, 0), 9}},
		{"a long one too short for a record", []uint32{head(0, 0), 8, 9}},
		{"a length of 0", []uint32{head(0, 0), 0, 9, 9}},
		{"a length past the end", []uint32{head(0, 0), 20, 9, 9, 9}},
		{"a length of 32 bits", []uint32{head(0, 0), 0xffffffff, 9, 9, 9}},
		{"no length", []uint32{head(0, 0)}},
		{"padding past the end", []uint32{head(29, 1), 100}},
		{"padding of 32 bits", []uint32{head(29, 1), 0xfffffffd}},
		{"half a time", []uint32{head(30, 1)}},
		{"half an absolute time", []uint32{head(31, 1)}},
	} {
		s := subBuffer{}
		s.words(head(2, 0)).record(1, 1).words(c.words...)
		var p page.Page
		if got := walk(&p, s.bytes()); len(got) != 1 || !errors.Is(p.Err(), page.ErrMalformed) || p.Next() {
			t.Errorf("%s: %v, %v", c.what, got, p.Err())
		}
	}
}

func TestSizeIsThatOfTheKernelsHeader(t *testing.T) {
	const text = "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n" +
		"\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n\tfield: char data;\toffset:16;\tsize:65520;\tsigned:0;\n"
	if size, err := page.SubBufferSize([]byte(text)); size != 65536 || err != nil {
		t.Errorf("%d, %v", size, err)
	}
	for _, c := range []struct{ old, new string }{
		{"offset:8;\tsize:8;", "offset:8;\tsize:4;"}, // 32 bits
		{"offset:16", "offset:12"},
		{"timestamp", "time"},
		{"signed:0;\n", "\n"},
	} {
		if size, err := page.SubBufferSize([]byte(strings.Replace(text, c.old, c.new, 1))); !errors.Is(err, page.ErrLayout) {
			t.Errorf("%q for %q: %d, %v", c.new, c.old, size, err)
		}
	}
	if b, err := os.ReadFile("/sys/kernel/tracing/events/header_page"); err == nil {
		if size, err := page.SubBufferSize(b); err != nil || size < 4096 {
			t.Errorf("this kernel's: %d, %v", size, err)
		}
	}
}
