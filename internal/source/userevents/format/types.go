package format

import (
	"strconv"
	"strings"
)

// integers are the sizes, in bytes, of the types that a user_event may declare as a scalar
// (user_field_size, kernel/trace/trace_events_user.c).
var integers = map[string]int{
	"s8": 1, "u8": 1, "s16": 2, "u16": 2, "s32": 4, "u32": 4, "s64": 8, "u64": 8,
	"char": 1, "unsigned char": 1, "short": 2, "unsigned short": 2, "int": 4, "unsigned int": 4,
}

// elements are the sizes of further types, which the kernel's own events have arrays of.
var elements = map[string]int{
	"bool": 1, "__u8": 1, "__s8": 1, "__u16": 2, "__s16": 2, "__u32": 4, "__s32": 4, "__u64": 8, "__s64": 8,
	"uint8_t": 1, "uint16_t": 2, "uint32_t": 4, "uint64_t": 8, "long": 8, "unsigned long": 8,
}

// setType reads a type: what a value is and where. Offset, Size and Signed are known already. It
// is false if the size cannot be that of the type.
func (f *Field) setType(typ string) bool {
	typ = strings.TrimSpace(typ)
	prefix, value := "", typ
	for _, l := range []struct {
		prefix   string
		location Location
	}{{"__data_loc ", DataLoc}, {"__rel_loc ", RelLoc}} {
		if rest, ok := strings.CutPrefix(typ, l.prefix); ok {
			prefix, value, f.Location = l.prefix, strings.TrimSpace(rest), l.location
		}
	}
	if f.Location != Inline && f.Size != locationSize {
		return false
	}
	element, length, array := strings.Cut(value, "[")
	element = strings.TrimSpace(element)
	f.ElementSize = integers[element]
	if f.ElementSize == 0 {
		f.ElementSize = elements[element]
	}
	switch {
	case array:
		f.setArray(strings.TrimSuffix(length, "]"))
		f.Type = prefix + element + f.brackets()
	default:
		f.Type = prefix + element
		if f.Location == Inline {
			f.ElementSize = f.Size
		}
	}
	switch {
	case f.Location != Inline && strings.Contains(value, "char"), // the kernel sees to it that it ends with a NUL
		array && (element == "char" || element == "unsigned char"):
		f.Kind = Text
	case f.Location == Inline && !array && !strings.HasPrefix(element, "struct ") &&
		(f.Size == 1 || f.Size == 2 || f.Size == 4 || f.Size == 8):
		f.Kind = Integer
	}
	return true
}

// setArray finds the size of an array's elements. A length is only used where there is no other way: kernels show that of
// a user_event's array from memory that was never set.
func (f *Field) setArray(length string) {
	if f.ElementSize > 0 || f.Location != Inline {
		return
	}
	if n, err := strconv.ParseUint(length, 10, 31); err == nil && n > 0 && f.Size%int(n) == 0 {
		f.ElementSize = f.Size / int(n)
	}
}

// brackets are those of an array's type, with its length where that is certain.
func (f *Field) brackets() string {
	if f.Location != Inline || f.ElementSize == 0 || f.Size%f.ElementSize != 0 {
		return "[]"
	}
	return "[" + strconv.Itoa(f.Size/f.ElementSize) + "]"
}
