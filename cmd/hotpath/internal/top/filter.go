package top

import (
	"strconv"
	"strings"

	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/reading"
	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/screen"
)

// filter is words, in lower case, all of which a series has to have: in its name, its attributes, or its process.
type filter []string

func parseFilter(text string) filter { return strings.Fields(strings.ToLower(text)) }

// of leaves the words that are not about the process itself.
func (f filter) of(p *reading.Process) filter {
	if len(f) == 0 {
		return nil
	}
	var rest filter
	for _, word := range f {
		if !has(p.Service, word) && !has(p.Command, word) && strconv.FormatInt(p.PID, 10) != word {
			rest = append(rest, word)
		}
	}
	return rest
}

func (f filter) matches(s *reading.Series) bool {
	for _, word := range f {
		if !has(s.Instrument.Name, word) && !hasAttribute(s, word) {
			return false
		}
	}
	return true
}

func hasAttribute(s *reading.Series, word string) bool {
	if len(s.Attributes) == 0 {
		return false
	}
	return has(screen.Attributes(s.Attributes), word)
}

func has(text, word string) bool { return strings.Contains(strings.ToLower(text), word) }
