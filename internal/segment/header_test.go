package segment_test

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
)

func good() []byte {
	return segmenttest.Segment{
		StartTime: 1_700_000_000_000_000_000, PID: 42, ID: 7, StripeCount: 4,
		Instance: [16]byte{1, 2, 3},
		Records:  []segmenttest.Record{segmenttest.Resource(), segmenttest.Counter(1, "a")},
	}.Bytes()
}

func TestParseHeaderTakesEveryFieldOfAGoodHeader(t *testing.T) {
	b := good()
	segmenttest.Put(b, layout.OffRefused, 11)
	segmenttest.Put(b, layout.OffFolded, 12)
	segmenttest.Put(b, layout.OffUnplaced, 13)
	segmenttest.Put(b, layout.OffRejected, 14)
	binary.NativeEndian.PutUint32(b[layout.OffMinor:], 9) // any minor is taken

	h, err := segment.ParseHeader(b[:layout.HeaderSize], int64(len(b)))

	require.NoError(t, err)
	assert.Equal(t, segment.Header{
		Minor: 9, FileSize: int64(len(b)), StartTime: 1_700_000_000_000_000_000, PID: 42,
		Instance: [16]byte{1, 2, 3}, ID: 7,
		CatalogueOffset: segmenttest.CatalogueOffset, CatalogueSize: segmenttest.CatalogueSize,
		SharedOffset: segmenttest.SharedOffset, SharedSize: segmenttest.SharedSize,
		StripesOffset: segmenttest.StripesOffset, StripeSize: segmenttest.StripeSize, StripeCount: 4,
		Progress: segment.Progress{
			CatalogueUsed: 24 + 32, StripesUsed: 1,
			Client: segment.ClientCounters{Refused: 11, Folded: 12, Unplaced: 13, Rejected: 14},
		},
	}, h)
}

func TestParseHeaderRefuses(t *testing.T) {
	put := func(offset int, value uint64) func([]byte) []byte {
		return func(b []byte) []byte { segmenttest.Put(b, offset, value); return b }
	}
	for name, tt := range map[string]struct {
		damage func([]byte) []byte
		want   segment.Reason
	}{
		"an empty file":                        {func([]byte) []byte { return nil }, segment.ErrTruncated},
		"half a magic":                         {func(b []byte) []byte { return b[:4] }, segment.ErrTruncated},
		"half a header":                        {func(b []byte) []byte { return b[:300] }, segment.ErrTruncated},
		"a file shorter than it says":          {func(b []byte) []byte { return b[:8192] }, segment.ErrTruncated},
		"another magic":                        {func(b []byte) []byte { b[0] = 'h'; return b }, segment.ErrMagic},
		"the other byte order":                 {put(0, 0x484f54504154480a+1), segment.ErrMagic},
		"a newer major version":                {func(b []byte) []byte { b[layout.OffMajor]++; return b }, segment.ErrVersion},
		"major version zero":                   {func(b []byte) []byte { b[layout.OffMajor] = 0; return b }, segment.ErrVersion},
		"a header that is too small":           {put(layout.OffHeaderSize, 8), segment.ErrHeader},
		"a header of 2^63 bytes":               {put(layout.OffHeaderSize, 1<<63), segment.ErrHeader},
		"a header that covers the catalogue":   {put(layout.OffHeaderSize, 4104), segment.ErrOverlap},
		"no start time":                        {put(layout.OffStartTime, 0), segment.ErrHeader},
		"a start time before 1970":             {put(layout.OffStartTime, math.MaxUint64), segment.ErrHeader},
		"a file size of 2^64-1":                {put(layout.OffFileSize, math.MaxUint64), segment.ErrTruncated},
		"a catalogue past the end":             {put(layout.OffCatalogueSize, 1<<40), segment.ErrBounds},
		"a catalogue that wraps":               {put(layout.OffCatalogueOffset, math.MaxUint64&^63), segment.ErrBounds},
		"a catalogue inside the header":        {put(layout.OffCatalogueOffset, 64), segment.ErrOverlap},
		"a catalogue off its alignment":        {put(layout.OffCatalogueOffset, 4097), segment.ErrHeader},
		"a shared area over the catalogue":     {put(layout.OffSharedOffset, segmenttest.CatalogueOffset+64), segment.ErrOverlap},
		"a shared area over a stripe":          {put(layout.OffSharedOffset, segmenttest.StripesOffset+segmenttest.StripeSize), segment.ErrOverlap},
		"a shared area past the end":           {put(layout.OffSharedOffset, 1<<62), segment.ErrBounds},
		"stripes past the end":                 {put(layout.OffStripeCount, 5), segment.ErrBounds},
		"a stripe past the end":                {put(layout.OffStripeSize, 1<<30), segment.ErrBounds},
		"stripes whose size wraps":             {put(layout.OffStripeSize, 1<<62), segment.ErrBounds},
		"stripes off their alignment":          {put(layout.OffStripeSize, 8200), segment.ErrHeader},
		"stripes smaller than a page":          {put(layout.OffStripeSize, 64), segment.ErrHeader},
		"stripes that share a page":            {put(layout.OffStripeSize, 4096+64), segment.ErrHeader},
		"stripes of no size":                   {put(layout.OffStripeSize, 0), segment.ErrHeader},
		"no stripes":                           {put(layout.OffStripeCount, 0), segment.ErrStripes},
		"too many stripes":                     {put(layout.OffStripeCount, layout.MaxStripes+1), segment.ErrStripes},
		"2^64-1 stripes":                       {put(layout.OffStripeCount, math.MaxUint64), segment.ErrStripes},
		"more stripes in use than there are":   {put(layout.OffStripesUsed, 5), segment.ErrBounds},
		"more catalogue in use than there is":  {put(layout.OffCatalogueUsed, segmenttest.CatalogueSize+8), segment.ErrBounds},
		"the catalogue of 2^32 series":         {put(layout.OffCatalogueUsed, 32<<32), segment.ErrBounds},
		"a catalogue that ends in a half word": {put(layout.OffCatalogueUsed, 57), segment.ErrHeader},
		"a catalogue without a resource":       {put(layout.OffCatalogueUsed, 0), segment.ErrCatalogue},
	} {
		t.Run(name, func(t *testing.T) {
			b := tt.damage(good())
			_, err := segment.ParseHeader(b[:min(len(b), layout.HeaderSize)], int64(len(b)))
			require.ErrorIs(t, err, tt.want)
			assert.Equal(t, tt.want, segment.ReasonOf(err, "other"))
		})
	}
}

