package eventheader

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"net/netip"
	"unicode/utf16"
	"unicode/utf8"
)

// Kind is what a value is.
type Kind uint8

const (
	// None is the value of a field that the event does not have.
	None Kind = iota
	// Int is in two's complement.
	Int
	// Uint is unsigned.
	Uint
	// Float has the bits of a float64.
	Float
	// Bool is 0 or 1.
	Bool
	// Text is in Bytes, as UTF-8 if what was written as such is. UUIDs and IP addresses are texts.
	Text
	// Binary is in Bytes.
	Binary
)

// Value is that of a field.
type Value struct {
	Bytes []byte
	Bits  uint64
	Kind  Kind
}

// Formats: what a value means. Unknown ones, and those that do not go with the encoding, are the encoding's default:
// unsigned integers, binary for 16 bytes, and text.
const (
	formatUint       = 1
	formatInt        = 2
	formatHexInt     = 3
	formatErrno      = 4
	formatPID        = 5
	formatTime       = 6 // seconds since 1970
	formatBool       = 7
	formatFloat      = 8
	formatHexBytes   = 9
	formatLatin1     = 10
	formatUTF        = 11
	formatUTFWithBOM = 12
	formatXML        = 13
	formatJSON       = 14
	formatUUID       = 15
	formatPort       = 16
	formatIPv4       = 17
	formatIPv6       = 18
)

// fixed reads a value of 1, 2, 4, 8 or 16 bytes.
func (w *walk) fixed(b []byte, format uint8) Value {
	size := len(b)
	if format == formatHexBytes {
		return Value{Kind: Binary, Bytes: b}
	}
	if size == 16 {
		switch format {
		case formatUUID:
			return w.converted(appendUUID(w.text, b))
		case formatIPv6:
			return w.converted(netip.AddrFrom16([16]byte(b)).AppendTo(w.text))
		}
		return Value{Kind: Binary, Bytes: b}
	}
	bits := unit(b, size, w.order)
	switch {
	case format == formatInt, size >= 4 && format == formatTime, size == 4 && (format == formatErrno || format == formatPID):
		unused := 64 - 8*size
		return Value{Kind: Int, Bits: uint64(int64(bits<<unused) >> unused)}
	case format == formatBool && size <= 4:
		return Value{Kind: Bool, Bits: min(bits, 1)}
	case format == formatFloat && size == 4:
		return Value{Kind: Float, Bits: math.Float64bits(float64(math.Float32frombits(uint32(bits))))}
	case format == formatFloat && size == 8:
		return Value{Kind: Float, Bits: bits}
	case format == formatLatin1 && size == 1, format == formatUTF && (size == 2 || size == 4):
		return w.converted(appendUTF(w.text, b, size, w.order))
	case format == formatPort && size == 2:
		return Value{Kind: Uint, Bits: uint64(binary.BigEndian.Uint16(b))}
	case format == formatIPv4 && size == 4:
		return w.converted(netip.AddrFrom4([4]byte(b)).AppendTo(w.text))
	}
	return Value{Kind: Uint, Bits: bits}
}

// str reads a string, whose format may also be that of a number: then it has its size, or none and no value.
func (w *walk) str(b []byte, s *step) Value {
	switch s.format {
	case formatHexBytes:
		return Value{Kind: Binary, Bytes: b}
	case formatUTF, formatUTFWithBOM, formatXML, formatJSON:
		return w.utf(b, s)
	case formatLatin1:
		if s.n == 1 {
			return w.converted(appendUTF(w.text, b, 1, w.order))
		}
	case formatUint, formatInt, formatHexInt, formatErrno, formatPID, formatTime, formatBool, formatFloat,
		formatUUID, formatPort, formatIPv4, formatIPv6:
		if s.op == opCounted && s.n == 1 {
			switch len(b) {
			case 0:
				return Value{}
			case 1, 2, 4, 8, 16:
				return w.fixed(b, s.format)
			}
			return Value{Kind: Binary, Bytes: b}
		}
	}
	if s.binary {
		return Value{Kind: Binary, Bytes: b}
	}
	return w.utf(b, s)
}

// utf reads text, and the mark of its byte order where the format says that there may be one.
func (w *walk) utf(b []byte, s *step) Value {
	order := w.order
	if len(b) >= s.n && s.format > formatUTF {
		b, order = cutMark(b, s.n, order)
	}
	if s.n == 1 {
		return Value{Kind: Text, Bytes: b}
	}
	return w.converted(appendUTF(w.text, b, s.n, order))
}

func cutMark(b []byte, size int, order binary.ByteOrder) ([]byte, binary.ByteOrder) {
	const mark = 0xfeff
	if size == 1 {
		if r, n := utf8.DecodeRune(b); r == mark {
			b = b[n:]
		}
		return b, order
	}
	for _, o := range []binary.ByteOrder{order, binary.LittleEndian, binary.BigEndian} {
		if unit(b, size, o) == mark {
			return b[size:], o
		}
	}
	return b, order
}

// converted is the text that was appended to the walk's.
func (w *walk) converted(text []byte) Value {
	v := Value{Kind: Text, Bytes: text[len(w.text):len(text):len(text)]}
	w.text = text
	return v
}

// appendUTF appends, as UTF-8, characters of 1 byte (Latin-1), 2 (UTF-16) or 4 (UTF-32).
func appendUTF(dst, b []byte, size int, order binary.ByteOrder) []byte {
	for ; len(b) >= size; b = b[size:] {
		r := rune(unit(b, size, order))
		if size == 2 && utf16.IsSurrogate(r) {
			low := rune(utf8.RuneError)
			if len(b) >= 4 {
				low = rune(unit(b[2:], 2, order))
			}
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				b = b[2:]
			}
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}

func appendUUID(dst, b []byte) []byte {
	for i, end := range []int{4, 6, 8, 10, 16} {
		if i > 0 {
			dst = append(dst, '-')
		}
		start := []int{0, 4, 6, 8, 10}[i]
		dst = hex.AppendEncode(dst, b[start:end])
	}
	return dst
}

// unit is the number in the first 1, 2, 4 or 8 bytes.
func unit(b []byte, size int, order binary.ByteOrder) uint64 {
	switch size {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(order.Uint16(b))
	case 4:
		return uint64(order.Uint32(b))
	}
	return order.Uint64(b)
}
