package binary

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
)

const (
	symbolSize = 24 // elf.Sym64
	maxSymbols = 1 << 24
	maxStrings = 512 << 20
	maxName    = 64 << 10
)

// symbolTable is .symtab or .dynsym with the table of its names.
type symbolTable struct {
	symbols, names elf.Section64
}

// symbol is an entry of a symbol table.
type symbol struct {
	nameAt  uint32 // in the table of names
	kind    elf.SymType
	section elf.SectionIndex
	value   uint64
	size    uint64
}

// check refuses a table that cannot be read as it is, or is too large.
func (t *symbolTable) check() error {
	if elf.SectionFlag(t.symbols.Flags|t.names.Flags)&elf.SHF_COMPRESSED != 0 {
		return fmt.Errorf("the symbol table is compressed")
	}
	if t.symbols.Entsize != symbolSize || t.symbols.Size > maxSymbols*symbolSize || t.names.Size > maxStrings {
		return fmt.Errorf("%d bytes of symbols of %d with %d bytes of names: more than is taken, or damaged",
			t.symbols.Size, t.symbols.Entsize, t.names.Size)
	}
	return nil
}

// each calls visit with every symbol, until it says false. It holds a few of them at a time.
func (t *symbolTable) each(in *reader, visit func(symbol) bool) error {
	if err := t.check(); err != nil {
		return err
	}
	buffer := make([]byte, 2048*symbolSize)
	for at := uint64(0); at+symbolSize <= t.symbols.Size; {
		chunk := buffer[:min(uint64(len(buffer)), (t.symbols.Size-at)/symbolSize*symbolSize)]
		if err := in.read(chunk, t.symbols.Off+at); err != nil {
			return fmt.Errorf("read symbols: %w", err)
		}
		at += uint64(len(chunk))
		for ; len(chunk) > 0; chunk = chunk[symbolSize:] {
			if !visit(symbol{
				nameAt:  binary.LittleEndian.Uint32(chunk),
				kind:    elf.ST_TYPE(chunk[4]),
				section: elf.SectionIndex(binary.LittleEndian.Uint16(chunk[6:])),
				value:   binary.LittleEndian.Uint64(chunk[8:]),
				size:    binary.LittleEndian.Uint64(chunk[16:]),
			}) {
				return nil
			}
		}
	}
	return nil
}

// name reads the one that begins at an offset in the table of names. One that has no end, or is too long, is none.
func (t *symbolTable) name(in *reader, at uint32) (string, error) {
	if uint64(at) >= t.names.Size {
		return "", nil
	}
	room := min(t.names.Size-uint64(at), maxName)
	for size := uint64(256); ; size *= 16 {
		if size = min(size, room); size > uint64(len(in.name)) {
			in.name = make([]byte, size)
		}
		p := in.name[:size]
		n, err := in.some(p, t.names.Off+uint64(at))
		if err != nil {
			return "", fmt.Errorf("read name: %w", err)
		}
		if end := bytes.IndexByte(p[:n], 0); end >= 0 {
			return string(p[:end]), nil
		}
		if size == room || n < len(p) {
			return "", nil
		}
	}
}

// isFunction says whether a symbol may be one. What is written in assembly often has no type.
func (f *File) isFunction(s *symbol) bool {
	if s.section == elf.SHN_UNDEF || s.kind != elf.STT_FUNC && s.kind != elf.STT_NOTYPE {
		return false
	}
	_, _, ok := f.code(s.value)
	return ok
}
