package binary

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ianlancetaylor/demangle"
)

// maxMangled is the longest name that is demangled, in bytes. Some grow a lot by it.
const maxMangled = 4 << 10

// declared looks for a function by what C++ and Rust call it: a::b takes all overloads, a::b(int) one of them.
func declared(name string) (query, bool) {
	parts := mangledParts(name)
	if len(parts) == 0 {
		return query{}, false
	}
	want := withoutSpaces(name)
	return query{parts[len(parts)-1], false, func(in *reader, mangled string) bool {
		return isMangled(mangled) && !isClone(mangled) && !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(mangled, p) }) &&
			slices.Contains(in.spellings(withoutVersion(mangled)), want)
	}}, true
}

func isMangled(name string) bool {
	return strings.HasPrefix(name, "_Z") || strings.HasPrefix(name, "_R")
}

// spellings are what a function may be called: with and without parameters, result, template's arguments and ABI tags.
func (in *reader) spellings(mangled string) []string {
	var all []string
	for _, options := range [][]demangle.Option{nil, {demangle.NoABITags}} {
		bare := in.demangled(mangled, append(options, demangle.NoParams)...)
		if bare == "" {
			return nil
		}
		full := in.demangled(mangled, append(options, demangle.NoClones)...)
		all = append(all, bare, in.demangled(mangled, append(options, demangle.NoParams, demangle.NoTemplateParams)...), full)
		if result := strings.Index(full, bare); result > 0 {
			all = append(all, full[result:])
		}
	}
	for i := range all {
		all[i] = withoutSpaces(all[i])
	}
	return all
}

// demangled is empty of what is no mangled name, and once too much time went into them: some are made to take long.
func (in *reader) demangled(name string, options ...demangle.Option) (text string) {
	if in.demangling <= 0 || len(name) > maxMangled {
		return ""
	}
	defer func(begin time.Time) {
		in.demangling -= time.Since(begin)
		if recover() != nil {
			text = ""
		}
	}(time.Now())
	text, err := demangle.ToString(name, append(options, demangle.MaxLength(16))...)
	if err != nil {
		return ""
	}
	return text
}

func withoutSpaces(s string) string {
	return strings.ReplaceAll(s, " ", "")
}

var (
	cloned     = regexp.MustCompile(`\.(cold|part|isra|constprop|lto_priv|llvm|abi0)(\.|$)`)
	identifier = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]*$`)
	operator   = regexp.MustCompile(`\boperator\b.*`)
)

// isClone says that a compiler made the function out of another one: its arguments are not those of the source.
func isClone(name string) bool {
	return strings.Contains(name, ".") && cloned.MatchString(name)
}

// mangledParts are the identifiers of a declared name as mangled names have them, length first. Those that are mangled in
// another way are left out: operators, most of std, and what is anonymous.
func mangledParts(name string) []string {
	path := operator.ReplaceAllString(strings.ReplaceAll(name, "(anonymous namespace)", ""), "")
	path, _, _ = strings.Cut(path, "{")
	path = withoutBrackets(path)
	path, _, _ = strings.Cut(path, "(")
	if standard, ok := strings.CutPrefix(path, "std::"); ok { // std::string and others have abbreviations
		path = standard[strings.LastIndex(standard, ":")+1:]
	}
	var parts []string
	for part := range strings.SplitSeq(path, "::") {
		part, _, _ = strings.Cut(strings.TrimSpace(part), "[") // abi:tag
		if word := identifier.FindString(part); word != "" && word != "std" {
			parts = append(parts, strconv.Itoa(len(word))+word)
		}
	}
	return parts
}

// withoutBrackets leaves out the arguments of templates.
func withoutBrackets(name string) string {
	var b strings.Builder
	depth := 0
	for _, r := range name {
		switch {
		case r == '<':
			depth++
		case r == '>' && depth > 0:
			depth--
		case depth == 0:
			b.WriteRune(r)
		}
	}
	return b.String()
}
