package segment_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
)

func TestMeasurementIsParsed(t *testing.T) {
	k := segmenttest.Str("k", "v")
	for name, record := range map[string]segmenttest.Record{
		"counter": segmenttest.Counter(7, "c"), "updowncounter": segmenttest.UpDownCounter(7, "u"),
		"gauge": segmenttest.Gauge(7, "g"), "histogram": segmenttest.Histogram(7, "h"),
	} {
		m := record.Of(5, k)
		if m.Kind == layout.KindGauge {
			m.Time = 9
		}
		parsed, ok := segment.ParseMeasurement(m.Words())
		require.True(t, ok, name)
		assert.Equal(t, []any{uint32(7), record.Kind, uint64(5), m.Time}, []any{parsed.Slot, parsed.Kind, parsed.Value, parsed.Time}, name)
		attributes, ok := parsed.Attributes(nil)
		assert.True(t, ok)
		assert.Equal(t, []emit.Attribute{k}, attributes)
		other, _ := segment.ParseMeasurement(record.Of(6, k).Words())
		assert.Equal(t, parsed.Key, other.Key, "the value and the time tell no series apart")
		other, _ = segment.ParseMeasurement(record.Of(5, segmenttest.Str("k", "w")).Words())
		assert.NotEqual(t, parsed.Key, other.Key)
	}
	_, ok := segment.ParseMeasurement(segmenttest.Measurement{Kind: layout.KindResource}.Words())
	assert.False(t, ok)
	_, ok = segment.ParseMeasurement(segmenttest.Measurement{Kind: 6}.Words())
	assert.False(t, ok)
	_, ok = segment.ParseMeasurement(segmenttest.Measurement{Kind: layout.KindGauge}.Words()[:2])
	assert.False(t, ok, "a gauge without its time")
}

func TestAttributesOfACallOutweighThoseOfTheSeries(t *testing.T) {
	type attributes = []emit.Attribute
	str, number := segmenttest.Str, segmenttest.Int
	many := func(prefix string, n int) (all attributes) {
		for i := range n {
			all = append(all, str(prefix+string(rune('A'+i/8))+string(rune('a'+i%8)), "v"))
		}
		return all
	}
	for name, tt := range map[string]struct{ call, own, want attributes }{
		"none":                  {nil, nil, nil},
		"those of the series":   {nil, attributes{str("a", "1")}, attributes{str("a", "1")}},
		"in any order":          {attributes{str("c", "3"), number("a", 1)}, attributes{str("b", "2")}, attributes{number("a", 1), str("b", "2"), str("c", "3")}},
		"the last of equal":     {attributes{str("a", "1"), number("a", 2), str("a", "3")}, nil, attributes{str("a", "3")}},
		"instead of the series": {attributes{str("a", "call")}, attributes{str("a", "own")}, attributes{str("a", "call")}},
		"every type": {
			attributes{segmenttest.Bool("b", true), segmenttest.Double("d", 0.5), number("i", -1)},
			nil,
			attributes{segmenttest.Bool("b", true), segmenttest.Double("d", 0.5), number("i", -1)},
		},
		"text that is not UTF-8":  {attributes{str("k\xff", "a\xff\xfeb")}, nil, attributes{str("k\ufffd", "a\ufffd\ufffdb")}},
		"equal once it is":        {attributes{str("k\xff", "1"), str("k\xfe", "2")}, nil, attributes{str("k\ufffd", "2")}},
		"text that is too long":   {attributes{str("a", strings.Repeat("é", 600))}, nil, attributes{str("a", strings.Repeat("é", 511))}},
		"a key that gets longer":  {attributes{str(strings.Repeat("\xff", 255), "")}, nil, attributes{str(strings.Repeat("\ufffd", 85), "")}},
		"as many as there may be": {many("x", 60), many("a", 10), append(many("a", 4), many("x", 60)...)},
	} {
		parsed, ok := segment.ParseMeasurement(segmenttest.Counter(1, "c").Of(1, tt.call...).Words())
		require.True(t, ok, name)
		got, ok := parsed.Attributes(tt.own)
		assert.True(t, ok, name)
		assert.Equal(t, tt.want, got, name)
	}
}

