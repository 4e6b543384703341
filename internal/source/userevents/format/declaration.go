package format

import (
	"fmt"
	"strconv"
	"strings"
)

// commonSize is where the first field of a user_event lies, in bytes: behind the fields that all events have.
const commonSize = 8

// maxCharArray is the most that an array of char may have, in bytes (MAX_FIELD_ARRAY_SIZE, kernel/trace/trace_events_user.c).
const maxCharArray = 1024

// ParseDeclaration reads what a process writes to register a user_event: "my_event u32 worker; u64 n".
// An event may have no fields. Errors wrap [ErrSyntax].
func ParseDeclaration(text string) (name string, fields Fields, err error) {
	name, rest, _ := strings.Cut(strings.Trim(text, " "), " ")
	if !isWord(name) || strings.ContainsAny(name, ":/") {
		return "", nil, fmt.Errorf("declare event %q: name: %w", name, ErrSyntax)
	}
	if fields, err = ParseFields(rest); err != nil {
		return "", nil, fmt.Errorf("declare event %q: %w", name, err)
	}
	return name, fields, nil
}

// ParseFields reads the fields of a declaration, "u32 worker; u64 n", with the types that the kernel
// takes for a user_event. Errors name the field and wrap [ErrSyntax].
func ParseFields(text string) (Fields, error) {
	var fields Fields
	offset := commonSize
	for declared := range strings.SplitSeq(text, ";") {
		words := strings.FieldsFunc(declared, func(r rune) bool { return r == ' ' })
		if len(words) == 0 {
			continue
		}
		f, err := parseField(words)
		if err != nil {
			return nil, fmt.Errorf("field %q: %w", strings.Join(words, " "), err)
		}
		f.Offset = offset
		offset += f.Size
		fields = append(fields, f)
	}
	return fields, nil
}

// parseField reads TYPE NAME, or struct NAME NAME SIZE. The type may have up to three words.
func parseField(words []string) (Field, error) {
	for _, w := range words {
		if !isWord(w) {
			return Field{}, fmt.Errorf("%q: %w", w, ErrSyntax)
		}
	}
	var f Field
	n := 1
	if words[0] == "__data_loc" || words[0] == "__rel_loc" {
		n++
	}
	if n-1 < len(words) && (words[n-1] == "unsigned" || words[n-1] == "struct" && n == 1) {
		n++
	}
	if len(words) <= n {
		return Field{}, fmt.Errorf("no name: %w", ErrSyntax)
	}
	typ := strings.Join(words[:n], " ")
	f.Name = words[n]
	if strings.ContainsAny(f.Name, "[]") {
		return Field{}, fmt.Errorf("an array's length belongs to its type, as in char[16]: %w", ErrSyntax)
	}
	sized := len(words) == n+2 && words[0] == "struct"
	switch {
	case len(words) > n+1 && !sized:
		return Field{}, fmt.Errorf("%q after the name: %w", words[n+1], ErrSyntax)
	case sized:
		size, err := strconv.ParseUint(words[n+1], 10, 31)
		if err != nil || size == 0 {
			return Field{}, fmt.Errorf("size %q: %w", words[n+1], ErrSyntax)
		}
		f.Size = int(size)
	default:
		f.Size = declaredSize(typ)
	}
	f.Signed = typ[0] != 'u' // the kernel's own rule
	if f.Size == 0 || sized && strings.Contains(typ, "[") || !f.setType(typ) {
		return Field{}, fmt.Errorf("%q is no type of a user_event's field: %w", typ, ErrSyntax)
	}
	return f, nil
}

// declaredSize is that of a type that is no structure, 0 if the kernel does not know it.
func declaredSize(typ string) int {
	if strings.HasPrefix(typ, "__data_loc ") || strings.HasPrefix(typ, "__rel_loc ") {
		return locationSize
	}
	element, length, array := strings.Cut(typ, "[")
	if !array {
		return integers[typ]
	}
	length, closed := strings.CutSuffix(length, "]")
	n, err := strconv.ParseUint(length, 0, 31)
	if !closed || err != nil || n > maxCharArray || element != "char" && element != "unsigned char" {
		return 0
	}
	return int(n)
}

// isWord says whether s is printable ASCII without blanks and semicolons.
func isWord(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == ';' {
			return false
		}
	}
	return s != ""
}

// String is the declaration of the fields: "u32 worker; u64 n". The blank after each semicolon is
// what kernels before 6.10 need to find an event again that is registered already.
func (fields Fields) String() string {
	var b strings.Builder
	for i := range fields {
		f := &fields[i]
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(f.Type + " " + f.Name)
		if strings.HasPrefix(f.Type, "struct ") {
			b.WriteString(" " + strconv.Itoa(f.Size))
		}
	}
	return b.String()
}

// Equal says whether two events have the same fields: names, types and sizes in one order.
func (fields Fields) Equal(other Fields) bool {
	return fields.String() == other.String()
}
