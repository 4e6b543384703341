package binary

import (
	"bytes"
	"debug/elf"
	"slices"
	"testing"
)

// FuzzOpen asks everything of a file, of which the fuzzer makes the header, some of the tables, the code and the notes.
func FuzzOpen(f *testing.F) {
	f.Add(newImage().bytes(), "work", uint64(1))
	f.Add(newImage().bytes(), "shop::add(int)", uint64(0))
	arm := newImage()
	arm.header.Machine = uint16(elf.EM_AARCH64)
	f.Add(arm.bytes(), "data", uint64(4))
	bare := newImage()
	bare.header.Shoff = 0
	f.Add(bare.bytes(), "work", uint64(0))
	f.Fuzz(func(t *testing.T, data []byte, name string, at uint64) {
		file, err := Open(bytes.NewReader(data))
		if err != nil {
			return
		}
		sites, err := file.Functions(name, at)
		checkSites(t, data, sites, err)
		site, err := file.Address(at)
		checkSites(t, data, []Site{site}, err)
		tracepoints, err := file.Tracepoints("demo", name)
		sites = nil
		for _, p := range tracepoints {
			sites = append(sites, p.Site)
			if p.Semaphore != 0 && p.Semaphore > uint64(len(data)) && file.segments == nil {
				t.Errorf("%+v", p)
			}
			for _, o := range p.Arguments {
				checkOperand(t, o)
			}
		}
		checkSites(t, data, sites, err)
	})
}

func checkSites(t *testing.T, data []byte, sites []Site, err error) {
	t.Helper()
	if err != nil {
		return
	}
	if len(sites) == 0 {
		t.Error("neither a place nor an error")
	}
	for _, s := range sites {
		if s.Nop > maxInstruction {
			t.Errorf("%+v", s)
		}
		// On x86-64, the instruction was read there.
		if s.Offset >= uint64(len(data)) && elf.Machine(data[18]) == elf.EM_X86_64 {
			t.Errorf("%+v in a file of %d bytes", s, len(data))
		}
	}
}

func checkOperand(t *testing.T, o Operand) {
	t.Helper()
	sized := slices.Contains([]uint8{1, 2, 4, 8}, o.Size) && o.Text == ""
	ok := false
	switch o.Kind {
	case Unknown:
		ok = o == (Operand{Text: o.Text}) && o.Text != ""
	case Constant:
		ok = sized && o == (Operand{Kind: Constant, Constant: extend(o.Constant, o.Size, o.Signed), Size: o.Size, Signed: o.Signed})
	case Register:
		ok = sized && o.Register <= armPC && (o.Shift == 0 || o.Shift == 8 && o.Size == 1) && o.Scale == 0 && o.Constant == 0
	case Memory:
		ok = sized && (o.Register <= armPC || o.Register == NoRegister && o.Scale != 0) && o.Index <= armPC &&
			slices.Contains([]uint8{0, 1, 2, 4, 8}, o.Scale) && o.Shift == 0
	}
	if !ok {
		t.Errorf("%+v", o)
	}
}

// FuzzOperand reads the arguments of a tracepoint.
func FuzzOperand(f *testing.F) {
	for _, text := range []string{
		"-4@%eax 8@8(%rax,%rbx,8)", "8@$-5 1@%ah", "4@work+4(%rip)", "8f@%xmm0", "-4@w0 8@[sp, 16]", "8@[x1,x2,lsl #3] 4@5", "8@(,%rbx,4) %rdi", "8@data-1(%rip)",
	} {
		f.Add(text)
	}
	x86, arm := newImage(), newImage()
	arm.header.Machine = uint16(elf.EM_AARCH64)
	var files []*File
	for _, m := range []*image{x86, arm} {
		file, err := Open(bytes.NewReader(m.bytes()))
		if err != nil {
			f.Fatal(err)
		}
		files = append(files, file)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, file := range files {
			all, err := file.operands(newReader(file.r), text, imageText)
			if err != nil && len(all) != 0 {
				t.Errorf("%+v and %v", all, err)
			}
			for _, o := range all {
				checkOperand(t, o)
			}
		}
	})
}
