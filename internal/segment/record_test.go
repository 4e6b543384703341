package segment_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
)

func TestRecordThatStandsAloneIsTheSameSeriesAsInACatalogue(t *testing.T) {
	for _, r := range []segmenttest.Record{
		{Kind: layout.KindCounter, Flags: layout.FlagOverflow, Slot: 1 << 60, Name: "requests", Unit: "{request}", Description: "Requests – all"},
		segmenttest.UpDownCounter(0, "open", segmenttest.Bool("bool", true), segmenttest.Int("int", -3)),
		segmenttest.Gauge(0, "heat", segmenttest.Double("double", 1.5), segmenttest.Str("string", "täxt")),
		segmenttest.Histogram(3, "latency"),
	} {
		b := r.Append(nil)
		s, err := segment.ParseSeries(b)
		require.NoError(t, err)
		clear(b) // nothing may refer to it
		r.Slot = 8
		assert.Equal(t, parse(t, r).Series[0].Series, s)
	}
}

func TestSeriesRecordThatCannotStandAloneIsRefusedByReason(t *testing.T) {
	sized := func(size uint32, b []byte) []byte {
		binary.NativeEndian.PutUint32(b, size)
		return b
	}
	good := func() []byte { return segmenttest.Counter(0, "a", segmenttest.Str("k", "v")).Append(nil) }
	for name, c := range map[string]struct {
		b      []byte
		reason segment.Reason
	}{
		"empty":                {nil, segment.ErrCatalogue},
		"cut":                  {good()[:16], segment.ErrCatalogue},
		"longer than it says":  {append(good(), make([]byte, 8)...), segment.ErrCatalogue},
		"says it is longer":    {sized(1<<20, good()), segment.ErrCatalogue},
		"not whole words":      {sized(29, append(segmenttest.Counter(0, "a").Append(nil), 0, 0, 0, 0, 0)[:29]), segment.ErrCatalogue},
		"resource":             {segmenttest.Resource().Append(nil), segment.ErrCatalogue},
		"kind of the future":   {segmenttest.Record{Kind: 6, Name: "a"}.Append(nil), segment.ErrCatalogue},
		"no name":              {segmenttest.Counter(0, "").Append(nil), segment.ErrName},
		"unsorted":             {segmenttest.Counter(0, "a", segmenttest.Int("b", 1), segmenttest.Int("a", 1)).Append(nil), segment.ErrUnsorted},
		"attributes not UTF-8": {segmenttest.Counter(0, "a", segmenttest.Str("a", "\xff")).Append(nil), segment.ErrUTF8},
	} {
		_, err := segment.ParseSeries(c.b)
		assert.ErrorIs(t, err, c.reason, name)
	}
}

func TestResourceRecordThatStandsAlone(t *testing.T) {
	b := segmenttest.Resource(segmenttest.Str("service.name", "shop"), segmenttest.Str("a", "1"), segmenttest.Str("bad", "\xff")).Append(nil)
	r, err := segment.ParseResource(b)
	require.NoError(t, err)
	clear(b)
	assert.Equal(t, []emit.Attribute{segmenttest.Str("a", "1"), segmenttest.Str("service.name", "shop")}, r.Attributes)
	assert.Equal(t, 1, r.Faults)
	same, err := segment.ParseResource(segmenttest.Resource(r.Attributes...).Append(nil))
	require.NoError(t, err)
	assert.Equal(t, r.ID, same.ID)

	_, err = segment.ParseResource(segmenttest.Counter(0, "a").Append(nil))
	assert.ErrorIs(t, err, segment.ErrCatalogue)
	_, err = segment.ParseResource(nil)
	assert.ErrorIs(t, err, segment.ErrCatalogue)
}

// FuzzRecord parses any bytes as a record that stands alone, and compares with what a catalogue makes of them.
func FuzzRecord(f *testing.F) {
	f.Add(segmenttest.Counter(8, "a", segmenttest.Str("k", "v"), segmenttest.Int("l", 1)).Append(nil))
	f.Add(segmenttest.Histogram(8, "h").Append(nil))
	f.Add(segmenttest.Resource(segmenttest.Str("service.name", "shop")).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := segment.ParseSeries(b)
		if resource, err := segment.ParseResource(b); err == nil {
			checkAttributes(t, resource.Attributes)
		}
		if err != nil {
			if segment.ReasonOf(err, "") == "" {
				t.Fatalf("no reason in %v", err)
			}
			return
		}
		checkAttributes(t, s.Attributes)
		binary.NativeEndian.PutUint64(b[layout.RecordSlot:], 8)
		whole := append(encode(segmenttest.Resource()), b...)
		c := segment.NewCatalogue(&testHeader)
		if err := c.Parse(whole, int64(len(whole)), manySeries); err != nil || len(c.Series) != 1 || c.Series[0].ID != s.ID {
			t.Fatalf("alone %q, in a catalogue %d series, %v", s.ID, len(c.Series), err)
		}
	})
}
