package binary

import (
	"slices"
	"strings"
)

// encoding is how an x86-64 instruction is written.
type encoding struct {
	prefixes []byte
	rex      byte
	vector   bool   // VEX or EVEX: opcode is what follows those
	opcode   byte   // the first byte
	rest     []byte // all behind it
}

func encode(code []byte) encoding {
	var e encoding
	n := 0
	for n < len(code) && slices.Contains([]byte{0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3}, code[n]) {
		n++
	}
	e.prefixes = code[:n]
	if n < len(code) && code[n]&0xf0 == 0x40 {
		e.rex = code[n]
		n++
	}
	if n < len(code) {
		skip := 0
		switch code[n] {
		case 0xc5:
			skip = 2
		case 0xc4:
			skip = 3
		case 0x62:
			skip = 4
		}
		if e.vector = skip > 0 && n+skip < len(code); e.vector {
			n += skip
		}
	}
	if n < len(code) {
		e.opcode, e.rest = code[n], code[n+1:]
	}
	return e
}

// near says that the kernel takes the opcode for a relative jump or call, or a nop.
func (e encoding) near() bool {
	return e.opcode >= 0x70 && e.opcode <= 0x7f || e.opcode == 0x90 || e.opcode == 0xe8 || e.opcode == 0xe9 || e.opcode == 0xeb ||
		!e.vector && e.opcode == 0x0f && len(e.rest) > 0 && e.rest[0]&0xf0 == 0x80
}

// refusedOpcodes are 0 in good_insns_64 (linux/arch/x86/kernel/uprobes.c).
const refusedOpcodes = "\x06\x07\x0e\x16\x17\x1e\x1f\x27\x2f\x37\x3f\x60\x61\x62\x6c\x6d\x6e\x6f\x82\x9a\xcc\xcd\xce\xcf\xd4\xd5\xd6" +
	"\xe4\xe5\xe6\xe7\xea\xec\xed\xee\xef\xf1\xf4\xfa\xfb"

// refused says why no probe can be there, if so. The kernel refuses most of this; the rest it would mistake for something else.
func (e encoding) refused() string {
	switch {
	case len(e.rest) == 0 && e.opcode == 0:
		return "it is cut off"
	case slices.ContainsFunc(e.prefixes, func(p byte) bool { return strings.IndexByte("\x26\x2e\x36\x3e\xf0", p) >= 0 }):
		return "the kernel takes none with a segment or lock prefix"
	case e.vector && e.near():
		// Its decoder drops the prefix, and what remains is jumped over.
		return "the kernel takes it for a jump"
	case e.opcode == 0x90 && e.rex&1 != 0:
		return "the kernel takes it for a nop"
	case e.near() && e.opcode != 0x90 && slices.Contains(e.prefixes, 0x66):
		return "the kernel takes no jump with a size prefix"
	case strings.IndexByte(refusedOpcodes, e.opcode) >= 0,
		!e.vector && e.opcode == 0x8e && len(e.rest) > 0 && e.rest[0]>>3&7 == 2: // mov to %ss
		return "the kernel takes none there"
	}
	return ""
}

// emulated says that the kernel runs the instruction itself, in every version.
func (e encoding) emulated() bool {
	if e.opcode >= 0x50 && e.opcode <= 0x57 && !e.vector {
		return len(e.prefixes) == 0 && (e.rex == 0 || e.rex == 0x41)
	}
	return e.near()
}

// nop is the length of an instruction that does nothing, or 0.
func (e encoding) nop(length int) uint8 {
	short := e.opcode == 0x90 && !slices.Contains(e.prefixes, 0xf3)
	long := e.opcode == 0x0f && len(e.rest) > 1 && e.rest[0] == 0x1f && e.rest[1]>>3&7 == 0
	if e.vector || !short && !long {
		return 0
	}
	return uint8(length)
}
