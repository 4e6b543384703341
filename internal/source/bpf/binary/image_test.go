package binary

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// image is a small ELF file, made by hand so that each field can be spoiled.
type image struct {
	header   elf.Header64
	segments []elf.Prog64
	sections []elf.Section64 // null, .text, .symtab, .strtab, .note.stapsdt, .shstrtab
	symbols  []elf.Sym64
	names    []byte
	code     []byte
	notes    []byte
}

const (
	imageText  = 0x1000 // address and offset
	imageNames = "\x00.text\x00.symtab\x00.strtab\x00.note.stapsdt\x00.shstrtab\x00"
)

// newImage has a function "work" of three instructions, C++'s shop::add(int), and a tracepoint demo:work.
func newImage() *image {
	m := &image{
		names: []byte("\x00work\x00_ZN4shop3addEi\x00data\x00"),
		code:  []byte("\x55\x48\x89\xe5\xc3\x90\x90\x90"), // push %rbp; mov %rsp,%rbp; ret; nop...
		symbols: []elf.Sym64{
			{},
			{Name: 1, Info: byte(elf.STT_FUNC), Shndx: 1, Value: imageText, Size: 5},
			{Name: 6, Info: byte(elf.STT_FUNC), Shndx: 1, Value: imageText + 5, Size: 3},
			{Name: 22, Info: byte(elf.STT_OBJECT), Shndx: 1, Value: imageText + 5, Size: 3},
		},
		segments: []elf.Prog64{{
			Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_X | elf.PF_R), Off: imageText, Vaddr: imageText, Filesz: 8, Memsz: 8,
		}},
	}
	body := append(binary.LittleEndian.AppendUint64(nil, imageText+5), make([]byte, 16)...)
	m.notes = noteOf("stapsdt\x00", append(body, "demo\x00work\x00-4@%eax 8@4(%rsp,%rbx,2)\x00"...))
	copy(m.header.Ident[:], elf.ELFMAG)
	m.header.Ident[elf.EI_CLASS], m.header.Ident[elf.EI_DATA] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB)
	m.header.Type, m.header.Machine = uint16(elf.ET_DYN), uint16(elf.EM_X86_64)
	m.header.Phoff, m.header.Phentsize, m.header.Phnum = 64, 56, 1
	m.header.Shoff, m.header.Shentsize, m.header.Shnum, m.header.Shstrndx = 512, 64, 6, 5
	m.place()
	return m
}

// place computes the section headers.
func (m *image) place() {
	at := uint64(imageText) + 256
	section := func(name uint32, kind elf.SectionType, size int) elf.Section64 {
		s := elf.Section64{Name: name, Type: uint32(kind), Off: at, Size: uint64(size)}
		at += uint64(size)
		return s
	}
	m.sections = []elf.Section64{
		{},
		{Name: 1, Type: uint32(elf.SHT_PROGBITS), Flags: uint64(elf.SHF_ALLOC | elf.SHF_EXECINSTR), Addr: imageText, Off: imageText, Size: uint64(len(m.code))},
		section(7, elf.SHT_SYMTAB, symbolSize*len(m.symbols)),
		section(15, elf.SHT_STRTAB, len(m.names)),
		section(23, elf.SHT_NOTE, len(m.notes)),
		section(37, elf.SHT_STRTAB, len(imageNames)),
	}
	m.sections[2].Entsize, m.sections[2].Link = symbolSize, 3
}

// bytes are those of the file, whatever has become of the headers.
func (m *image) bytes() []byte {
	file := make([]byte, 512)
	encode := func(at int, v any) {
		var b bytes.Buffer
		_ = binary.Write(&b, binary.LittleEndian, v)
		copy(file[at:], b.Bytes())
	}
	encode(0, m.header)
	encode(64, m.segments)
	var tail bytes.Buffer
	_ = binary.Write(&tail, binary.LittleEndian, m.sections)
	file = append(file, tail.Bytes()...)
	file = append(file, make([]byte, imageText-len(file))...)
	file = append(file, m.code...)
	file = append(file, make([]byte, imageText+256-len(file))...)
	tail.Reset()
	_ = binary.Write(&tail, binary.LittleEndian, m.symbols)
	file = append(file, tail.Bytes()...)
	file = append(append(append(file, m.names...), m.notes...), imageNames...)
	return file
}

// noteOf is a note with its sizes.
func noteOf(name string, body []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(name)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	b = binary.LittleEndian.AppendUint32(b, stapsdt)
	b = append(append(b, name...), body...)
	return append(b, make([]byte, -len(b)&3)...)
}
