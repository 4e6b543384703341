package binary

import (
	"debug/elf"
	"testing"
)

func TestOperandsOfX86(t *testing.T) {
	f := &File{machine: elf.EM_X86_64}
	for text, want := range map[string]Operand{
		"-4@%eax":                 {Kind: Register, Register: ax, Size: 4, Signed: true},
		"8@%rdi":                  {Kind: Register, Register: di, Size: 8},
		"8@%r15":                  {Kind: Register, Register: r15, Size: 8},
		"4@%r8d":                  {Kind: Register, Register: r8, Size: 4},
		"2@%r10w":                 {Kind: Register, Register: r10, Size: 2},
		"-1@%r11b":                {Kind: Register, Register: r11, Size: 1, Signed: true},
		"1@%al":                   {Kind: Register, Register: ax, Size: 1},
		"1@%ah":                   {Kind: Register, Register: ax, Shift: 8, Size: 1},
		"-1@%dh":                  {Kind: Register, Register: dx, Shift: 8, Size: 1, Signed: true},
		"1@%sil":                  {Kind: Register, Register: si, Size: 1},
		"-2@%cx":                  {Kind: Register, Register: cx, Size: 2, Signed: true},
		"4@%rbx":                  {Kind: Register, Register: bx, Size: 4},
		"-8@%esi":                 {Kind: Register, Register: si, Size: 4, Signed: true}, // what the register has, and no more
		"8@%rsp":                  {Kind: Register, Register: sp, Size: 8},
		"%rbp":                    {Kind: Register, Register: bp, Size: 8},
		"8@$5":                    {Kind: Constant, Constant: 5, Size: 8},
		"-4@$-5":                  {Kind: Constant, Constant: -5, Size: 4, Signed: true},
		"4@$-1":                   {Kind: Constant, Constant: 0xffffffff, Size: 4},
		"-4@$4294967295":          {Kind: Constant, Constant: -1, Size: 4, Signed: true},
		"8@$18446744073709551615": {Kind: Constant, Constant: -1, Size: 8},
		"8@$0x10":                 {Kind: Constant, Constant: 16, Size: 8},
		"-4@-20(%rbp)":            {Kind: Memory, Register: bp, Constant: -20, Size: 4, Signed: true},
		"8@(%rax)":                {Kind: Memory, Register: ax, Size: 8},
		"8@8(%rax,%rbx,8)":        {Kind: Memory, Register: ax, Index: bx, Scale: 8, Constant: 8, Size: 8},
		"8@(%rax, %rbx)":          {Kind: Memory, Register: ax, Index: bx, Scale: 1, Size: 8},
		"8@(,%rbx,4)":             {Kind: Memory, Register: NoRegister, Index: bx, Scale: 4, Size: 8},
		"2@0x10(%r12)":            {Kind: Memory, Register: r12, Constant: 16, Size: 2},
		"8f@%xmm0":                {Text: "8f@%xmm0"},
		"8@%xmm0":                 {Text: "8@%xmm0"},
		"-8f@(%rax)":              {Text: "-8f@(%rax)"},
		"16@%rax":                 {Text: "16@%rax"},
		"3@%rax":                  {Text: "3@%rax"},
		"0@%rax":                  {Text: "0@%rax"},
		"-128@%rax":               {Text: "-128@%rax"},
		"8@%fs:0":                 {Text: "8@%fs:0"},
		"8@%fs:(%rax)":            {Text: "8@%fs:(%rax)"},
		"8@(%eax)":                {Text: "8@(%eax)"},
		"8@(%rax,%rsp,8)":         {Text: "8@(%rax,%rsp,8)"},
		"8@(%rax,%rbx,3)":         {Text: "8@(%rax,%rbx,3)"},
		"8@(%rax,%rbx,8,1)":       {Text: "8@(%rax,%rbx,8,1)"},
		"8@()":                    {Text: "8@()"},
		"8@(rax)":                 {Text: "8@(rax)"},
		"8@(%rax":                 {Text: "8@(%rax"},
		"8@12(%rip)":              {Text: "8@12(%rip)"},
		"8@1234":                  {Text: "8@1234"},
		"8@$":                     {Text: "8@$"},
		"8@":                      {Text: "8@"},
		"@":                       {Text: "@"},
		"8@x0":                    {Text: "8@x0"},
	} {
		got, err := f.operands(newReader(nil), text, 0)
		if err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
}

func TestOperandsOfARM64(t *testing.T) {
	f := &File{machine: elf.EM_AARCH64}
	for text, want := range map[string]Operand{
		"-4@w0":             {Kind: Register, Register: 0, Size: 4, Signed: true},
		"8@x30":             {Kind: Register, Register: 30, Size: 8},
		"4@x5":              {Kind: Register, Register: 5, Size: 4},
		"8@sp":              {Kind: Register, Register: armSP, Size: 8},
		"8@xzr":             {Kind: Constant, Size: 8},
		"4@5":               {Kind: Constant, Constant: 5, Size: 4},
		"-4@-3":             {Kind: Constant, Constant: -3, Size: 4, Signed: true},
		"8@#7":              {Kind: Constant, Constant: 7, Size: 8},
		"8@[x0]":            {Kind: Memory, Register: 0, Size: 8},
		"8@[sp, 16]":        {Kind: Memory, Register: armSP, Constant: 16, Size: 8},
		"-4@[sp,-4]":        {Kind: Memory, Register: armSP, Constant: -4, Size: 4, Signed: true},
		"8@[x29, #24]":      {Kind: Memory, Register: 29, Constant: 24, Size: 8},
		"8@[x1, x2]":        {Kind: Memory, Register: 1, Index: 2, Scale: 1, Size: 8},
		"8@[x1,x2,lsl #3]":  {Kind: Memory, Register: 1, Index: 2, Scale: 8, Size: 8},
		"4@[x1, x2, lsl 2]": {Kind: Memory, Register: 1, Index: 2, Scale: 4, Size: 4},
	} {
		got, err := f.operands(newReader(nil), text, 0)
		if err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"8@x31", "8@x01", "8@x-1", "8@v0", "8f@d0", "8@[w0]", "8@[x0", "8@[x0, 8]!", "8@[x1, w2, sxtw 3]", "8@[x1, x2, lsl 4]", "8@[x1, x2, lsl #-1]", "8@[x1, 8, 8]",
		"8@[x0, :lo12:global]", "8@[]", "8@x", "8@", "8@%rax",
	} {
		if got, err := f.operands(newReader(nil), text, 0); err != nil || len(got) != 1 || got[0] != (Operand{Text: text}) {
			t.Errorf("%s: %+v, %v; want it unknown", text, got, err)
		}
	}
}

func TestArgumentsAreThoseOfTheCallingConvention(t *testing.T) {
	for _, c := range []struct {
		machine    elf.Machine
		abi        ABI
		words      string // as letters, A for the first word
		result, sp uint8
	}{
		{elf.EM_X86_64, C, "ONMLJI", 10, 19},
		{elf.EM_X86_64, Go, "KFLONJIHG", 10, 19},
		{elf.EM_AARCH64, C, "ABCDEFGH", 0, 31},
		{elf.EM_AARCH64, Go, "ABCDEFGHIJKLMNOP", 0, 31},
	} {
		f := &File{machine: c.machine}
		for n, letter := range c.words {
			o, err := f.Argument(n, c.abi)
			if err != nil || o != (Operand{Kind: Register, Register: uint8(letter - 'A'), Size: 8, Signed: true}) {
				t.Errorf("%v, %v, %d: %+v, %v", c.machine, c.abi, n, o, err)
			}
		}
		for _, n := range []int{-1, len(c.words)} {
			_, err := f.Argument(n, c.abi)
			wantError(t, err, "0 to ", "are")
		}
		if f.ReturnValue().Register != c.result || f.StackPointer() != c.sp {
			t.Errorf("%v: %+v, %d", c.machine, f.ReturnValue(), f.StackPointer())
		}
	}
}
