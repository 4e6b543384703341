package dump

import (
	"encoding/binary"
	"fmt"
	"io"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/screen"
	"github.com/hotpath-metrics/hotpath/internal/segment"
)

// Ring is how far a measurement ring is.
type Ring struct {
	Offset int64 `json:"offset"`
	// Head is how many words were written, and Recorded how many measurements, as the last of them says.
	Head     uint64 `json:"head"`
	Recorded uint64 `json:"recorded"`
}

func (d *Dump) readRings() {
	h := &d.Header
	word := func(at int64) (uint64, bool) {
		var b [8]byte
		if _, err := d.file.ReadAt(b[:], at); err != nil {
			d.Faults = append(d.Faults, Fault{string(segment.ErrTruncated), at, "ring", err.Error(), "a word"})
			return 0, false
		}
		return binary.NativeEndian.Uint64(b[:]), true
	}
	for i := range h.RingsUsed {
		r := Ring{Offset: h.Ring(i)}
		var ok bool
		if r.Head, ok = word(r.Offset + layout.RingHead); ok && r.Head > 0 {
			var trailer uint64
			trailer, ok = word(r.Offset + layout.RingFirst + int64((r.Head-1)%uint64(h.RingWords))*8)
			r.Recorded = trailer >> layout.TrailerWordsBits
		}
		if !ok {
			return
		}
		d.Rings = append(d.Rings, r)
	}
}

func (d *Dump) writeRings(out io.Writer) {
	if len(d.Rings) == 0 {
		return
	}
	heading(out, "Measurement rings")
	for i, r := range d.Rings {
		fmt.Fprintf(out, "  %d  at %d  head %s  %s recorded\n", i, r.Offset, screen.Whole(r.Head), screen.Whole(r.Recorded))
	}
}
