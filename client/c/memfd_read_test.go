package c

import (
	"encoding/binary"
	"errors"
	"math"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
	untrusted "github.com/hotpath-metrics/hotpath/internal/segment"
)

// held is a descriptor of our own of a segment in another process.
type held struct {
	t    testing.TB
	file *os.File
}

// contents are the values of a segment, keyed as those of an [emittest.Process].
type contents struct {
	header     untrusted.Header
	resource   map[string]string
	counters   map[string]uint64 // and updowncounters
	gauges     map[string]float64
	histograms map[string]histogram
}

type histogram struct {
	count uint64
	sum   float64
}

// hold opens a segment by a path in /proc.
func hold(t testing.TB, path string) *held {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &held{t, f}
}

// locked says whether the process's mapping exists.
func (h *held) locked() bool {
	h.t.Helper()
	err := unix.Flock(int(h.file.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if err == nil {
		err = unix.Flock(int(h.file.Fd()), unix.LOCK_UN)
	} else if errors.Is(err, unix.EWOULDBLOCK) {
		return true
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return false
}

func (h *held) bytes(offset, n int64) []byte {
	h.t.Helper()
	b := make([]byte, n)
	if _, err := h.file.ReadAt(b, offset); err != nil {
		h.t.Fatal(err)
	}
	return b
}

// read takes the values as they are now.
func (h *held) read() *contents {
	h.t.Helper()
	st, err := h.file.Stat()
	if err != nil {
		h.t.Fatal(err)
	}
	header, err := untrusted.ParseHeader(h.bytes(0, segment.HeaderSize), st.Size())
	if err != nil {
		h.t.Fatal(err)
	}
	catalogue := untrusted.NewCatalogue(&header)
	if err := catalogue.Parse(h.bytes(header.CatalogueOffset, header.CatalogueUsed), header.CatalogueUsed, math.MaxInt); err != nil || len(catalogue.Skipped) != 0 {
		h.t.Fatalf("parse catalogue: %v, skipped %v", err, catalogue.Skipped)
	}
	c := &contents{header, map[string]string{}, map[string]uint64{}, map[string]float64{}, map[string]histogram{}}
	for _, a := range catalogue.Resource {
		c.resource[a.Key] = a.Str
	}
	shared := h.bytes(header.SharedOffset, int64(8*catalogue.SharedWords))
	var stripes [][]byte
	for i := range header.StripesUsed {
		stripes = append(stripes, h.bytes(header.StripesOffset+i*header.StripeSize, int64(8*catalogue.StripeWords)))
	}
	for _, s := range catalogue.Series {
		key := emittest.Key(s.Series)
		switch int(s.Instrument.Kind) {
		case segment.KindGauge:
			if bits := binary.NativeEndian.Uint64(shared[8*s.Slot:]); bits != segment.GaugeUnset {
				c.gauges[key] = math.Float64frombits(bits)
			}
		case segment.KindHistogram:
			var v histogram
			for _, stripe := range stripes {
				words := stripe[8*s.Slot:]
				v.sum += math.Float64frombits(binary.NativeEndian.Uint64(words[8*segment.HistogramSum:]))
				v.count += binary.NativeEndian.Uint64(words[8*segment.HistogramZero:])
				for i := range segment.HistogramBuckets {
					v.count += binary.NativeEndian.Uint64(words[8*(segment.HistogramFirstBucket+i):])
				}
			}
			c.histograms[key] = v
		default:
			for _, stripe := range stripes {
				c.counters[key] += binary.NativeEndian.Uint64(stripe[8*s.Slot:])
			}
		}
	}
	return c
}
