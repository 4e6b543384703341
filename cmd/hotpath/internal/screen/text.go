// Package screen makes text fit for a terminal: whatever processes call what they count, and whoever wrote their segments.
package screen

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// Ellipsis ends what was cut off.
const Ellipsis = "…"

// maxMarks is how many combining marks a character may have.
const maxMarks = 4

// Escape makes visible what a terminal would obey, or hide: control characters, those that change the direction of text, bytes that are no text.
func Escape(s string) string {
	if plain(s) {
		return s
	}
	var out strings.Builder
	marks := 0
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if unicode.Is(unicode.M, r) {
			marks++
		} else {
			marks = 0
		}
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&out, `\x%02x`, s[0])
		case unicode.IsPrint(r) && marks <= maxMarks:
			out.WriteRune(r)
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			out.WriteString(quoted[1 : len(quoted)-1])
		}
		s = s[size:]
	}
	return out.String()
}

func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// EscapeJSON does the same with JSON, which stays what it says.
func EscapeJSON(b []byte) []byte {
	clean := func(r rune) bool { return r >= utf8.RuneSelf-1 && !unicode.IsPrint(r) }
	if bytes.IndexFunc(b, clean) < 0 {
		return b
	}
	out := make([]byte, 0, len(b)+64)
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		switch {
		case !clean(r):
			out = append(out, b[:size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		b = b[size:]
	}
	return out
}

// Width is how many columns text takes.
func Width(s string) int {
	if plain(s) {
		return len(s)
	}
	return ansi.StringWidth(s)
}

// Cut leaves as much of text as fits into so many columns.
func Cut(s string, width int) string {
	switch {
	case width <= 0:
		return ""
	case Width(s) <= width:
		return s
	}
	return ansi.Truncate(s, width, Ellipsis)
}

// Left puts text at the left of so many columns, and cuts it off where it is longer.
func Left(s string, width int) string {
	s = Cut(s, width)
	return s + blanks(width-Width(s))
}

// Right puts text at the right of so many columns.
func Right(s string, width int) string {
	s = Cut(s, width)
	return blanks(width-Width(s)) + s
}

func blanks(n int) string { return strings.Repeat(" ", max(n, 0)) }
