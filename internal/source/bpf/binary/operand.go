package binary

import (
	"debug/elf"
	"fmt"
	"strconv"
	"strings"
)

// maxArguments is what a tracepoint may have at most. sys/sdt.h can write 12.
const maxArguments = 64

// operands reads the arguments of a tracepoint at an address: -4@%eax 8@8(%rax,%rbx,8) on x86-64, -4@w0 8@[sp, 16] on arm64.
func (f *File) operands(in *reader, text string, address uint64) ([]Operand, error) {
	var all []Operand
	for _, argument := range split(text) {
		o, ok := f.operand(in, argument, address)
		if !ok {
			o = Operand{Text: argument}
		}
		if all = append(all, o); len(all) > maxArguments {
			return nil, fmt.Errorf("it has more than %d arguments", maxArguments)
		}
	}
	return all, nil
}

// split divides arguments at spaces, but not within brackets.
func split(text string) []string {
	depth := 0
	return strings.FieldsFunc(text, func(r rune) bool {
		switch r {
		case '[', '(':
			depth++
		case ']', ')':
			depth--
		}
		return r == ' ' && depth <= 0
	})
}

// operand reads one argument, size@value.
func (f *File) operand(in *reader, argument string, address uint64) (Operand, bool) {
	sized, value, ok := strings.Cut(argument, "@")
	if !ok {
		sized, value = "8", argument
	}
	size, err := strconv.ParseInt(sized, 10, 8)
	if err != nil {
		return Operand{}, false
	}
	var o Operand
	if f.machine == elf.EM_AARCH64 {
		o, ok = parseARM64(value)
	} else if o, ok = parseX86(value); !ok {
		o, ok = f.parseSymbol(in, value, address)
	}
	if o.Signed = size < 0; o.Signed {
		size = -size
	}
	if !ok || size != 1 && size != 2 && size != 4 && size != 8 {
		return Operand{}, false
	}
	// A register may be narrower than what is said to be in it.
	if o.Size == 0 || int64(o.Size) > size {
		o.Size = uint8(size)
	}
	if o.Kind == Constant {
		o.Constant = extend(o.Constant, o.Size, o.Signed)
	}
	return o, true
}

// extend is the value that the lowest bytes of a number have.
func extend(n int64, size uint8, signed bool) int64 {
	unused := 64 - 8*size
	if signed {
		return n << unused >> unused
	}
	return int64(uint64(n) << unused >> unused)
}

// number reads decimal or 0x, as large as 64 bits take with or without sign.
func number(text string) (int64, bool) {
	if n, err := strconv.ParseInt(text, 0, 64); err == nil {
		return n, true
	}
	n, err := strconv.ParseUint(text, 0, 64)
	return int64(n), err == nil
}

// parseSymbol reads name(%rip) and name+4(%rip), and the same without register. When a probe is hit, the instruction pointer has its address.
func (f *File) parseSymbol(in *reader, value string, address uint64) (Operand, bool) {
	value = strings.TrimSuffix(value, "(%rip)")
	name, added := value, int64(0)
	if sign := strings.LastIndexAny(value, "+-"); sign > 0 {
		n, err := strconv.ParseInt(value[sign:], 0, 32)
		if err != nil {
			return Operand{}, false
		}
		name, added = value[:sign], n
	}
	if !isSymbol(name) {
		return Operand{}, false
	}
	all, err := f.find(in, exactly(name))
	if err != nil {
		return Operand{}, false
	}
	var at *uint64
	for _, s := range all {
		if s.section == elf.SHN_UNDEF || s.kind == elf.STT_TLS {
			continue
		}
		if at != nil && *at != s.value {
			return Operand{}, false // static variables of several files
		}
		at = &s.value
	}
	if at == nil {
		return Operand{}, false
	}
	return Operand{Kind: Memory, Register: ip, Constant: int64(*at) + added - int64(address)}, true
}

func isSymbol(name string) bool {
	for i, r := range name {
		if r != '_' && r != '.' && r != '$' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != "" && name[0] != '$'
}
