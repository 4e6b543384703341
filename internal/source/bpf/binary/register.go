package binary

import (
	"debug/elf"
	"fmt"
)

// ABI is a calling convention.
type ABI uint8

const (
	// C is what the processor's ELF supplement says, for C, C++ and nearly everything else.
	C ABI = iota
	// Go is ABIInternal (go/src/cmd/compile/abi-internal.md).
	Go
)

// Kind is where an operand's value is.
type Kind uint8

const (
	// Unknown is what is not taken: floating point, and what this package cannot read. Text has it.
	Unknown Kind = iota
	// Constant is a value that the program had when it was compiled.
	Constant
	// Register is a part of one.
	Register
	// Memory is at Constant + Register + Index * Scale.
	Memory
)

// NoRegister stands for the base that an operand in memory does without.
const NoRegister uint8 = 0xff

// Operand is where a value is when a probe is hit. Registers are numbered by their 64-bit word in what the kernel shows of them
// (linux/bpf_perf_event.h: struct pt_regs, struct user_pt_regs).
type Operand struct {
	Kind     Kind
	Register uint8
	Shift    uint8 // of a register to the right, in bits: %ah is 8 bits from bit 8
	Index    uint8 // where Scale is not 0
	Scale    uint8 // 1, 2, 4, 8, or 0 without index
	Constant int64 // value, or displacement
	Size     uint8 // 1, 2, 4, 8
	Signed   bool
	Text     string // of an unknown one, as the file has it
}

// Words of struct pt_regs (linux/arch/x86/include/uapi/asm/ptrace.h).
const (
	r15 = iota
	r14
	r13
	r12
	bp
	bx
	r11
	r10
	r9
	r8
	ax
	cx
	dx
	si
	di
	_ // orig_ax
	ip
	_ // cs
	_ // flags
	sp
)

// Words of struct user_pt_regs (linux/arch/arm64/include/uapi/asm/ptrace.h). Those of x0 to x30 are their numbers.
const (
	armSP = 31
	armPC = 32
)

var arguments = map[elf.Machine][2][]uint8{
	elf.EM_X86_64: {
		C:  {di, si, dx, cx, r8, r9},
		Go: {ax, bx, cx, di, si, r8, r9, r10, r11},
	},
	elf.EM_AARCH64: {
		C:  {0, 1, 2, 3, 4, 5, 6, 7},
		Go: {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
	},
}

// Argument is an integer argument of a function, from 0, when the function is entered.
func (f *File) Argument(n int, abi ABI) (Operand, error) {
	registers := arguments[f.machine][abi]
	if n < 0 || n >= len(registers) {
		return Operand{}, fmt.Errorf("argument %d is not in a register: 0 to %d are", n, len(registers)-1)
	}
	return word(registers[n]), nil
}

// ReturnValue is the integer that a function returns, when it does.
func (f *File) ReturnValue() Operand {
	if f.machine == elf.EM_AARCH64 {
		return word(0)
	}
	return word(ax)
}

// StackPointer is the word of the registers that has it.
func (f *File) StackPointer() uint8 {
	if f.machine == elf.EM_AARCH64 {
		return armSP
	}
	return sp
}

func word(register uint8) Operand {
	return Operand{Kind: Register, Register: register, Size: 8, Signed: true}
}

// ReturnPops is how much higher the stack pointer is after a function's return than at its entry.
func (f *File) ReturnPops() uint8 {
	if f.machine == elf.EM_AARCH64 {
		return 0
	}
	return 8
}
