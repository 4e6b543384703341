package tracefs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
)

// Status is the list of all user_events of the machine.
type Status struct {
	file      *os.File
	text, old []byte
}

// Status opens the list. Kept open, the kernel has room for all of it from the second reading on.
func (r Root) Status() (*Status, error) {
	f, err := os.Open(r.join("user_events_status"))
	if err != nil {
		return nil, fmt.Errorf("open list of user_events: %w", err)
	}
	return &Status{file: f, text: make([]byte, 0, 4096)}, nil
}

// Read reads the list again, and says whether it differs from the last one.
func (s *Status) Read() (changed bool, err error) {
	s.text, s.old = s.old[:0], s.text
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return false, fmt.Errorf("rewind list of user_events: %w", err)
	}
	for {
		if len(s.text) == cap(s.text) {
			s.text = append(s.text, 0)[:len(s.text)]
		}
		n, err := s.file.Read(s.text[len(s.text):cap(s.text)])
		s.text = s.text[:len(s.text)+n]
		if errors.Is(err, io.EOF) {
			return !bytes.Equal(s.text, s.old), nil
		}
		if err != nil {
			return false, fmt.Errorf("read list of user_events: %w", err)
		}
	}
}

// Names are the names of the events. They are valid until the next Read.
func (s *Status) Names() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for line := range bytes.Lines(s.text) {
			line = bytes.TrimSuffix(line, []byte("\n"))
			if len(line) == 0 {
				return // totals follow
			}
			name, _, _ := bytes.Cut(line, []byte(" ")) // a note about who listens follows
			if !yield(name) {
				return
			}
		}
	}
}

// Close closes the list.
func (s *Status) Close() { s.file.Close() }
