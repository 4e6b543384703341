package binary

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"
)

func (m *image) open(t *testing.T) *File {
	t.Helper()
	f, err := Open(bytes.NewReader(m.bytes()))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFileMadeByHandIsRead(t *testing.T) {
	f := newImage().open(t)
	if s, err := f.Functions("work", 0); err != nil || len(s) != 1 || s[0] != (Site{Symbol: "work", Offset: imageText}) {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := f.Functions("work", 1); err != nil || s[0].Offset != imageText+1 || s[0].Stepped != "mov %rsp,%rbp (48 89 e5)" {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := f.Functions("shop::add(int)", 0); err != nil || s[0].Offset != imageText+5 {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := f.Tracepoints("demo", "work"); err != nil || s[0].Offset != imageText+5 || len(s[0].Arguments) != 2 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestDamagedHeadersAreRefused(t *testing.T) {
	for says, spoil := range map[string]func(m *image){
		"not an ELF file":         func(m *image) { m.header.Ident[0] = 0 },
		"not a 64-bit":            func(m *image) { m.header.Ident[elf.EI_CLASS] = byte(elf.ELFCLASS32) },
		"little-endian":           func(m *image) { m.header.Ident[elf.EI_DATA] = byte(elf.ELFDATA2MSB) },
		"EM_RISCV":                func(m *image) { m.header.Machine = uint16(elf.EM_RISCV) },
		"ET_REL":                  func(m *image) { m.header.Type = uint16(elf.ET_REL) },
		"65535 of 56 bytes":       func(m *image) { m.header.Phnum = math.MaxUint16 },
		"1 of 57 bytes":           func(m *image) { m.header.Phentsize = 57 },
		"program headers":         func(m *image) { m.header.Phoff = math.MaxUint64 },
		"65535 of 64 bytes":       func(m *image) { m.header.Shnum = math.MaxUint16 },
		"6 of 0 bytes":            func(m *image) { m.header.Shentsize = 0 },
		"0 of 64 bytes":           func(m *image) { m.header.Shnum = 0 },
		"names in number 6":       func(m *image) { m.header.Shstrndx = 6 },
		"section headers":         func(m *image) { m.header.Shoff = math.MaxInt64 },
		"bytes of names":          func(m *image) { m.sections[5].Size = math.MaxUint64 },
		"read names: 47 bytes at": func(m *image) { m.sections[5].Off = math.MaxInt64 - 8 },
	} {
		m := newImage()
		spoil(m)
		_, err := Open(bytes.NewReader(m.bytes()))
		wantError(t, err, says)
	}
}

func TestDamagedTablesAreErrorsOfTheQuestion(t *testing.T) {
	for says, spoil := range map[string]func(m *image){
		"compressed":              func(m *image) { m.sections[2].Flags = uint64(elf.SHF_COMPRESSED) },
		"damaged":                 func(m *image) { m.sections[2].Entsize = 0 },
		"more than is taken":      func(m *image) { m.sections[2].Size = math.MaxUint64 },
		"bytes of names":          func(m *image) { m.sections[3].Size = math.MaxUint64 },
		"search names":            func(m *image) { m.sections[3].Size = maxStrings },
		"read symbols":            func(m *image) { m.sections[2].Size = maxSymbols * symbolSize },
		"unexpected EOF":          func(m *image) { m.sections[2].Off = math.MaxUint64 },
		"stripped":                func(m *image) { m.sections[2].Link = 99 },
		"no such function":        func(m *image) { m.symbols[1].Name = math.MaxUint32 },
		"there is no code at its": func(m *image) { m.symbols[1].Value = math.MaxUint64 },
		"at its address 0x1008":   func(m *image) { m.symbols[1].Value = imageText + 8 },
		"address 0x1000":          func(m *image) { m.segments[0].Flags = uint32(elf.PF_R | elf.PF_W) },
		"there is no code at":     func(m *image) { m.sections[1].Type = uint32(elf.SHT_NOBITS) }, // debug information alone
		"its address 0x1000":      func(m *image) { m.sections[1].Flags, m.sections[1].Addr = uint64(elf.SHF_EXECINSTR), 0x2000 },
		"no code at its address":  func(m *image) { m.segments[0].Filesz = 0 },
		"code at its address":     func(m *image) { m.segments[0].Off = math.MaxUint64 - 2 },
		"read code":               func(m *image) { m.segments[0].Off = math.MaxInt64 - 8 },
	} {
		m := newImage()
		spoil(m)
		_, err := m.open(t).Functions("work", 0)
		wantError(t, err, "find work", says)
	}
	for says, spoil := range map[string]func(m *image){
		"its notes are compressed": func(m *image) { m.sections[4].Flags = uint64(elf.SHF_COMPRESSED) },
		"it has 4294967356 bytes":  func(m *image) { binary.LittleEndian.PutUint32(m.notes, math.MaxUint32) },
		"of which 65 are left":     func(m *image) { binary.LittleEndian.PutUint32(m.notes[4:], 70000); m.sections[4].Size = 77 },
		"damaged":                  func(m *image) { binary.LittleEndian.PutUint32(m.notes[4:], 20) },
		"of 60 bytes is damaged":   func(m *image) { m.notes = noteOf("stapsdt\x00", bytes.Repeat([]byte("x"), 52)); m.place() },
		"read note":                func(m *image) { m.sections[4].Off = math.MaxInt64 - 100 },
		"no tracepoints":           func(m *image) { m.sections[4].Off = math.MaxUint64 - 1 },
		"file has no tracepoints":  func(m *image) { binary.LittleEndian.PutUint64(m.notes[20:], 0) },
		"the file has no trace":    func(m *image) { m.notes[12] = 'x' },
	} {
		m := newImage()
		spoil(m)
		_, err := m.open(t).Tracepoints("demo", "work")
		wantError(t, err, "find tracepoint demo:work", says)
	}
}

func TestInstructionsThatAreUnknownProveNothing(t *testing.T) {
	m := newImage()
	m.code = []byte("\x55\xf3\x0f\x1e\xc0\x90\x90\x90")
	f := m.open(t)
	_, err := f.Functions("work", 4)
	wantError(t, err, "the instruction at 0x1001 (f3 0f 1e c0 90 90 90), before that place, is unknown here")
	m.symbols[1].Size = math.MaxUint64
	_, err = m.open(t).Functions("work", 1<<30)
	wantError(t, err, "would have to be decoded")
	_, err = m.open(t).Functions("work", 1<<20)
	wantError(t, err, "is unknown here")
	m.code = bytes.Repeat([]byte{0x90}, 8)
	_, err = m.open(t).Functions("work", 1<<20)
	wantError(t, err, "the function leaves the code at 0x1008")
	m.symbols[1].Value = 8
	_, err = m.open(t).Functions("work", math.MaxUint64-2)
	wantError(t, err, "no code")
}

func TestNamesThatAreHardToDemangleEndTheQuestion(t *testing.T) {
	m := newImage()
	for i := range 400 {
		m.symbols = append(m.symbols, m.symbols[1])
		m.symbols[len(m.symbols)-1].Name = uint32(len(m.names))
		m.names = append(m.names, "_Z4work"+strings.Repeat("P", 3900-i)+"i\x00"...)
	}
	m.place()
	begin := time.Now()
	_, err := m.open(t).Functions("work()", 0)
	wantError(t, err, "demangling its names takes longer than")
	if took := time.Since(begin); took > 4*maxDemangling {
		t.Errorf("took %v", took)
	}
}

func TestLongFunctionsOfOneNameEndTheQuestion(t *testing.T) {
	m := newImage()
	for i := range uint64(2000) {
		m.symbols = append(m.symbols, m.symbols[1])
		s := &m.symbols[len(m.symbols)-1]
		s.Value, s.Size = imageText+1+i, maxDecoded+1
	}
	m.symbols[1].Size = maxDecoded + 1
	m.place()
	m.segments[0].Off, m.segments[0].Filesz, m.sections[1].Size = 1<<20, 1<<40, 1<<40
	f, err := Open(endless{head: m.bytes(), pattern: bytes.Repeat([]byte{0x90}, 64<<10)})
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	_, err = f.Functions("work", maxDecoded)
	wantError(t, err, "had to be read")
	if took := time.Since(begin); took > time.Minute {
		t.Errorf("took %v", took)
	}
}

// shrinking is a file that somebody truncates while it is read.
type shrinking struct {
	io.ReaderAt
	reads int
}

func (s *shrinking) ReadAt(p []byte, at int64) (int, error) {
	if s.reads--; s.reads < 0 {
		return 0, io.EOF
	}
	return s.ReaderAt.ReadAt(p, at)
}

func ask(f *File) []error {
	_, a := f.Functions("work", 0)
	_, b := f.Functions("shop::add", 0)
	_, c := f.Address(imageText + 1)
	_, d := f.Tracepoints("demo", "work")
	return []error{a, b, c, d}
}

func TestFileThatShrinksIsAnErrorAndNoMore(t *testing.T) {
	data := newImage().bytes()
	for n := range len(data) {
		if f, err := Open(bytes.NewReader(data[:n])); err == nil {
			ask(f)
		}
	}
	whole := 0
	for reads := range 40 {
		f, err := Open(&shrinking{bytes.NewReader(data), reads})
		if err != nil {
			continue
		}
		for _, err := range ask(f) {
			if err == nil {
				whole++
			} else if !errors.Is(err, io.ErrUnexpectedEOF) && !strings.Contains(err.Error(), "no symbol tells") && !strings.Contains(err.Error(), "no such") {
				t.Errorf("after %d reads: %v", reads, err)
			}
		}
	}
	if whole < 4 {
		t.Errorf("%d answers", whole)
	}
}

// endless is a file with the beginning of another one, and a pattern behind it. Or with functions in the table of symbols, whose
// names are so many bytes apart.
type endless struct {
	head    []byte
	pattern []byte
	apart   int64
}

const (
	endlessSymbols = 24 << 20
	endlessNames   = 1 << 30
)

func (e endless) ReadAt(p []byte, at int64) (int, error) {
	n := 0
	if e.apart > 0 && at >= endlessSymbols && at < endlessNames {
		for ; n+symbolSize <= len(p); n += symbolSize {
			putFunction(p[n:], (at-endlessSymbols+int64(n))/symbolSize*e.apart+1)
		}
		return n, nil
	}
	if at < int64(len(e.head)) {
		n = copy(p, e.head[at:])
	}
	for n < len(p) {
		n += copy(p[n:], e.pattern[(at+int64(n))%int64(len(e.pattern)):])
	}
	return len(p), nil
}

// putFunction writes a symbol of one, whose name is at an offset.
func putFunction(p []byte, name int64) {
	binary.LittleEndian.PutUint32(p, uint32(name))
	copy(p[4:], []byte{byte(elf.STT_FUNC), 0, 1, 0})
	binary.LittleEndian.PutUint64(p[8:], imageText)
	binary.LittleEndian.PutUint64(p[16:], 5)
}

func TestHugeFilesAreReadInLittleMemoryAndTime(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	one := make([]byte, symbolSize)
	putFunction(one, 1)
	long := "_ZN4shop" + strings.Repeat("3addI", 40) + "i" + strings.Repeat("E", 41) + "vS_S_S_S_"
	for name, c := range map[string]endless{
		"symbols of one name":       {pattern: one},
		"names without end":         {pattern: []byte("_ZN4shop3addEi")},
		"nearly the name":           {pattern: []byte("works\x00worke\x00wor")},
		"functions of the name":     {pattern: []byte("_ZN4shop3addEi\x00"), apart: 15},
		"functions without end":     {pattern: []byte("_ZN4shop3addEi"), apart: 14},
		"functions with hard names": {pattern: []byte(long + "\x00"), apart: int64(len(long) + 1)},
		"functions nearly so":       {pattern: []byte("works\x00"), apart: 6},
	} {
		t.Run(name, func(t *testing.T) {
			m := newImage()
			m.sections[2].Off, m.sections[2].Size = endlessSymbols, maxSymbols*symbolSize
			m.sections[3].Off, m.sections[3].Size = endlessNames, maxStrings
			m.sections[4].Off, m.sections[4].Size = 24<<32, 1<<40
			c.head, c.pattern = m.bytes(), bytes.Repeat(c.pattern, 1+(256<<10)/len(c.pattern))
			if c.apart > 0 { // names begin at 1
				c.pattern = append(c.pattern[endlessNames%int64(len(c.pattern)):], c.pattern[:endlessNames%int64(len(c.pattern))]...)
			}
			f, err := Open(c)
			if err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			begin := time.Now()
			for _, err := range ask(f) {
				if err != nil && len(err.Error()) > 4000 {
					t.Errorf("an error of %d bytes", len(err.Error()))
				}
			}
			_, err = f.Functions("shop::addd", 0)
			took := time.Since(begin)
			runtime.ReadMemStats(&after)
			allocated := (after.TotalAlloc - before.TotalAlloc) >> 20
			t.Logf("%v, %d MiB allocated in all; %v", took, allocated, err)
			if took > 90*time.Second || allocated > 256 {
				t.Errorf("took %v, allocated %d MiB in all", took, allocated)
			}
		})
	}
}
