package segment_test

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
)

const manySeries = 1 << 20

var testHeader = segment.Header{SharedSize: 4096, StripeSize: 32 << 10}

func encode(records ...segmenttest.Record) (b []byte) {
	for _, r := range records {
		b = r.Append(b)
	}
	return b
}

func parse(t *testing.T, records ...segmenttest.Record) *segment.Catalogue {
	t.Helper()
	b := encode(append([]segmenttest.Record{segmenttest.Resource()}, records...)...)
	c := segment.NewCatalogue(&testHeader)
	require.NoError(t, c.Parse(b, int64(len(b)), manySeries))
	assert.EqualValues(t, len(b), c.Parsed)
	return c
}

func TestCatalogueGivesEveryKindItsPlace(t *testing.T) {
	attributes := []emit.Attribute{
		segmenttest.Bool("bool", true), segmenttest.Double("double", 1.5),
		segmenttest.Int("int", -3), segmenttest.Str("string", "täxt"), segmenttest.Str("void", ""),
	}
	b := encode(
		segmenttest.Resource(segmenttest.Str("service.name", "shop")),
		segmenttest.Record{
			Kind: layout.KindCounter, Slot: 1, Name: "requests", Unit: "{request}",
			Description: "Requests – all", Attributes: attributes,
		},
		segmenttest.UpDownCounter(2, "open"),
		segmenttest.Gauge(1, "temperature"),
		segmenttest.Histogram(8, "latency"),
		segmenttest.Counter(528, "requests2"),
	)
	c := segment.NewCatalogue(&testHeader)
	require.NoError(t, c.Parse(b, int64(len(b)), manySeries))

	assert.Equal(t, []emit.Attribute{segmenttest.Str("service.name", "shop")}, c.Resource)
	require.Len(t, c.Series, 5)
	assert.Equal(t, &emit.Instrument{
		Name: "requests", Unit: "{request}", Description: "Requests – all", Kind: emit.KindCounter,
	}, c.Series[0].Instrument)
	assert.Equal(t, attributes, c.Series[0].Attributes)
	var slots []int
	for _, s := range c.Series {
		slots = append(slots, s.Slot)
	}
	assert.Equal(t, []int{1, 2, 1, 8, 528}, slots)
	assert.Equal(t, []int{8}, c.Histograms)
	assert.Equal(t, 529, c.StripeWords)
	assert.Equal(t, 2, c.SharedWords)
	assert.Empty(t, c.Skipped)
}

func TestCatalogueIsParsedInPiecesOfAnySizeWithTheSameResult(t *testing.T) {
	b := encode(segmenttest.Resource(segmenttest.Str("k", "v")), segmenttest.Counter(1, "a"),
		segmenttest.Counter(2, "a", segmenttest.Int("i", 1)), segmenttest.Gauge(1, "g"), segmenttest.Histogram(8, "h"))
	whole := segment.NewCatalogue(&testHeader)
	require.NoError(t, whole.Parse(b, int64(len(b)), manySeries))

	for used := 0; used <= len(b); used += 8 {
		c := segment.NewCatalogue(&testHeader)
		require.NoError(t, c.Parse(b[:used], int64(len(b)), manySeries))
		require.LessOrEqual(t, c.Parsed, int64(used))
		require.NoError(t, c.Parse(b[c.Parsed:], int64(len(b)), manySeries))
		assert.Equal(t, whole, c)
	}
}

func TestEqualSeriesHaveEqualIdentitiesWhateverTheirPaddingHolds(t *testing.T) {
	record := segmenttest.Counter(1, "a", segmenttest.Str("key", "v")).Append(nil)
	dirty := append([]byte(nil), record...)
	dirty[len(dirty)-1] = 0xff
	require.NotEqual(t, record, dirty)
	resource := encode(segmenttest.Resource())

	var ids []string
	for _, r := range [][]byte{record, dirty} {
		c := segment.NewCatalogue(&testHeader)
		b := append(append([]byte(nil), resource...), r...)
		require.NoError(t, c.Parse(b, int64(len(b)), manySeries))
		ids = append(ids, c.Series[0].ID)
	}
	assert.Equal(t, ids[0], ids[1])
}