// ringed is good with measurement rings.
func ringed() []byte {
	return segmenttest.Segment{ID: 7, RingCount: 3, RingsUsed: 2, Records: []segmenttest.Record{segmenttest.Resource()}}.Bytes()
}

func TestParseHeaderTakesMeasurementRings(t *testing.T) {
	b := ringed()
	segmenttest.Put(b, layout.OffUnrecorded, 15)
	h, err := segment.ParseHeader(b[:layout.HeaderSize], int64(len(b)))
	require.NoError(t, err)
	offset := int64(segmenttest.StripesOffset + 2*segmenttest.StripeSize)
	assert.Equal(t, []int64{offset, 36864, 4096, 3, 2, offset + 2*36864, 36864},
		[]int64{h.RingsOffset, h.RingSize, h.RingWords, h.RingCount, h.RingsUsed, h.Ring(2), h.RingBytes()})
	assert.EqualValues(t, 15, h.Client.Unrecorded)

	segmenttest.Put(b, layout.OffRingsUsed, 3)
	p, err := h.ParseProgress(b)
	require.NoError(t, err)
	assert.EqualValues(t, 3, p.RingsUsed)
	segmenttest.Put(b, layout.OffRingsUsed, 1)
	_, err = h.ParseProgress(b)
	require.ErrorIs(t, err, segment.ErrShrunk)
	segmenttest.Put(b, layout.OffRingsUsed, 4)
	_, err = h.ParseProgress(b)
	require.ErrorIs(t, err, segment.ErrBounds)
}

func TestSegmentOfMinorZeroHasNoRings(t *testing.T) {
	b := ringed()
	binary.NativeEndian.PutUint32(b[layout.OffMinor:], 0)
	segmenttest.Put(b, layout.OffRingWords, 1)
	segmenttest.Put(b, layout.OffUnrecorded, 1)
	h, err := segment.ParseHeader(b[:layout.HeaderSize], int64(len(b)))
	require.NoError(t, err)
	assert.Zero(t, h.RingCount+h.RingsUsed+h.RingsOffset)
	assert.Zero(t, h.Client)
}

