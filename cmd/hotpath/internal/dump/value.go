package dump

import (
	"fmt"
	"math"
	"unsafe"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/reading"
	"github.com/hotpath-metrics/hotpath/internal/segment"
)

// Value is the words of a series: those of the shared area, or of each stripe in use and their sum.
type Value struct {
	Sum     []uint64 // nil if the series has no words that are its own
	Stripes [][]uint64
}

// windowWords is how much is read at once, a multiple of a cache line.
const windowWords = 32 << 10

// window is a part of the file in memory, so that neighbouring slots take one read.
type window struct {
	file  *file
	words []uint64
	start int64 // in the file
	n     int   // words that are there
	err   error
}

// at returns words from an offset on, which is a multiple of 8. They are valid until the next call.
func (w *window) at(offset int64, n int) ([]uint64, error) {
	if w.words == nil {
		w.words = make([]uint64, windowWords)
	}
	if offset < w.start || offset+int64(n)*8 > w.start+int64(w.n)*8 {
		w.start = offset &^ 63 // aligned as the memory is: otherwise the kernel's copy tears words
		b := unsafe.Slice((*byte)(unsafe.Pointer(&w.words[0])), len(w.words)*8)
		read, err := w.file.ReadAt(b, w.start)
		w.n, w.err = read/8, err
	}
	i := int(offset-w.start) / 8
	if i+n > w.n {
		return nil, fmt.Errorf("%w: %d bytes at %d: %w", segment.ErrTruncated, n*8, offset, w.err)
	}
	return w.words[i : i+n], nil
}

// readValues adds the stripes up, as the receiver does.
func (d *Dump) readValues() error {
	d.Values = make([]Value, len(d.Records))
	if claim := d.claim(); claim > reading.Limits().SegmentSize {
		d.Remarks = append(d.Remarks, fmt.Sprintf("values are left out: they take %d bytes, more than the Collector reads by default", claim))
		return nil
	}
	w := window{file: d.file}
	for i := range d.Records {
		if r := &d.Records[i]; r.Claimed && r.Kind == layout.KindGauge {
			words, err := w.at(d.Header.SharedOffset+int64(r.Slot)*8, r.Words)
			if err != nil {
				return d.cut(err)
			}
			d.Values[i].Sum = append([]uint64(nil), words...)
		}
	}
	for stripe := range d.Header.StripesUsed {
		for i := range d.Records {
			r := &d.Records[i]
			if !r.Claimed || r.Kind == layout.KindGauge {
				continue
			}
			words, err := w.at(d.Header.StripesOffset+stripe*d.Header.StripeSize+int64(r.Slot)*8, r.Words)
			if err != nil {
				return d.cut(err)
			}
			d.Values[i].add(r.Kind, words)
		}
	}
	return nil
}

// claim is how many bytes all values take.
func (d *Dump) claim() (bytes int64) {
	for i := range d.Records {
		if r := &d.Records[i]; r.Claimed {
			bytes += int64(r.Words) * 8 * max(d.Header.StripesUsed, 1)
		}
	}
	return bytes
}

// cut tells that the file ends, or cannot be read, before the values do.
func (d *Dump) cut(err error) error {
	d.Faults = append(d.Faults, Fault{string(segment.ReasonOf(err, segment.ErrTruncated)), d.file.stat.Size, "values", err.Error(), "all that the header claims"})
	return nil
}

func (v *Value) add(kind uint8, words []uint64) {
	v.Stripes = append(v.Stripes, append([]uint64(nil), words...))
	if v.Sum == nil {
		v.Sum = append([]uint64(nil), words...)
		return
	}
	total := math.Float64frombits(v.Sum[0]) + math.Float64frombits(words[0])
	for i, n := range words {
		v.Sum[i] += n
	}
	if kind == layout.KindHistogram {
		v.Sum[layout.HistogramSum] = math.Float64bits(total)
	}
}

// histogram is what a histogram's words say.
type histogram struct {
	count, zero, clamped uint64
	sum                  float64
}

func histogramOf(words []uint64) histogram {
	h := histogram{
		zero: words[layout.HistogramZero], clamped: words[layout.HistogramClamped], sum: math.Float64frombits(words[layout.HistogramSum]),
	}
	h.count = h.zero
	for _, n := range words[layout.HistogramFirstBucket:] {
		h.count += n
	}
	return h
}

// bounds are those of a bucket.
func bounds(bucket int) (lower, upper float64) {
	at := func(i int) float64 {
		return math.Exp2(float64(layout.HistogramOffset+i) / (1 << layout.HistogramScale))
	}
	return at(bucket), at(bucket + 1)
}