func TestDifferentSeriesHaveDifferentIdentities(t *testing.T) {
	c := parse(t,
		segmenttest.Counter(1, "a"),
		segmenttest.Counter(2, "a", segmenttest.Str("k", "v")),
		segmenttest.Counter(3, "a", segmenttest.Str("kv", "")),
		segmenttest.Counter(4, "a", segmenttest.Int("k", 0)),
		segmenttest.Counter(5, "a", segmenttest.Double("k", 0)),
		segmenttest.Counter(6, "a", segmenttest.Bool("k", false)),
		segmenttest.Counter(7, "a", segmenttest.Str("k", "\x00\x00\x00\x00\x00\x00\x00\x00")),
		segmenttest.Counter(8, "a1"),
	)
	ids := map[string]bool{}
	for _, s := range c.Series {
		ids[s.ID] = true
	}
	assert.Len(t, ids, 8)
}

func TestSeriesOfOneInstrumentShareIt(t *testing.T) {
	c := parse(t, segmenttest.Counter(1, "a"), segmenttest.Counter(2, "a", segmenttest.Int("i", 1)))
	assert.Same(t, c.Series[0].Instrument, c.Series[1].Instrument)
}

func TestOverflowSeriesIsMarkedWhetherOrNotTheClientDidIt(t *testing.T) {
	mark := segmenttest.Bool("otel.metric.overflow", true)
	bare, marked := segmenttest.Counter(1, "a"), segmenttest.Counter(1, "a", mark)
	bare.Flags, marked.Flags = layout.FlagOverflow, layout.FlagOverflow
	for _, r := range []segmenttest.Record{bare, marked} {
		assert.Equal(t, []emit.Attribute{mark}, parse(t, r).Series[0].Attributes)
	}
}

func TestCatalogueSkipsOneSeriesAndGoesOn(t *testing.T) {
	many := make([]emit.Attribute, layout.MaxAttributes+1)
	for i := range many {
		many[i] = segmenttest.Int(string([]byte{'a' + byte(i/26), 'a' + byte(i%26)}), 0)
	}
	gauge := segmenttest.Gauge(1, "good")
	other := segmenttest.Counter(3, "good")
	other.Unit = "s"
	named := func(name string) segmenttest.Record { return segmenttest.Counter(3, name) }
	with := func(a ...emit.Attribute) segmenttest.Record { return segmenttest.Counter(3, "bad", a...) }
	for name, tt := range map[string]struct {
		bad  segmenttest.Record
		want segment.Reason
	}{
		"an empty name":                 {named(""), segment.ErrName},
		"a name that begins with 1":     {named("1a"), segment.ErrName},
		"a name with a space":           {named("a b"), segment.ErrName},
		"a name with a letter beyond":   {named("größe"), segment.ErrName},
		"a name of 256 bytes":           {named(strings.Repeat("a", 256)), segment.ErrName},
		"a name of invalid UTF-8":       {named("a\xff"), segment.ErrName},
		"a unit of 64 bytes":            {segmenttest.Record{Kind: 2, Slot: 3, Name: "bad", Unit: strings.Repeat("a", 64)}, segment.ErrUnit},
		"a unit that is not ASCII":      {segmenttest.Record{Kind: 2, Slot: 3, Name: "bad", Unit: "µs"}, segment.ErrUnit},
		"a description of 1024 bytes":   {segmenttest.Record{Kind: 2, Slot: 3, Name: "bad", Description: strings.Repeat("a", 1024)}, segment.ErrDescription},
		"a description of bad UTF-8":    {segmenttest.Record{Kind: 2, Slot: 3, Name: "bad", Description: "\xc3"}, segment.ErrUTF8},
		"a key of bad UTF-8":            {with(segmenttest.Int("\xff", 1)), segment.ErrUTF8},
		"a value of bad UTF-8":          {with(segmenttest.Str("k", "\xed\xa0\x80")), segment.ErrUTF8},
		"an empty key":                  {with(segmenttest.Int("", 1)), segment.ErrAttributes},
		"a key of 256 bytes":            {with(segmenttest.Int(strings.Repeat("k", 256), 1)), segment.ErrAttributes},
		"a value of 1024 bytes":         {with(segmenttest.Str("k", strings.Repeat("v", 1024))), segment.ErrAttributes},
		"a type that does not exist":    {with(emit.Attribute{Key: "k", Type: 9}), segment.ErrAttributes},
		"type zero":                     {with(emit.Attribute{Key: "k", Type: 0}), segment.ErrAttributes},
		"a bool that is 2":              {with(emit.Attribute{Key: "k", Type: emit.AttributeBool, Bits: 2}), segment.ErrAttributes},
		"65 attributes":                 {with(many...), segment.ErrAttributes},
		"descending keys":               {with(segmenttest.Int("b", 1), segmenttest.Int("a", 1)), segment.ErrUnsorted},
		"a repeated key":                {with(segmenttest.Int("a", 1), segmenttest.Int("a", 1)), segment.ErrUnsorted},
		"the name with another kind":    {gauge, segment.ErrConflict},
		"the name with another unit":    {other, segment.ErrConflict},
		"an identity that was there":    {segmenttest.Counter(3, "good"), segment.ErrDuplicate},
		"an identity with a text later": {segmenttest.Record{Kind: 2, Slot: 3, Name: "good", Unit: "1", Description: "x"}, segment.ErrDuplicate},
	} {
		t.Run(name, func(t *testing.T) {
			c := parse(t, segmenttest.Counter(1, "good"), tt.bad, segmenttest.Counter(4, "better"))
			assert.Equal(t, map[segment.Reason]int64{tt.want: 1}, c.Skipped)
			require.Len(t, c.Series, 2)
			assert.Equal(t, "better", c.Series[1].Instrument.Name)
			assert.Equal(t, 4, c.Series[1].Slot)
		})
	}
}

