package binary

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

const (
	maxRead       = 256 << 20 // bytes for one question
	maxDemangling = time.Second
)

// Questions that a file makes too long end with these.
var (
	errTooMuch = fmt.Errorf("more than %d MiB had to be read", maxRead>>20)
	errTooLong = fmt.Errorf("demangling its names takes longer than %v", maxDemangling)
)

// reader reads a file for one question, and accounts for what that takes.
type reader struct {
	r          io.ReaderAt
	left       int64
	demangling time.Duration // left
	name       []byte        // what the last one was read into
}

func newReader(r io.ReaderAt) *reader {
	return &reader{r: r, left: maxRead, demangling: maxDemangling, name: make([]byte, 256)}
}

// read fills p.
func (in *reader) read(p []byte, offset uint64) error {
	n, err := in.some(p, offset)
	if err == nil && n < len(p) {
		err = fmt.Errorf("%d bytes at %#x: %w", len(p), offset, io.ErrUnexpectedEOF)
	}
	return err
}

// some reads what there is of p.
func (in *reader) some(p []byte, offset uint64) (int, error) {
	if offset > math.MaxInt64-uint64(len(p)) {
		return 0, nil
	}
	if in.left -= int64(len(p)); in.left < 0 {
		return 0, errTooMuch
	}
	n, err := in.r.ReadAt(p, int64(offset))
	if err != nil && !errors.Is(err, io.EOF) {
		return n, err
	}
	return n, nil
}

// decode reads a structure, or several.
func (in *reader) decode(into any, offset uint64, size int) error {
	p := make([]byte, size)
	if err := in.read(p, offset); err != nil {
		return err
	}
	_, err := binary.Decode(p, binary.LittleEndian, into)
	return err
}
