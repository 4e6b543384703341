//go:build linux && (amd64 || arm64)

package hotpath

import (
	"encoding/binary"
	"os"
	"testing"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

// recorded is a measurement as a Collector finds it in a ring.
type recorded struct {
	number uint64
	kind   uint8
	slot   uint64
	value  uint64
	time   uint64
	order  []segment.Attribute
	values map[string]any
}

// ringReader is the test's own reading of the rings of a segment.
type ringReader struct {
	t     testing.TB
	file  *os.File
	read  map[int]uint64 // words of each ring
	heard map[int]uint64 // number of the last measurement of each ring
	lost  uint64
}

func newRingReader(t testing.TB, path string) *ringReader {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &ringReader{t: t, file: f, read: map[int]uint64{}, heard: map[int]uint64{}}
}

func (r *ringReader) bytes(offset, n uint64) []byte {
	r.t.Helper()
	b := make([]byte, n)
	if _, err := r.file.ReadAt(b, int64(offset)); err != nil {
		r.t.Fatalf("read %d bytes at %d: %v", n, offset, err)
	}
	return b
}

func (r *ringReader) word(offset uint64) uint64 {
	return binary.NativeEndian.Uint64(r.bytes(offset, 8))
}

// all reads what is new in all rings.
func (r *ringReader) all() (measurements []recorded) {
	r.t.Helper()
	for i := range int(r.word(segment.OffRingsUsed)) {
		measurements = append(measurements, r.ring(i)...)
	}
	return measurements
}

// ring reads what is new in a ring.
func (r *ringReader) ring(i int) (measurements []recorded) {
	r.t.Helper()
	start, words := r.word(segment.OffRingsOffset)+uint64(i)*r.word(segment.OffRingSize), r.word(segment.OffRingWords)
	head := r.word(start + segment.RingHead)
	from := r.read[i]
	if head-from > words {
		from = head - words
	}
	copied := make([]byte, 0, (head-from)*8)
	for at := from; at < head; {
		n := min(head-at, words-at%words)
		copied = append(copied, r.bytes(start+segment.RingFirst+at%words*8, n*8)...)
		at += n
	}
	oldest := from
	if again := r.word(start+segment.RingHead) + segment.MaxMeasurement; again > words {
		oldest = max(oldest, again-words)
	}
	end := head
	for end > oldest {
		trailer := binary.NativeEndian.Uint64(copied[(end-from)*8-8:])
		size := trailer & (1<<segment.TrailerWordsBits - 1)
		if size > end-oldest {
			break // it began earlier
		}
		if size < 3 || size > segment.MaxMeasurement {
			r.t.Fatalf("ring %d: the trailer before word %d is %#x", i, end, trailer)
		}
		m := r.parse(copied[(end-size-from)*8 : (end-from)*8-8])
		m.number = trailer >> segment.TrailerWordsBits
		if n := len(measurements); n > 0 && measurements[n-1].number != m.number+1 {
			r.t.Fatalf("ring %d: measurement %d comes before %d", i, m.number, measurements[n-1].number)
		}
		measurements = append(measurements, m)
		end -= size
	}
	if r.read[i] = head; len(measurements) > 0 {
		r.lost += measurements[len(measurements)-1].number - r.heard[i] - 1
		r.heard[i] = measurements[0].number
	}
	for a, b := 0, len(measurements)-1; a < b; a, b = a+1, b-1 {
		measurements[a], measurements[b] = measurements[b], measurements[a]
	}
	return measurements
}

func (r *ringReader) parse(b []byte) recorded {
	r.t.Helper()
	ne := binary.NativeEndian
	m := recorded{kind: b[segment.MeasurementKind], slot: uint64(ne.Uint32(b)), value: ne.Uint64(b[segment.MeasurementValue:])}
	text := b[segment.MeasurementHeaderSize:]
	if m.kind == segment.KindGauge {
		m.time = ne.Uint64(text)
		text = text[8:]
	}
	if b[segment.MeasurementKind+1] != 0 {
		r.t.Fatal("the byte behind the kind is not 0")
	}
	m.order, m.values, text = attributes(r.t, text, ne.Uint16(b[segment.MeasurementAttributes:]))
	if len(text) != 0 {
		r.t.Fatalf("%d bytes behind the attributes", len(text))
	}
	return m
}

// total is how many measurements were ever recorded in all rings.
func (r *ringReader) total() (n uint64) {
	for _, number := range r.heard {
		n += number
	}
	return n
}
