package shm

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"unsafe"

	"golang.org/x/sys/unix"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/segment"
)

// Sizes in bytes.
const (
	// sparseSlack is how much a correct segment may claim beyond its blocks: the unused end of its last pages.
	sparseSlack = 256 << 10
	// chunkSize is read at once; it holds the largest record, and is a multiple of 64.
	chunkSize = 2 * layout.MaxRecord
	blockSize = 512 // of st_blocks
)

// buffers are what readers copy into. Copies must be aligned like their source,
// or the kernel's copy tears words.
type buffers struct {
	chunk []uint64
	// arena holds the values of all segments of the process at hand.
	arena []uint64
}

func newBuffers() *buffers { return &buffers{chunk: aligned(chunkSize / 8)} }

// aligned makes words whose first is at a multiple of 64 bytes.
func aligned(n int) []uint64 {
	words := make([]uint64, n+7)
	misplaced := uintptr(unsafe.Pointer(&words[0])) / 8 % 8
	return words[(8-misplaced)%8:][:n:n]
}

// reset makes room for n words.
func (b *buffers) reset(n int) {
	if n > cap(b.arena) {
		b.arena = aligned(n + n/4)
	}
	b.arena = b.arena[:0]
}

// take returns n words from the arena; the next begin on a cache line of their own.
func (b *buffers) take(n int) []uint64 {
	at := len(b.arena)
	b.arena = b.arena[:at+padded(n)]
	return b.arena[at:][:n:n]
}

func padded(n int) int { return (n + 7) &^ 7 }

// bytesOf is the memory of words, for the kernel to copy into.
func bytesOf(words []uint64) []byte {
	if len(words) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), len(words)*8)
}

// reader reads one segment, which it holds open.
type reader struct {
	dir  *directory
	name string
	key  fileKey
	uid  uint32
	fd   int // -1 once the values are final and the file is gone

	header    segment.Header
	fixed     [segment.FixedSize]byte
	catalogue *segment.Catalogue

	dead    bool // nobody holds the lock: the next snapshot is the last
	late    bool // was dead when it was found
	final   bool // stripes and shared are the last values
	handed  bool // to the sink, by the last collection
	limited bool // was reported as waiting for room for series
	trimmed bool // was logged as having series beyond a limit
	process *process
	added   int // how many of catalogue.Series the process knows

	// Values of the last snapshot. Until final, they are part of the arena.
	stripes, shared []uint64

	reported segment.ClientCounters
}

// alive says whether the writer's mapping, and with it its lock, exists.
func alive(fd int) (bool, error) {
	err := unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("probe lock: %w", err)
	}
	return false, unix.Flock(fd, unix.LOCK_UN)
}

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
func (r *reader) refresh(b *buffers, size int64, room int) (read int64, err error) {
	head := bytesOf(b.chunk[:layout.HeaderSize/8])
	if err := pread(r.fd, head, 0); err != nil {
		return 0, err
	}
	read = layout.HeaderSize
	if !bytes.Equal(head[:segment.FixedSize], r.fixed[:]) {
		return read, fmt.Errorf("%w: fields that are final changed", segment.ErrHeader)
	}
	progress, err := r.header.ParseProgress(head)
	if err != nil {
		return read, err
	}
	r.header.Progress = progress
	if err := r.check(size); err != nil {
		return read, err
	}
	if r.catalogue.Parsed == progress.CatalogueUsed {
		return read, nil
	}
	for r.catalogue.Parsed < progress.CatalogueUsed {
		before, charged := r.catalogue.Parsed, r.catalogue.Charged
		n := min(progress.CatalogueUsed-before, chunkSize)
		chunk := bytesOf(b.chunk)[:n]
		if err := pread(r.fd, chunk, r.header.CatalogueOffset+before); err != nil {
			return read, err
		}
		read += n
		if err := r.catalogue.Parse(chunk, progress.CatalogueUsed, room); err != nil {
			return read, err
		}
		room -= r.catalogue.Charged - charged
	}
	return read, r.check(size)
}

// check refuses a segment that claims more than it may, or more than it has memory for. Blocks
// may be given back at any time, so those of the last collection prove nothing.
func (r *reader) check(size int64) error {
	claim := layout.HeaderSize + r.header.CatalogueUsed + int64(r.catalogue.SharedWords)*8
	// A stripe in use has pages of its own: otherwise thousands of tiny ones would cost a reader far more than their writer.
	// Neither factor exceeds a file's size, and ParseHeader checked the product of what it is rounded up to at most.
	words := int64(r.catalogue.StripeWords) * 8
	claim += r.header.StripesUsed * ((words + segment.PageSize - 1) &^ (segment.PageSize - 1))
	if claim > size {
		return fmt.Errorf("%w: %d bytes of %d", segment.ErrTooLarge, claim, size)
	}
	var st unix.Stat_t
	if err := unix.Fstat(r.fd, &st); err != nil {
		return fmt.Errorf("stat segment: %w", err)
	}
	if st.Size < r.header.FileSize {
		return fmt.Errorf("%w: %d bytes of %d", segment.ErrTruncated, st.Size, r.header.FileSize)
	}
	if claim > st.Blocks*blockSize+sparseSlack {
		return fmt.Errorf("%w: %d bytes with %d allocated", segment.ErrSparse, claim, st.Blocks*blockSize)
	}
	return nil
}

// words is how much of the arena the values take.
func (r *reader) words() int {
	return padded(r.catalogue.StripeWords) + padded(r.catalogue.SharedWords)
}

// snapshot copies the values: the shared words, and the sum of all stripes.
func (r *reader) snapshot(b *buffers) (read int64, err error) {
	r.shared = b.take(r.catalogue.SharedWords)
	if err := pread(r.fd, bytesOf(r.shared), r.header.SharedOffset); err != nil {
		return 0, err
	}
	r.stripes = b.take(r.catalogue.StripeWords)
	if r.header.StripesUsed == 0 {
		clear(r.stripes)
	} else if err := pread(r.fd, bytesOf(r.stripes), r.header.StripesOffset); err != nil {
		return 0, err
	}
	for i := int64(1); i < r.header.StripesUsed; i++ {
		if err := r.addStripe(b, r.header.StripesOffset+i*r.header.StripeSize); err != nil {
			return 0, err
		}
	}
	return int64(len(r.shared)+len(r.stripes)*int(r.header.StripesUsed)) * 8, nil
}

// addStripe adds the stripe at offset to r.stripes.
func (r *reader) addStripe(b *buffers, offset int64) error {
	histograms := r.catalogue.Histograms
	for at := 0; at < len(r.stripes); at += len(b.chunk) {
		sum := r.stripes[at:min(at+len(b.chunk), len(r.stripes))]
		stripe := b.chunk[:len(sum)]
		if err := pread(r.fd, bytesOf(stripe), offset+int64(at)*8); err != nil {
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

// close gives the file back. Final values stay.
func (r *reader) close() {
	if r.fd < 0 {
		return
	}
	unix.Close(r.fd)
	r.fd = -1
	r.dir.release()
}

// moved notes that the file has another name now.
func (r *reader) moved(d *directory, name string) {
	r.name = name
	if r.dir != d {
		d.held++
		r.dir.release()
		r.dir = d
	}
}
