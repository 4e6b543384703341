package binary

import (
	"math"
	"strings"
)

// goText is where a Go program has Go's code, nowhere in other files. C's, of cgo, lies behind it.
func (f *File) goText(in *reader) (span, error) {
	if !f.goMade {
		return span{}, nil
	}
	text := span{0, math.MaxUint64}
	for name, at := range map[string]*uint64{"runtime.text": &text.from, "runtime.etext": &text.to} {
		all, err := f.find(in, exactly(name))
		if err != nil {
			return span{}, err
		}
		for _, s := range all {
			*at = s.value
		}
	}
	return text, nil
}

// isGo tells Go's functions from those that cgo puts between them.
func isGo(s found, text span) bool {
	return s.value >= text.from && s.value < text.to && !strings.HasPrefix(s.name, "_cgo_") && !strings.HasPrefix(s.name, "x_cgo_")
}

// goNoArguments says why a function of Go's has no arguments in registers.
func goNoArguments(name string) string {
	switch {
	case strings.HasSuffix(name, ".abi0"):
		return "it is in assembly and takes its arguments on the stack"
	case !strings.Contains(name, "."):
		return "it is in assembly, with a convention of its own"
	}
	return ""
}
