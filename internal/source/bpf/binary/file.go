// Package binary finds places for probes in ELF files: functions, and the tracepoints (USDT) that authors put into their programs, with
// what the kernel does at the instruction there and where arguments are. It reads files that anybody may have made, and that may change
// meanwhile: nothing in them makes it panic, hold more than a few MiB or read more than [maxRead] for one question.
package binary

import (
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

const (
	maxSegments     = 64
	maxSections     = 8192
	maxSectionNames = 1 << 20
)

// File is an ELF executable or shared object. It may be asked by several goroutines at once.
type File struct {
	r        io.ReaderAt
	machine  elf.Machine
	segments []elf.Prog64
	sections bool   // it has a table of them
	text     []span // those of code, in order
	symtab   *symbolTable
	dynsym   *symbolTable
	notes    *elf.Section64
	base     *elf.Section64 // .stapsdt.base
	goMade   bool
}

// span is a range of addresses.
type span struct{ from, to uint64 }

// Open reads the headers of an ELF executable or shared object for x86-64 or arm64.
func Open(r io.ReaderAt) (*File, error) {
	in := newReader(r)
	var h elf.Header64
	if err := in.decode(&h, 0, binary.Size(h)); err != nil {
		return nil, fmt.Errorf("read header: %w", err)
	}
	if !bytes.Equal(h.Ident[:4], []byte(elf.ELFMAG)) {
		return nil, errors.New("read header: not an ELF file")
	}
	if elf.Class(h.Ident[elf.EI_CLASS]) != elf.ELFCLASS64 || elf.Data(h.Ident[elf.EI_DATA]) != elf.ELFDATA2LSB {
		return nil, errors.New("read header: not a 64-bit little-endian ELF file")
	}
	f := &File{r: r, machine: elf.Machine(h.Machine)}
	if f.machine != elf.EM_X86_64 && f.machine != elf.EM_AARCH64 {
		return nil, fmt.Errorf("read header: made for %v; probes need x86-64 or arm64", f.machine)
	}
	if t := elf.Type(h.Type); t != elf.ET_EXEC && t != elf.ET_DYN {
		return nil, fmt.Errorf("read header: neither an executable nor a shared object: %v", t)
	}
	if err := f.readSegments(in, &h); err != nil {
		return nil, fmt.Errorf("read program headers: %w", err)
	}
	if err := f.readSections(in, &h); err != nil {
		return nil, fmt.Errorf("read section headers: %w", err)
	}
	return f, nil
}

func (f *File) readSegments(in *reader, h *elf.Header64) error {
	size := binary.Size(elf.Prog64{})
	if int(h.Phentsize) != size || h.Phnum > maxSegments {
		return fmt.Errorf("%d of %d bytes; at most %d of %d are taken", h.Phnum, h.Phentsize, maxSegments, size)
	}
	all := make([]elf.Prog64, h.Phnum)
	if err := in.decode(all, h.Phoff, len(all)*size); err != nil {
		return err
	}
	for _, p := range all {
		if elf.ProgType(p.Type) == elf.PT_LOAD && p.Vaddr+p.Filesz >= p.Vaddr && p.Off+p.Filesz >= p.Off {
			f.segments = append(f.segments, p)
		}
	}
	return nil
}

func (f *File) readSections(in *reader, h *elf.Header64) error {
	if h.Shoff == 0 {
		return nil
	}
	size := binary.Size(elf.Section64{})
	if int(h.Shentsize) != size || h.Shnum > maxSections || h.Shstrndx >= h.Shnum {
		return fmt.Errorf("%d of %d bytes, names in number %d; at most %d of %d are taken", h.Shnum, h.Shentsize, h.Shstrndx, maxSections, size)
	}
	all := make([]elf.Section64, h.Shnum)
	if err := in.decode(all, h.Shoff, len(all)*size); err != nil {
		return err
	}
	table := all[h.Shstrndx]
	if table.Size > maxSectionNames {
		return fmt.Errorf("%d bytes of names", table.Size)
	}
	names := make([]byte, table.Size)
	if err := in.read(names, table.Off); err != nil {
		return fmt.Errorf("read names: %w", err)
	}
	f.sections = true
	for _, s := range all {
		f.takeSection(s, all, names)
	}
	f.orderText()
	return nil
}

func (f *File) takeSection(s elf.Section64, all []elf.Section64, names []byte) {
	kind := elf.SectionType(s.Type)
	if kind == elf.SHT_PROGBITS && elf.SectionFlag(s.Flags)&elf.SHF_EXECINSTR != 0 && s.Addr+s.Size > s.Addr {
		f.text = append(f.text, span{s.Addr, s.Addr + s.Size})
	}
	if uint64(s.Link) < uint64(len(all)) {
		switch t := (symbolTable{s, all[s.Link]}); kind {
		case elf.SHT_SYMTAB:
			f.symtab = &t
		case elf.SHT_DYNSYM:
			f.dynsym = &t
		}
	}
	if uint64(s.Name) >= uint64(len(names)) {
		return
	}
	name, _, _ := bytes.Cut(names[s.Name:min(len(names), int(s.Name)+64)], []byte{0})
	switch string(name) {
	case ".note.stapsdt":
		if kind == elf.SHT_NOTE {
			f.notes = &s
		}
	case ".stapsdt.base":
		f.base = &s
	case ".gopclntab", ".data.rel.ro.gopclntab", ".go.buildinfo", ".note.go.buildid":
		f.goMade = true
	}
}

// orderText makes one span of those that overlap.
func (f *File) orderText() {
	slices.SortFunc(f.text, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	merged := f.text[:0]
	for _, s := range f.text {
		if n := len(merged); n > 0 && s.from <= merged[n-1].to {
			merged[n-1].to = max(merged[n-1].to, s.to)
		} else {
			merged = append(merged, s)
		}
	}
	f.text = merged
}

// tables are those that there are, the larger one first.
func (f *File) tables() []*symbolTable {
	return slices.DeleteFunc([]*symbolTable{f.symtab, f.dynsym}, func(t *symbolTable) bool { return t == nil })
}

// offset is where in the file the byte at an address is, and how many bytes of its segment follow from there.
func (f *File) offset(address uint64, flags elf.ProgFlag) (offset, left uint64, ok bool) {
	for i := range f.segments {
		p := &f.segments[i]
		if elf.ProgFlag(p.Flags)&flags == flags && address >= p.Vaddr && address-p.Vaddr < p.Filesz {
			into := address - p.Vaddr
			return p.Off + into, p.Filesz - into, true
		}
	}
	return 0, 0, false
}

// code is the same of an instruction. Linkers may put data into an executable segment: sections tell, where there are some.
func (f *File) code(address uint64) (offset, left uint64, ok bool) {
	if offset, left, ok = f.offset(address, elf.PF_X); !ok || !f.sections {
		return offset, left, ok
	}
	after, _ := slices.BinarySearchFunc(f.text, address, func(s span, address uint64) int {
		if s.from <= address {
			return -1
		}
		return 1
	})
	if after == 0 || address >= f.text[after-1].to {
		return 0, 0, false
	}
	return offset, min(left, f.text[after-1].to-address), true
}
