package binary

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
)

const (
	maxNotes    = 1 << 16
	maxNoteSize = 64 << 10
	stapsdt     = 3 // the type of a note that tells a tracepoint
)

// note is one in .note.stapsdt (systemtap's sys/sdt.h): where a tracepoint is, and its arguments. Addresses count from base.
type note struct {
	address, base, semaphore  uint64
	provider, name, arguments string
}

// eachNote calls visit with every tracepoint's note. Others are skipped.
func (f *File) eachNote(in *reader, visit func(note) error) error {
	if f.notes == nil {
		return nil
	}
	if elf.SectionFlag(f.notes.Flags)&elf.SHF_COMPRESSED != 0 {
		return fmt.Errorf("its notes are compressed")
	}
	header := make([]byte, 12)
	at, end := f.notes.Off, f.notes.Off+f.notes.Size
	for range maxNotes {
		if at >= end || end-at < uint64(len(header)) {
			return nil
		}
		if err := in.read(header, at); err != nil {
			return fmt.Errorf("read note: %w", err)
		}
		at += uint64(len(header))
		nameSize := aligned(binary.LittleEndian.Uint32(header))
		size := nameSize + aligned(binary.LittleEndian.Uint32(header[4:]))
		if size > maxNoteSize || size > aligned(uint32(min(end-at, maxNoteSize))) {
			return fmt.Errorf("read note: it has %d bytes, of which %d are left", size, end-at)
		}
		body := make([]byte, min(size, end-at))
		if err := in.read(body, at); err != nil {
			return fmt.Errorf("read note: %w", err)
		}
		at += size
		if binary.LittleEndian.Uint32(header[8:]) != stapsdt || !bytes.HasPrefix(body, []byte("stapsdt\x00")) || nameSize != 8 {
			continue
		}
		n, ok := parseNote(body[nameSize:])
		if !ok {
			return fmt.Errorf("read note: a tracepoint's of %d bytes is damaged", size)
		}
		if err := visit(n); err != nil {
			return err
		}
	}
	return fmt.Errorf("it has more than %d notes", maxNotes)
}

func aligned(n uint32) uint64 {
	return (uint64(n) + 3) &^ 3
}

func parseNote(body []byte) (n note, ok bool) {
	if len(body) < 24 {
		return note{}, false
	}
	texts := bytes.SplitN(body[24:], []byte{0}, 4)
	if len(texts) < 4 {
		return note{}, false
	}
	return note{
		address: binary.LittleEndian.Uint64(body), base: binary.LittleEndian.Uint64(body[8:]), semaphore: binary.LittleEndian.Uint64(body[16:]),
		provider: string(texts[0]), name: string(texts[1]), arguments: string(texts[2]),
	}, true
}