func TestParseHeaderRefusesRings(t *testing.T) {
	for name, tt := range map[string]struct {
		field int
		value uint64
		want  segment.Reason
	}{
		"where there is no area":          {layout.OffRingsOffset, 0, segment.ErrRings},
		"without a count":                 {layout.OffRingCount, 0, segment.ErrRings},
		"too many":                        {layout.OffRingCount, layout.MaxRings + 1, segment.ErrRings},
		"2^64-1 of them":                  {layout.OffRingCount, math.MaxUint64, segment.ErrRings},
		"of no words":                     {layout.OffRingWords, 0, segment.ErrRings},
		"of too few words":                {layout.OffRingWords, 2048, segment.ErrRings},
		"of too many words":               {layout.OffRingWords, 1 << 25, segment.ErrRings},
		"of no power of two":              {layout.OffRingWords, 4097, segment.ErrRings},
		"smaller than their words":        {layout.OffRingWords, 8192, segment.ErrRings},
		"that share a page":               {layout.OffRingSize, 36864 + 64, segment.ErrRings},
		"of 2^64-1 bytes":                 {layout.OffRingSize, math.MaxUint64, segment.ErrRings},
		"whose size wraps":                {layout.OffRingSize, 1 << 63, segment.ErrBounds},
		"past the end":                    {layout.OffRingCount, 4, segment.ErrBounds},
		"far past the end":                {layout.OffRingsOffset, 1 << 62, segment.ErrBounds},
		"off their alignment":             {layout.OffRingsOffset, segmenttest.StripesOffset + 2*segmenttest.StripeSize - 64, segment.ErrHeader},
		"over a stripe":                   {layout.OffRingsOffset, segmenttest.StripesOffset, segment.ErrOverlap},
		"over the header":                 {layout.OffRingsOffset, 0x1000, segment.ErrOverlap},
		"more in use than there are":      {layout.OffRingsUsed, 4, segment.ErrBounds},
		"2^64-1 in use":                   {layout.OffRingsUsed, math.MaxUint64, segment.ErrBounds},
		"of which one is not in the file": {layout.OffRingSize, 36864 + 4096, segment.ErrBounds},
	} {
		t.Run(name, func(t *testing.T) {
			b := ringed()
			segmenttest.Put(b, tt.field, tt.value)
			_, err := segment.ParseHeader(b[:layout.HeaderSize], int64(len(b)))
			require.ErrorIs(t, err, tt.want)
			h, faults := segment.InspectHeader(b, int64(len(b)))
			assert.NotEmpty(t, faults)
			for i := range h.RingsUsed { // is safe to use
				assert.LessOrEqual(t, h.Ring(i)+h.RingBytes(), int64(len(b)))
			}
		})
	}
}

func TestProgressOnlyGrows(t *testing.T) {
	b := good()
	segmenttest.Put(b, layout.OffStripesUsed, 2)
	h, err := segment.ParseHeader(b, int64(len(b)))
	require.NoError(t, err)

	segmenttest.Put(b, layout.OffStripesUsed, 3)
	p, err := h.ParseProgress(b)
	require.NoError(t, err)
	assert.EqualValues(t, 3, p.StripesUsed)

	segmenttest.Put(b, layout.OffStripesUsed, 1)
	_, err = h.ParseProgress(b)
	require.ErrorIs(t, err, segment.ErrShrunk)

	segmenttest.Put(b, layout.OffStripesUsed, 2)
	segmenttest.Put(b, layout.OffCatalogueUsed, 24)
	_, err = h.ParseProgress(b)
	require.ErrorIs(t, err, segment.ErrShrunk)

	_, err = h.ParseProgress(b[:100])
	require.ErrorIs(t, err, segment.ErrTruncated)
}

func FuzzHeader(f *testing.F) {
	f.Add(good()[:layout.HeaderSize], int64(len(good())))
	f.Add(good()[:100], int64(100))
	f.Add(ringed()[:layout.HeaderSize], int64(len(ringed())))
	f.Fuzz(func(t *testing.T, b []byte, size int64) {
		h, err := segment.ParseHeader(b, size)
		if err != nil {
			if segment.ReasonOf(err, "") == "" {
				t.Fatalf("no reason in %v", err)
			}
			return
		}
		if h.FileSize > size || h.StartTime <= 0 || h.StripeCount < 1 || h.StripeCount > layout.MaxStripes {
			t.Fatalf("%+v of %d bytes", h, size)
		}
		end := int64(layout.HeaderSize)
		// Whatever their order, disjoint areas fit beside the header.
		for _, a := range [][2]int64{
			{h.CatalogueOffset, h.CatalogueSize},
			{h.SharedOffset, h.SharedSize},
			{h.StripesOffset, h.StripeSize * h.StripeCount},
			{h.RingsOffset, h.RingSize * h.RingCount},
		} {
			if a[0]%layout.Alignment != 0 || a[0] < 0 || a[1] < 0 || a[0]+a[1] < 0 || a[0]+a[1] > size {
				t.Fatalf("area %v of %d bytes", a, size)
			}
			if a[1] > 0 && a[0] < layout.HeaderSize {
				t.Fatalf("area %v in the header", a)
			}
			end += a[1]
		}
		if end > size || h.CatalogueUsed > h.CatalogueSize || h.StripesUsed > h.StripeCount || h.RingsUsed > h.RingCount ||
			h.RingCount > 0 && h.RingSize < h.RingBytes() {
			t.Fatalf("%+v of %d bytes", h, size)
		}
	})
}
