//go:build linux && (amd64 || arm64)

package hotpath

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

// published is what a Collector would see in a segment: the test's own reading of the format.
type published struct {
	path     string
	header   []byte
	resource map[string]any
	series   map[string]*value // by name{key=value,...}
	blocks   int64             // bytes of memory
}

type value struct {
	record  segment.Record
	words   []uint64 // summed over the stripes
	sum     float64
	ordinal int
}

func (p *published) field(offset int) uint64 { return binary.NativeEndian.Uint64(p.header[offset:]) }

func (v *value) count() uint64 {
	total := v.words[segment.HistogramZero]
	for _, n := range v.words[segment.HistogramFirstBucket:] {
		total += n
	}
	return total
}

// readOnly reads the one segment in a directory.
func readOnly(t testing.TB, dir string) *published {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*-*"))
	if err != nil || len(paths) != 1 {
		t.Fatalf("%s holds the segments %v, want one", dir, paths)
	}
	return read(t, paths[0])
}

func read(t testing.TB, path string) *published {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	bytes := func(offset, n uint64) []byte {
		b := make([]byte, n)
		if _, err := f.ReadAt(b, int64(offset)); err != nil {
			t.Fatalf("read %d bytes at %d: %v", n, offset, err)
		}
		return b
	}
	p := &published{path: path, header: bytes(0, segment.HeaderSize), series: map[string]*value{}, blocks: blocks(t, path)}
	stripes := p.field(segment.OffStripesUsed)
	catalogue := bytes(p.field(segment.OffCatalogueOffset), p.field(segment.OffCatalogueUsed))
	last := map[bool]uint64{true: 1, false: 1} // by gauge or not: where the next slot may begin
	for ordinal := 0; len(catalogue) > 0; ordinal++ {
		size := binary.NativeEndian.Uint32(catalogue)
		r, attributes := parse(t, catalogue[:size])
		catalogue = catalogue[size:]
		if ordinal == 0 {
			if r.Kind != segment.KindResource {
				t.Fatalf("the first record is of kind %d", r.Kind)
			}
			p.resource = attributes
			continue
		}
		v := &value{record: r, words: make([]uint64, segment.Words(r.Kind)), ordinal: ordinal}
		gauge := r.Kind == segment.KindGauge
		if r.Slot < last[gauge] {
			t.Fatalf("slot %d of %s lies before or in the record's before it", r.Slot, r.Name)
		}
		last[gauge] = r.Slot + uint64(len(v.words))
		if gauge {
			v.words[0] = binary.NativeEndian.Uint64(bytes(p.field(segment.OffSharedOffset)+r.Slot*8, 8))
		}
		for s := uint64(0); s < stripes && !gauge; s++ {
			b := bytes(p.field(segment.OffStripesOffset)+s*p.field(segment.OffStripeSize)+r.Slot*8, uint64(len(v.words)*8))
			for i := range v.words {
				v.words[i] += binary.NativeEndian.Uint64(b[i*8:])
			}
			v.sum += math.Float64frombits(binary.NativeEndian.Uint64(b))
		}
		k := key(r.Name, r.Attributes, attributes)
		if p.series[k] != nil {
			t.Fatalf("there are two series %s", k)
		}
		p.series[k] = v
	}
	return p
}

func key(name string, order []segment.Attribute, values map[string]any) string {
	var parts []string
	for _, a := range order {
		parts = append(parts, fmt.Sprintf("%s=%v", a.Key, values[a.Key]))
	}
	if parts == nil {
		return name
	}
	return name + "{" + strings.Join(parts, ",") + "}"
}

func parse(t testing.TB, b []byte) (segment.Record, map[string]any) {
	t.Helper()
	ne := binary.NativeEndian
	r := segment.Record{Kind: b[segment.RecordKind], Flags: b[segment.RecordFlags], Slot: ne.Uint64(b[segment.RecordSlot:])}
	text := b[segment.RecordHeaderSize:]
	next := func(n int) string {
		s := string(text[:n])
		text = text[n:]
		return s
	}
	r.Name = next(int(ne.Uint16(b[segment.RecordNameLen:])))
	r.Unit = next(int(ne.Uint16(b[segment.RecordUnitLen:])))
	r.Description = next(int(ne.Uint32(b[segment.RecordDescriptionLen:])))
	text = text[len(text)%8:]
	var values map[string]any
	r.Attributes, values, text = attributes(t, text, ne.Uint16(b[segment.RecordAttributes:]))
	if len(text) != 0 {
		t.Fatalf("%d bytes behind the attributes of %s", len(text), r.Name)
	}
	return r, values
}

// attributes parses attributes at the beginning of some bytes that end at a multiple of 8.
func attributes(t testing.TB, text []byte, count uint16) (order []segment.Attribute, values map[string]any, rest []byte) {
	t.Helper()
	ne := binary.NativeEndian
	next := func(n int) string {
		s := string(text[:n])
		text = text[n:]
		return s
	}
	values = map[string]any{}
	for range count {
		a := segment.Attribute{Type: text[segment.AttributeType]}
		keyLen, valueLen := int(ne.Uint16(text)), int(ne.Uint32(text[segment.AttributeValueLen:]))
		text = text[segment.AttributeHeaderSize:]
		a.Key = next(keyLen)
		v := next(valueLen)
		if a.Type != segment.AttributeString {
			a.Bits = ne.Uint64([]byte(v))
		}
		switch a.Type {
		case segment.AttributeString:
			values[a.Key] = v
		case segment.AttributeInt64:
			values[a.Key] = int64(a.Bits)
		case segment.AttributeDouble:
			values[a.Key] = math.Float64frombits(a.Bits)
		case segment.AttributeBool:
			values[a.Key] = a.Bits == 1
		default:
			t.Fatalf("attribute %s has type %d", a.Key, a.Type)
		}
		order = append(order, a)
		if padding := next(len(text) % 8); strings.Trim(padding, "\x00") != "" {
			t.Fatalf("attribute %s is followed by %q", a.Key, padding)
		}
	}
	return order, values, text
}
