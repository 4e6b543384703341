package bench

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const textWidth = 100

// terminal is a result for people.
func terminal(r *Result) string {
	var b strings.Builder
	b.WriteString(fold(r.Machine.String(), textWidth))
	for _, t := range tables(r) {
		b.WriteString("\n" + fold(t.title, textWidth))
		t.write(&b)
	}
	b.WriteString("\n")
	for _, sentence := range r.Choice {
		b.WriteString(fold(sentence, textWidth))
	}
	b.WriteString("\n")
	for _, note := range r.Notes {
		b.WriteString(fold(note, textWidth))
	}
	return b.String()
}

// write aligns the first column left and the others right.
func (t *table) write(b *strings.Builder) {
	widths := make([]int, len(t.columns))
	lines := append([][]string{t.columns}, t.rows...)
	for _, cells := range lines {
		for i, cell := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, cells := range lines {
		var line strings.Builder
		for i, cell := range cells {
			if i == 0 {
				fmt.Fprintf(&line, "%-*s", widths[i], cell)
			} else {
				fmt.Fprintf(&line, "  %*s", widths[i], cell)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

// fold breaks text into lines, at spaces, of which all but the first are indented.
func fold(text string, width int) string {
	const indent = "  "
	var b strings.Builder
	column := 0
	for i, word := range strings.Fields(text) {
		size := utf8.RuneCountInString(word)
		switch {
		case i > 0 && column+1+size > width:
			b.WriteString("\n" + indent)
			column = len(indent)
		case i > 0:
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += size
	}
	return b.String() + "\n"
}