func TestNumberOfTheWrongLengthSkipsItsSeries(t *testing.T) {
	good := segmenttest.Counter(1, "a", segmenttest.Int("k", 1))
	b := encode(segmenttest.Resource(), good)
	value := len(b) - 16 // the attribute: 8 of header, "k" and 8 of value padded to 16
	binary.NativeEndian.PutUint32(b[value-8+layout.AttributeValueLen:], 4)
	c := segment.NewCatalogue(&testHeader)
	require.NoError(t, c.Parse(b, int64(len(b)), manySeries))
	assert.Equal(t, map[segment.Reason]int64{segment.ErrAttributes: 1}, c.Skipped)
}

func TestSeriesBeyondTheRoomAreCountedAndNotKept(t *testing.T) {
	b := encode(segmenttest.Resource(), segmenttest.Counter(1, "a"), segmenttest.Counter(2, "b"), segmenttest.Counter(3, "c"))
	c := segment.NewCatalogue(&testHeader)
	require.NoError(t, c.Parse(b, int64(len(b)), 2))
	assert.Len(t, c.Series, 2)
	assert.Equal(t, map[segment.Reason]int64{segment.ErrLimit: 1}, c.Skipped)
	assert.Equal(t, 3, c.StripeWords)
}

func TestResourceLosesOnlyItsBadAttributes(t *testing.T) {
	b := encode(segmenttest.Resource(
		segmenttest.Str("service.name", "shop"), segmenttest.Str("bad", "\xff"),
		segmenttest.Str("a", "unsorted"), segmenttest.Str("a", "again"),
	))
	c := segment.NewCatalogue(&testHeader)
	require.NoError(t, c.Parse(b, int64(len(b)), manySeries))
	assert.Equal(t, []emit.Attribute{segmenttest.Str("a", "unsorted"), segmenttest.Str("service.name", "shop")}, c.Resource)
	assert.Equal(t, 2, c.ResourceFaults)
}

func TestUnknownRecordKindsArePassedOver(t *testing.T) {
	unknown := segmenttest.Record{Kind: 77, Slot: math.MaxUint64, Name: "?"}
	c := parse(t, segmenttest.Counter(1, "a"), unknown, segmenttest.Counter(2, "b"))
	assert.Len(t, c.Series, 2)
	assert.Empty(t, c.Skipped)
}

