package emit_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
)

func TestASeriesHasTheIDThatSegmentsGiveIt(t *testing.T) {
	attributes := []emit.Attribute{
		segmenttest.Bool("bool", true), segmenttest.Double("double", 0.5), segmenttest.Int("int", -1), segmenttest.Str("string", "text"),
	}
	b := segmenttest.Segment{Records: []segmenttest.Record{segmenttest.Resource(), segmenttest.Counter(1, "n", attributes...)}}.Bytes()
	header, err := segment.ParseHeader(b[:512], int64(len(b)))
	require.NoError(t, err)
	catalogue := segment.NewCatalogue(&header)
	require.NoError(t, catalogue.Parse(b[segmenttest.CatalogueOffset:][:header.CatalogueUsed], int64(len(b)), 10))
	require.Len(t, catalogue.Series, 1)

	counter := emit.Instrument{Name: "n", Unit: "1", Kind: emit.KindCounter}
	require.Equal(t, catalogue.Series[0].ID, counter.ID(attributes))

	fractions := counter
	fractions.Double = true
	require.NotEqual(t, counter.ID(attributes), fractions.ID(attributes), "fractions are another series")
	require.NotEqual(t, counter.ID(attributes), counter.ID(attributes[1:]))
}
