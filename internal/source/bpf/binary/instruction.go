package binary

import (
	"debug/elf"
	"fmt"
	"strings"

	"golang.org/x/arch/x86/x86asm"
)

const (
	maxInstruction = 15      // bytes, on x86-64
	maxDecoded     = 4 << 20 // bytes of a function, before a place in it
	decodingCosts  = 128     // times what reading costs
)

// endbr64 begins functions that may be jumped to indirectly. It changes nothing that a probe looks at.
const endbr64 = "\xf3\x0f\x1e\xfa"

// instruction is what a probe replaces.
type instruction struct {
	stepped string
	nop     uint8
}

// walk proves that an instruction begins at an address: it decodes all from the beginning of the function.
func (f *File) walk(in *reader, from, to uint64) error {
	if f.machine == elf.EM_AARCH64 {
		if to%4 != 0 {
			return fmt.Errorf("no instruction begins at %#x: they are aligned to 4 bytes", to)
		}
		return nil
	}
	if to-from > maxDecoded {
		return fmt.Errorf("more than %d bytes would have to be decoded", maxDecoded)
	}
	buffer := make([]byte, 16<<10)
	for at := from; at < to; {
		offset, left, ok := f.code(at)
		if !ok {
			return fmt.Errorf("the function leaves the code at %#x", at)
		}
		chunk := buffer[:min(uint64(len(buffer)), left, to-at+maxInstruction)]
		in.left -= decodingCosts * int64(len(chunk))
		if err := in.read(chunk, offset); err != nil {
			return fmt.Errorf("read code: %w", err)
		}
		for n := 0; at < to && (n == 0 || n+maxInstruction <= len(chunk)); {
			i, err := decode(chunk[n:])
			if err != nil {
				return fmt.Errorf("the instruction at %#x (% x), before that place, is unknown here", at, first(chunk[n:]))
			}
			n += i.Len
			at += uint64(i.Len)
			if at > to {
				return fmt.Errorf("no instruction begins at %#x: it is within `%s` at %#x", to, text(i, at-uint64(i.Len)), at-uint64(i.Len))
			}
		}
	}
	return nil
}

// look tells what the kernel does with the instruction at an address. Errors are of instructions that it takes no probe on.
func (f *File) look(in *reader, address uint64) (instruction, error) {
	if f.machine == elf.EM_AARCH64 {
		return instruction{}, nil
	}
	code, err := f.bytes(in, address, maxInstruction)
	if err != nil {
		return instruction{}, err
	}
	i, err := decode(code)
	words := fmt.Sprintf("an instruction that is unknown here (% x)", first(code))
	if err == nil {
		words = fmt.Sprintf("%s (% x)", text(i, address), code[:i.Len])
	}
	e := encode(code)
	if why := e.refused(); why != "" {
		return instruction{}, fmt.Errorf("no probe can be on %s: %s", words, why)
	}
	if e.emulated() {
		words = ""
	}
	return instruction{words, e.nop(i.Len)}, nil
}

// skipEndbr64 is the address behind it.
func (f *File) skipEndbr64(in *reader, address uint64) (uint64, error) {
	if f.machine != elf.EM_X86_64 {
		return address, nil
	}
	code, err := f.bytes(in, address, len(endbr64))
	if err == nil && string(code) == endbr64 {
		address += uint64(len(endbr64))
	}
	return address, err
}

// bytes reads code, up to n bytes.
func (f *File) bytes(in *reader, address uint64, n int) ([]byte, error) {
	offset, left, ok := f.code(address)
	if !ok {
		return nil, fmt.Errorf("there is no code at %#x", address)
	}
	code := make([]byte, min(uint64(n), left))
	if err := in.read(code, offset); err != nil {
		return nil, fmt.Errorf("read code: %w", err)
	}
	return code, nil
}

func first(code []byte) []byte {
	return code[:min(len(code), 8)]
}

func decode(code []byte) (i x86asm.Inst, err error) {
	defer func() {
		if recover() != nil {
			err = x86asm.ErrUnrecognized
		}
	}()
	code = code[:min(len(code), maxInstruction)]
	if strings.HasPrefix(string(code), endbr64) {
		return x86asm.Inst{Op: x86asm.NOP, Mode: 64, Len: len(endbr64)}, nil
	}
	i, err = x86asm.Decode(code, 64)
	if err == nil && (i.Op == 0 || i.Len < 1 || i.Len > len(code)) {
		err = x86asm.ErrUnrecognized // of what it does not know it tells the prefixes alone
	}
	if err == nil && (code[0] == 0xc4 || code[0] == 0xc5) {
		if e := encode(code); e.opcode == 0x77 {
			i.Len = len(code) - len(e.rest) // vzeroupper and vzeroall have no operands, which it takes them to have
		}
	}
	return i, err
}

func text(i x86asm.Inst, address uint64) (s string) {
	defer func() {
		if recover() != nil {
			s = i.Op.String()
		}
	}()
	return strings.TrimSpace(x86asm.GNUSyntax(i, address, nil))
}
