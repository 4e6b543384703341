package segment_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
)

func TestErrorsNameThePlaceWhatWasReadAndWhatIsWanted(t *testing.T) {
	b := segmenttest.Segment{Records: []segmenttest.Record{segmenttest.Resource()}}.Bytes()
	segmenttest.Put(b, layout.OffStripeCount, 5000)
	_, err := segment.ParseHeader(b, int64(len(b)))
	require.ErrorIs(t, err, segment.ErrStripes)
	assert.EqualError(t, err, "segment: stripes: stripe_count 5000 at 120: want 1 to 4096")
}

func TestInspectedHeaderTellsAllFaultsAndIsSafeToUse(t *testing.T) {
	good := segmenttest.Segment{Records: []segmenttest.Record{segmenttest.Resource()}}.Bytes()
	b := append([]byte(nil), good...)
	segmenttest.Put(b, layout.OffStartTime, 0)
	segmenttest.Put(b, layout.OffCatalogueSize, 1<<62)
	segmenttest.Put(b, layout.OffSharedOffset, 1<<63)
	segmenttest.Put(b, layout.OffStripeCount, 4096)
	segmenttest.Put(b, layout.OffStripesUsed, 4096)
	h, faults := segment.InspectHeader(b, int64(len(b)))
	var fields []string
	for _, f := range faults {
		fields = append(fields, f.Field)
	}
	assert.Equal(t, []string{"start_time", "catalogue_offset", "shared_offset", "stripes_offset", "catalogue_used"}, fields)
	assert.Zero(t, h.CatalogueSize+h.CatalogueUsed+h.SharedSize+h.StripesUsed)
	assert.EqualValues(t, segmenttest.StripeSize, h.StripeSize)

	_, faults = segment.InspectHeader(good, int64(len(good)))
	assert.Empty(t, faults)
}

func TestInspectionGoesOnAfterWhatParseFailsFor(t *testing.T) {
	b := encode(
		segmenttest.Resource(segmenttest.Str("k", "v"), segmenttest.Str("k", "again")),
		segmenttest.Counter(9, "a"), segmenttest.Counter(5, "before"), segmenttest.Counter(1<<40, "outside"),
		segmenttest.Record{Kind: 99}, segmenttest.Counter(10, "1a"), segmenttest.Counter(11, "b", segmenttest.Bool("flag", true)),
	)
	header := testHeader
	header.CatalogueOffset = 65536
	require.ErrorIs(t, segment.NewCatalogue(&header).Parse(b, int64(len(b)), manySeries), segment.ErrOverlap)

	c := segment.NewCatalogue(&header)
	type told struct {
		name    string
		claimed bool
		faults  []segment.Reason
		fatal   bool
	}
	var all []told
	c.Inspect = func(r *segment.Record) {
		one := told{name: string(r.Name), claimed: r.Claimed, fatal: r.Fatal}
		for _, f := range r.Faults {
			one.faults = append(one.faults, f.Reason)
			assert.GreaterOrEqual(t, f.Offset, r.Offset)
		}
		all = append(all, one)
	}
	require.NoError(t, c.Parse(b, int64(len(b)), manySeries))
	assert.Equal(t, []told{
		{"", false, []segment.Reason{segment.ErrAttributes}, false},
		{"a", true, nil, false},
		{"before", false, []segment.Reason{segment.ErrOverlap}, true},
		{"outside", false, []segment.Reason{segment.ErrBounds}, true},
		{"", false, nil, false},
		{"1a", true, []segment.Reason{segment.ErrName}, false},
		{"b", true, nil, false},
	}, all)
	assert.Len(t, c.Series, 2)
}
