package binary

import (
	"maps"
	"strings"
)

// part is a part of a register, by its name.
type part struct{ word, shift, size uint8 }

var x86Parts = x86Registers()

func x86Registers() map[string]part {
	all := map[string]part{}
	for name, word := range map[string]uint8{"ax": ax, "bx": bx, "cx": cx, "dx": dx} {
		maps.Copy(all, map[string]part{name[:1] + "l": {word, 0, 1}, name[:1] + "h": {word, 8, 1}})
		maps.Copy(all, map[string]part{name: {word, 0, 2}, "e" + name: {word, 0, 4}, "r" + name: {word, 0, 8}})
	}
	for name, word := range map[string]uint8{"si": si, "di": di, "bp": bp, "sp": sp} {
		maps.Copy(all, map[string]part{name + "l": {word, 0, 1}, name: {word, 0, 2}, "e" + name: {word, 0, 4}, "r" + name: {word, 0, 8}})
	}
	for name, word := range map[string]uint8{"r8": r8, "r9": r9, "r10": r10, "r11": r11, "r12": r12, "r13": r13, "r14": r14, "r15": r15} {
		maps.Copy(all, map[string]part{name + "b": {word, 0, 1}, name + "w": {word, 0, 2}, name + "d": {word, 0, 4}, name: {word, 0, 8}})
	}
	return all
}

// parseX86 reads $constant, %register and displacement(%base,%index,scale).
func parseX86(value string) (Operand, bool) {
	if constant, ok := strings.CutPrefix(value, "$"); ok {
		n, ok := number(constant)
		return Operand{Kind: Constant, Constant: n}, ok
	}
	if name, ok := strings.CutPrefix(value, "%"); ok {
		p, ok := x86Parts[name]
		return Operand{Kind: Register, Register: p.word, Shift: p.shift, Size: p.size}, ok
	}
	displacement, inside, ok := strings.Cut(value, "(")
	inside, closed := strings.CutSuffix(inside, ")")
	if !ok || !closed {
		return Operand{}, false
	}
	o := Operand{Kind: Memory, Register: NoRegister}
	if displacement != "" {
		if o.Constant, ok = number(displacement); !ok {
			return Operand{}, false
		}
	}
	parts := strings.Split(inside, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	if parts[0] != "" {
		if o.Register, ok = x86Address(parts[0]); !ok {
			return Operand{}, false
		}
	}
	if len(parts) > 1 {
		if o.Index, ok = x86Address(parts[1]); !ok || parts[1] == "%rsp" {
			return Operand{}, false
		}
		o.Scale = 1
	}
	if len(parts) > 2 {
		scale, ok := number(parts[2])
		if !ok || scale != 1 && scale != 2 && scale != 4 && scale != 8 {
			return Operand{}, false
		}
		o.Scale = uint8(scale)
	}
	return o, len(parts) <= 3 && (o.Register != NoRegister || o.Scale != 0)
}

// x86Address is a register that an address may be in.
func x86Address(name string) (uint8, bool) {
	p, ok := x86Parts[strings.TrimPrefix(name, "%")]
	return p.word, ok && p.size == 8 && name[0] == '%'
}
