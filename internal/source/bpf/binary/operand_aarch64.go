package binary

import (
	"strconv"
	"strings"
)

// parseARM64 reads constant, x0, w0, [base], [base, displacement] and [base, index, lsl shift].
func parseARM64(value string) (Operand, bool) {
	if n, ok := number(strings.TrimPrefix(value, "#")); ok {
		return Operand{Kind: Constant, Constant: n}, true
	}
	if value == "xzr" || value == "wzr" {
		return Operand{Kind: Constant}, true
	}
	if register, size, ok := armRegister(value); ok {
		return Operand{Kind: Register, Register: register, Size: size}, true
	}
	inside, opened := strings.CutPrefix(value, "[")
	inside, closed := strings.CutSuffix(inside, "]")
	if !opened || !closed {
		return Operand{}, false
	}
	parts := strings.Split(inside, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	base, size, ok := armRegister(parts[0])
	if !ok || size != 8 || len(parts) > 3 {
		return Operand{}, false
	}
	o := Operand{Kind: Memory, Register: base}
	if len(parts) == 1 {
		return o, true
	}
	if n, ok := number(strings.TrimPrefix(parts[1], "#")); ok {
		o.Constant = n
		return o, len(parts) == 2
	}
	if o.Index, size, ok = armRegister(parts[1]); !ok || size != 8 || o.Index == armSP {
		return Operand{}, false
	}
	o.Scale = 1
	if len(parts) == 3 {
		text, shifted := strings.CutPrefix(parts[2], "lsl ")
		shift, ok := number(strings.TrimPrefix(strings.TrimSpace(text), "#"))
		if !shifted || !ok || shift < 0 || shift > 3 {
			return Operand{}, false
		}
		o.Scale = 1 << shift
	}
	return o, true
}

// armRegister is a general register: x0 to x30, w0 to w30, sp.
func armRegister(name string) (word, size uint8, ok bool) {
	if name == "sp" {
		return armSP, 8, true
	}
	if len(name) < 2 || name[1] < '0' || name[1] > '9' || len(name) > 2 && name[1] == '0' {
		return 0, 0, false
	}
	n, err := strconv.ParseUint(name[1:], 10, 8)
	if err != nil || n > 30 {
		return 0, 0, false
	}
	switch name[0] {
	case 'x':
		return uint8(n), 8, true
	case 'w':
		return uint8(n), 4, true
	}
	return 0, 0, false
}