func TestMalformedAttributesOfACall(t *testing.T) {
	str := segmenttest.Str("k", "v")
	for name, damage := range map[string]func(*segmenttest.Measurement, []uint64) []uint64{
		"fewer than it says":    func(_ *segmenttest.Measurement, w []uint64) []uint64 { return w[:len(w)-2] },
		"one cut short":         func(_ *segmenttest.Measurement, w []uint64) []uint64 { return w[:len(w)-1] },
		"more than it says":     func(_ *segmenttest.Measurement, w []uint64) []uint64 { return append(w, 0) },
		"an unknown type":       func(_ *segmenttest.Measurement, w []uint64) []uint64 { w[2] ^= 5 << 16; return w },
		"no type":               func(_ *segmenttest.Measurement, w []uint64) []uint64 { w[2] ^= 1 << 16; return w },
		"a number of two bytes": func(_ *segmenttest.Measurement, w []uint64) []uint64 { w[2] ^= 3 << 16; return w },
		"no key":                func(m *segmenttest.Measurement, _ []uint64) []uint64 { m.Attributes[0].Key = ""; return m.Words() },
		"a key that is too long": func(m *segmenttest.Measurement, _ []uint64) []uint64 {
			m.Attributes[0].Key = strings.Repeat("k", 256)
			return m.Words()
		},
		"a value as long as 4 GiB": func(_ *segmenttest.Measurement, w []uint64) []uint64 { w[2] |= 0xffffffff << 32; return w },
		"half a truth": func(m *segmenttest.Measurement, _ []uint64) []uint64 {
			m.Attributes[0] = segmenttest.Bool("b", true)
			m.Attributes[0].Bits = 2
			return m.Words()
		},
		"65 of them": func(m *segmenttest.Measurement, _ []uint64) []uint64 {
			for range 64 {
				m.Attributes = append(m.Attributes, str)
			}
			return m.Words()
		},
	} {
		m := segmenttest.Counter(1, "c").Of(1, str)
		parsed, ok := segment.ParseMeasurement(damage(&m, m.Words()))
		require.True(t, ok, name)
		_, ok = parsed.Attributes(nil)
		assert.False(t, ok, name)
	}
}

func FuzzMeasurement(f *testing.F) {
	for _, m := range []segmenttest.Measurement{
		segmenttest.Counter(1, "c").Of(1, segmenttest.Str("k", "v"), segmenttest.Int("l", 2)),
		segmenttest.Gauge(1, "g").Of(1, segmenttest.Bool("b", true)), segmenttest.Histogram(8, "h").Of(1),
	} {
		var b []byte
		for _, w := range m.Words() {
			for i := range 8 {
				b = append(b, byte(w>>(8*i)))
			}
		}
		f.Add(b)
	}
	own := []emit.Attribute{segmenttest.Str("a", "1"), segmenttest.Str("k", "own")}
	f.Fuzz(func(t *testing.T, b []byte) {
		words := make([]uint64, min(len(b)/8, layout.MaxMeasurement-1))
		for i := range words {
			for j := range 8 {
				words[i] |= uint64(b[i*8+j]) << (8 * j)
			}
		}
		m, ok := segment.ParseMeasurement(words)
		if !ok {
			return
		}
		attributes, ok := m.Attributes(own)
		if !ok {
			return
		}
		if len(attributes) > layout.MaxAttributes {
			t.Fatalf("%d attributes", len(attributes))
		}
		checkAttributes(t, attributes)
		for _, a := range attributes {
			if len(a.Key) == 0 || len(a.Key) > layout.MaxKey {
				t.Fatalf("key %q", a.Key)
			}
		}
	})
}
