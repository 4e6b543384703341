package binary

import (
	"cmp"
	"slices"
	"strings"
	"unicode"

	"github.com/ianlancetaylor/demangle"
)

const (
	maxNear      = 1 << 18 // names that are compared
	maxDemangled = 1 << 13
	maxShown     = 256 // bytes of a name
	nearest      = 3
)

// near is what a name may have been meant for, the most likely first.
type near []suggestion

type suggestion struct {
	name     string
	distance int
}

// list is what there is, behind some words, or nothing.
func (n near) list(words string) string {
	var names []string
	for _, s := range n {
		names = append(names, s.name)
	}
	if names == nil {
		return ""
	}
	return words + strings.Join(names, ", ")
}

// offer keeps the nearest names. Those that would disturb a terminal are none.
func (n *near) offer(s suggestion) {
	if len(s.name) > maxShown || strings.ContainsFunc(s.name, func(r rune) bool { return !unicode.IsPrint(r) }) ||
		slices.ContainsFunc(*n, func(o suggestion) bool { return o.name == s.name }) {
		return
	}
	*n = append(*n, s)
	slices.SortStableFunc(*n, func(a, b suggestion) int { return cmp.Compare(a.distance, b.distance) })
	*n = (*n)[:min(len(*n), nearest)]
}

// near looks for functions that are named like one. It is advice: what cannot be read is left out.
func (f *File) near(in *reader, name string) near {
	var n near
	parts := mangledParts(name)
	compared, tried := 0, 0
	for _, t := range f.tables() {
		_ = t.each(in, func(s symbol) bool {
			if !f.isFunction(&s) {
				return true
			}
			have, err := t.name(in, s.nameAt)
			if compared++; err != nil || compared > maxNear {
				return false
			}
			have = withoutVersion(have)
			if !isMangled(have) {
				n.compare(name, have, have)
				return true
			}
			likely := slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(have, p) })
			if likely && tried < maxDemangled || tried < maxDemangled/2 {
				tried++
				n.compareMangled(in, name, have)
			}
			return true
		})
	}
	return n
}

// compareMangled compares with what C++ calls a function; where only the parameters differ, it is near.
func (n *near) compareMangled(in *reader, name, mangled string) {
	original := mangled
	if isClone(mangled) {
		original, _, _ = strings.Cut(mangled, ".")
	}
	full := in.demangled(original)
	if full == "" {
		n.compare(name, mangled, mangled)
		return
	}
	shown := full
	if original != mangled {
		shown = mangled // what one would have to ask for
	}
	bare, _, hasParameters := strings.Cut(name, "(")
	if n.compare(bare, in.demangled(original, demangle.NoParams), shown); hasParameters {
		n.compare(name, full, shown)
	}
}

// compare offers a function by what is shown of it, if its name resembles the one that is wanted.
func (n *near) compare(want, have, shown string) {
	switch {
	case strings.EqualFold(want, have):
		n.offer(suggestion{shown, 0})
	case strings.HasPrefix(have, want+".") && isClone(have), len(want) > 2 && isEnd(want, have):
		n.offer(suggestion{shown, 1})
	case len(want) > 2 && strings.Contains(have, "_"+want+"_"):
		n.offer(suggestion{shown, 2})
	default:
		limit := min(4, 1+len(want)/5)
		if d := editDistance(want, have, limit); d <= limit && d < len(want) {
			n.offer(suggestion{shown, d})
		}
	}
}

// isEnd says that a name is the last part of another one.
func isEnd(want, have string) bool {
	before, ok := strings.CutSuffix(have, want)
	return ok && (strings.HasSuffix(before, ".") || strings.HasSuffix(before, "::") || strings.HasSuffix(before, "_"))
}

// editDistance is how many bytes have to be changed, put in or left out to make one name of the other, or more than the limit.
func editDistance(a, b string, limit int) int {
	if len(a) > maxShown || len(b) > maxShown || max(len(a), len(b))-min(len(a), len(b)) > limit {
		return limit + 1
	}
	var cells [maxShown + 1]int
	row := cells[:len(b)+1]
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		// Farther from the diagonal than the limit, the distance is larger than it.
		from, to := max(0, i-limit), min(len(b), i+limit+1)
		diagonal := row[from]
		row[from] = i + 1
		if from > 0 {
			row[from] = limit + 1
		}
		lowest := row[from]
		if to == i+limit+1 {
			row[to] = limit + 1
		}
		for j := from; j < to; j++ {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
			lowest = min(lowest, cost)
		}
		if lowest > limit {
			return limit + 1
		}
	}
	return min(row[len(b)], limit+1)
}