func TestCatalogueRefuses(t *testing.T) {
	field16 := func(offset int, value uint16) func([]byte) {
		return func(record []byte) { binary.NativeEndian.PutUint16(record[offset:], value) }
	}
	field32 := func(offset int, value uint32) func([]byte) {
		return func(record []byte) { binary.NativeEndian.PutUint32(record[offset:], value) }
	}
	counter := segmenttest.Counter(1, "a", segmenttest.Int("k", 1))
	attribute := len(segmenttest.Counter(1, "a").Append(nil))
	for name, tt := range map[string]struct {
		record segmenttest.Record
		damage func([]byte)
		want   segment.Reason
	}{
		"a record of no bytes":                 {counter, field32(layout.RecordSize, 0), segment.ErrCatalogue},
		"a record smaller than its header":     {counter, field32(layout.RecordSize, 16), segment.ErrCatalogue},
		"a record of an odd size":              {counter, field32(layout.RecordSize, 33), segment.ErrCatalogue},
		"a record past the end":                {counter, field32(layout.RecordSize, 4096), segment.ErrCatalogue},
		"a record of 2^32-8 bytes":             {counter, field32(layout.RecordSize, 0xffff_fff8), segment.ErrCatalogue},
		"a name longer than its record":        {counter, field16(layout.RecordNameLen, 0xffff), segment.ErrCatalogue},
		"a unit longer than its record":        {counter, field16(layout.RecordUnitLen, 0xffff), segment.ErrCatalogue},
		"a description longer than its record": {counter, field32(layout.RecordDescriptionLen, 0xffff_ffff), segment.ErrCatalogue},
		"more attributes than fit":             {counter, field16(layout.RecordAttributes, 0xffff), segment.ErrCatalogue},
		"a key longer than its record":         {counter, field16(attribute+layout.AttributeKeyLen, 0xffff), segment.ErrCatalogue},
		"a value longer than its record":       {counter, field32(attribute+layout.AttributeValueLen, 0xffff_ffff), segment.ErrCatalogue},
		"slot 0":                               {segmenttest.Counter(0, "a"), nil, segment.ErrOverlap},
		"a slot past the stripe":               {segmenttest.Counter(4096, "a"), nil, segment.ErrBounds},
		"a slot of 2^64-1":                     {segmenttest.Counter(math.MaxUint64, "a"), nil, segment.ErrBounds},
		"a gauge past the shared area":         {segmenttest.Gauge(512, "a"), nil, segment.ErrBounds},
		"a histogram past the stripe":          {segmenttest.Histogram(3584, "a"), nil, segment.ErrBounds},
		"a histogram off its alignment":        {segmenttest.Histogram(9, "a"), nil, segment.ErrCatalogue},
		"a second resource":                    {segmenttest.Resource(), nil, segment.ErrCatalogue},
	} {
		t.Run(name, func(t *testing.T) {
			b := encode(segmenttest.Resource())
			resource := len(b)
			b = tt.record.Append(b)
			if tt.damage != nil {
				tt.damage(b[resource:])
			}
			c := segment.NewCatalogue(&testHeader)
			require.ErrorIs(t, c.Parse(b, int64(len(b)), manySeries), tt.want)
		})
	}
}

func TestCatalogueRefusesSlotsThatDoNotAscend(t *testing.T) {
	for name, second := range map[string]segmenttest.Record{
		"equal":                 segmenttest.Counter(600, "b"),
		"lower":                 segmenttest.Counter(5, "b"),
		"inside of a histogram": segmenttest.Counter(100, "b"),
	} {
		t.Run(name, func(t *testing.T) {
			b := encode(segmenttest.Resource(), segmenttest.Histogram(8, "h"), segmenttest.Counter(600, "a"), second)
			c := segment.NewCatalogue(&testHeader)
			require.ErrorIs(t, c.Parse(b, int64(len(b)), manySeries), segment.ErrOverlap)
		})
	}
}

func TestCatalogueRefusesAFirstRecordThatIsNoResource(t *testing.T) {
	b := encode(segmenttest.Counter(1, "a"))
	c := segment.NewCatalogue(&testHeader)
	require.ErrorIs(t, c.Parse(b, int64(len(b)), manySeries), segment.ErrCatalogue)
}

func TestCatalogueRefusesAnEndInsideOfARecordHeader(t *testing.T) {
	b := append(encode(segmenttest.Resource()), make([]byte, 16)...)
	c := segment.NewCatalogue(&testHeader)
	require.ErrorIs(t, c.Parse(b, int64(len(b)), manySeries), segment.ErrCatalogue)
}

func TestSeriesIsChargedByTheLengthOfItsRecord(t *testing.T) {
	long := func(slot uint64, kib int) segmenttest.Record {
		r := segmenttest.Counter(slot, "a", segmenttest.Int("slot", int64(slot)))
		for i := range kib {
			r.Attributes = append(r.Attributes, segmenttest.Str(string([]byte{'t', byte('a' + i)}), strings.Repeat("v", 1008)))
		}
		return r
	}
	resource := segmenttest.Resource(segmenttest.Str("k", strings.Repeat("v", 1008)))
	b := encode(resource, long(1, 0), long(2, 1), long(3, 9), long(4, 2), long(5, 0))
	for room, want := range map[int]struct{ series, charged int }{
		100: {5, 1 + 1 + 2 + 10 + 3 + 1},
		17:  {4, 1 + 1 + 2 + 10 + 3}, // and none is left for the last
		8:   {4, 1 + 1 + 2 + 3 + 1},  // the longest is left out
		1:   {0, 1},
		0:   {0, 1}, // a resource is needed in any case
	} {
		c := segment.NewCatalogue(&testHeader)
		require.NoError(t, c.Parse(b, int64(len(b)), room))
		assert.Len(t, c.Series, want.series, "room %d", room)
		assert.Equal(t, want.charged, c.Charged, "room %d", room)
		assert.EqualValues(t, 5-want.series, c.Skipped[segment.ErrLimit], "room %d", room)
	}
}
