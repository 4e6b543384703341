package segments

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"golang.org/x/sys/unix"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/segment"
)

// Sizes in bytes.
const (
	// sparseSlack is how much a correct segment may claim beyond its blocks: the unused end of its last pages.
	sparseSlack = 256 << 10
	blockSize   = 512 // of st_blocks
	// ringsFactor is how much larger than the rest of a segment its measurement rings may be, of which only what is new is read.
	ringsFactor = 20
)

// pread fills b, or fails with ErrTruncated.
func pread(fd int, b []byte, offset int64) error {
	for len(b) > 0 {
		n, err := unix.Pread(fd, b, offset)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("read segment: %w", err)
		case n == 0:
			return fmt.Errorf("%w: nothing at %d", segment.ErrTruncated, offset)
		}
		b, offset = b[n:], offset+int64(n)
	}
	return nil
}

// refresh reads the header, and what is new in the catalogue, which may charge no more than room.
func (s *Segment) refresh(b *buffers, size int64, room int) (read int64, err error) {
	head := bytesOf(b.chunk[:layout.HeaderSize/8])
	if err := pread(s.fd, head, 0); err != nil {
		return 0, err
	}
	read = layout.HeaderSize
	if !bytes.Equal(head[:segment.FixedSize], s.fixed[:]) {
		return read, fmt.Errorf("%w: fields that are final changed", segment.ErrHeader)
	}
	progress, err := s.header.ParseProgress(head)
	if err != nil {
		return read, err
	}
	s.header.Progress = progress
	if err := s.check(size); err != nil {
		return read, err
	}
	if s.catalogue.Parsed == progress.CatalogueUsed {
		return read, nil
	}
	for s.catalogue.Parsed < progress.CatalogueUsed {
		before, charged := s.catalogue.Parsed, s.catalogue.Charged
		n := min(progress.CatalogueUsed-before, chunkSize)
		chunk := bytesOf(b.chunk)[:n]
		if err := pread(s.fd, chunk, s.header.CatalogueOffset+before); err != nil {
			return read, err
		}
		read += n
		if err := s.catalogue.Parse(chunk, progress.CatalogueUsed, room); err != nil {
			return read, err
		}
		room -= s.catalogue.Charged - charged
	}
	return read, s.check(size)
}

// check refuses a segment that claims more than it may, or more than it has memory for. Blocks
// may be given back at any time, so those of the last collection prove nothing.
func (s *Segment) check(size int64) error {
	claim := layout.HeaderSize + s.header.CatalogueUsed + int64(s.catalogue.SharedWords)*8
	// A stripe in use has pages of its own: otherwise thousands of tiny ones would cost a reader far more than their writer.
	// Neither factor exceeds a file's size, and ParseHeader checked the product of what it is rounded up to at most.
	words := int64(s.catalogue.StripeWords) * 8
	claim += s.header.StripesUsed * ((words + segment.PageSize - 1) &^ (segment.PageSize - 1))
	// Neither does this exceed what ParseHeader found to lie within the file.
	rings := s.header.RingsUsed * s.header.RingBytes()
	if claim > size || rings/ringsFactor > size {
		return fmt.Errorf("%w: %d bytes of %d, and %d of measurement rings", segment.ErrTooLarge, claim, size, rings)
	}
	claim += rings
	var st unix.Stat_t
	if err := unix.Fstat(s.fd, &st); err != nil {
		return fmt.Errorf("stat segment: %w", err)
	}
	if st.Size < s.header.FileSize {
		return fmt.Errorf("%w: %d bytes of %d", segment.ErrTruncated, st.Size, s.header.FileSize)
	}
	if claim > st.Blocks*blockSize+sparseSlack {
		return fmt.Errorf("%w: %d bytes with %d allocated", segment.ErrSparse, claim, st.Blocks*blockSize)
	}
	return nil
}

// words is how much of the arena the values take.
func (s *Segment) words() int {
	return padded(s.catalogue.StripeWords) + padded(s.catalogue.SharedWords)
}

// snapshot copies the values: the shared words, and the sum of all stripes.
func (s *Segment) snapshot(b *buffers) (read int64, err error) {
	s.shared = b.take(s.catalogue.SharedWords)
	if err := pread(s.fd, bytesOf(s.shared), s.header.SharedOffset); err != nil {
		return 0, err
	}
	s.stripes = b.take(s.catalogue.StripeWords)
	if s.header.StripesUsed == 0 {
		clear(s.stripes)
	} else if err := pread(s.fd, bytesOf(s.stripes), s.header.StripesOffset); err != nil {
		return 0, err
	}
	for i := int64(1); i < s.header.StripesUsed; i++ {
		if err := s.addStripe(b, s.header.StripesOffset+i*s.header.StripeSize); err != nil {
			return 0, err
		}
	}
	return int64(len(s.shared)+len(s.stripes)*int(s.header.StripesUsed)) * 8, nil
}

// addStripe adds the stripe at offset to s.stripes.
func (s *Segment) addStripe(b *buffers, offset int64) error {
	histograms := s.catalogue.Histograms
	for at := 0; at < len(s.stripes); at += len(b.chunk) {
		sum := s.stripes[at:min(at+len(b.chunk), len(s.stripes))]
		stripe := b.chunk[:len(sum)]
		if err := pread(s.fd, bytesOf(stripe), offset+int64(at)*8); err != nil {
			return err
		}
		// The sum of a histogram is a double: make it the integer that adds up to the sum of the doubles.
		for len(histograms) > 0 && histograms[0] < at+len(sum) {
			word := histograms[0] - at + layout.HistogramSum
			total := math.Float64frombits(sum[word]) + math.Float64frombits(stripe[word])
			stripe[word] = math.Float64bits(total) - sum[word]
			histograms = histograms[1:]
		}
		for i, v := range stripe {
			sum[i] += v
		}
	}
	return nil
}
