package bench

import (
	"embed"
	"path"
	"strings"
)

// snippets are the whole of what a user writes for one counter.
//
//go:embed snippets
var snippets embed.FS

// Lines are those that a user writes for one counter.
type Lines struct {
	C   int `json:"c,omitempty"`
	Go  int `json:"go,omitempty"`
	Env int `json:"environment,omitempty"`
	// YAML is of the Collector, its receiver only: pipelines are the same for all.
	YAML int `json:"yaml,omitempty"`
}

// countLines counts those of a file's lines that say something: not the blank ones, comments, lone brackets, and what
// every program begins with. A file that is not there has none.
func countLines(name string) int {
	text, err := snippets.ReadFile(path.Join("snippets", name))
	if err != nil {
		return 0
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.Trim(line, "(){}") == "", strings.HasPrefix(line, "//"), strings.HasPrefix(line, "package "):
		case line == "import (", line == "func main() {", line == "int main(void)":
		default:
			n++
		}
	}
	return n
}

func (m *mechanism) lines() *Lines {
	if m.yaml == "" {
		return nil
	}
	l := &Lines{Env: countLines(m.name + ".env"), YAML: countLines(m.yaml)}
	if m.code != "" {
		l.C, l.Go = countLines(m.code+".c"), countLines(m.code+"/main.go")
	}
	return l
}
