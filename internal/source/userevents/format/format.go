// Package format reads what tracefs says about the layout of an event, in
// events/GROUP/EVENT/format, and what a process says when it declares a
// user_event, and takes the values of fields out of records. It is pure and
// takes hostile input: what a process declares and writes is its own choice.
package format

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Format is the layout of an event's records.
type Format struct {
	// Name is the event's. One of several formats of a name has a suffix, as in "name.1f".
	Name string
	// ID is the number with which the records of the event begin (common_type).
	ID uint16
	// Common are the fields that the records of all events begin with.
	Common Fields
	// Fields are the event's own, in the order of their declaration.
	Fields Fields
	// Size is where the last field ends: no record of the event is shorter, in bytes.
	Size int
}

// ErrSyntax is in the error about any text that is not a format or a declaration.
var ErrSyntax = errors.New("bad syntax")

// Parse reads the text of a tracefs format file. Its errors wrap [ErrSyntax].
func Parse(text []byte) (*Format, error) {
	f := &Format{}
	name, text, ok := header(text, "name:")
	if !ok || name == "" {
		return nil, fmt.Errorf("read format: no name: %w", ErrSyntax)
	}
	f.Name = name
	id, text, ok := header(text, "ID:")
	number, err := strconv.ParseUint(id, 10, 16)
	if !ok || err != nil {
		return nil, fmt.Errorf("read format of %q: id %q: %w", f.Name, id, ErrSyntax)
	}
	f.ID = uint16(number)
	_, text, ok = header(text, "format:")
	if !ok {
		return nil, fmt.Errorf("read format of %q: no fields: %w", f.Name, ErrSyntax)
	}
	if f.Common, text, err = block(text); err != nil {
		return nil, fmt.Errorf("read format of %q: %w", f.Name, err)
	}
	if f.Fields, text, err = block(text); err != nil {
		return nil, fmt.Errorf("read format of %q: %w", f.Name, err)
	}
	if !bytes.HasPrefix(text, []byte("print fmt:")) {
		return nil, fmt.Errorf("read format of %q: %q after the fields: %w", f.Name, line(text), ErrSyntax)
	}
	for _, fields := range []Fields{f.Common, f.Fields} {
		for i := range fields {
			f.Size = max(f.Size, fields[i].Offset+fields[i].Size)
		}
	}
	return f, nil
}

// ParseLines reads lines of fields and nothing else, as events/header_page has them.
// Its errors wrap [ErrSyntax].
func ParseLines(text []byte) (Fields, error) {
	fields, rest, err := block(text)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%q after the fields: %w", line(rest), ErrSyntax)
	}
	if err != nil {
		return nil, fmt.Errorf("read fields: %w", err)
	}
	return fields, nil
}

// header takes the line with a key off the text.
func header(text []byte, key string) (value string, rest []byte, ok bool) {
	first := line(text)
	value, ok = strings.CutPrefix(first, key)
	return strings.TrimSpace(value), after(text, first), ok
}

// block takes lines of fields off the text, and the empty line behind them. The print format
// directly follows an event's own fields if there are none.
func block(text []byte) (fields Fields, rest []byte, err error) {
	for len(text) > 0 && text[0] == '\t' {
		l := line(text)
		field, err := parseLine(l)
		if err != nil {
			return nil, nil, err
		}
		fields = append(fields, field)
		text = after(text, l)
	}
	if len(text) > 0 && text[0] == '\n' {
		text = text[1:]
	}
	return fields, text, nil
}

func line(text []byte) string {
	l, _, _ := bytes.Cut(text, []byte("\n"))
	return string(l)
}

func after(text []byte, line string) []byte {
	return text[min(len(line)+1, len(text)):]
}

// parseLine reads "\tfield:TYPE NAME;\toffset:N;\tsize:N;\tsigned:N;".
func parseLine(l string) (Field, error) {
	bad := fmt.Errorf("field %q: %w", l, ErrSyntax)
	parts := strings.Split(l, ";")
	if len(parts) != 5 || parts[4] != "" {
		return Field{}, bad
	}
	var numbers [3]uint64
	for i, key := range []string{"\toffset:", "\tsize:", "\tsigned:"} {
		digits, ok := strings.CutPrefix(parts[i+1], key)
		n, err := strconv.ParseUint(digits, 10, 31)
		if !ok || err != nil {
			return Field{}, bad
		}
		numbers[i] = n
	}
	declared, ok := strings.CutPrefix(parts[0], "\tfield:")
	if !ok || numbers[2] > 1 {
		return Field{}, bad
	}
	typ, name, ok := cutLast(strings.TrimSpace(declared), " ")
	if !ok || typ == "" || name == "" {
		return Field{}, bad
	}
	// tracefs shows an array as in C, TYPE NAME[N], but for those of a __data_loc, and pointers with their star.
	if bare, bracket, ok := strings.Cut(name, "["); ok {
		name, typ = bare, typ+"["+bracket
	}
	f := Field{Name: name, Offset: int(numbers[0]), Size: int(numbers[1]), Signed: numbers[2] == 1}
	if !f.setType(typ) {
		return Field{}, bad
	}
	return f, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
