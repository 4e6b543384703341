package bench

import (
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/hotpath-metrics/hotpath/internal/measure"
)

// The programs in Go are packages of this module, so that the compiler has seen them.
func TestSnippetsInCCompile(t *testing.T) {
	compiler, err := measure.CCompiler()
	if err != nil {
		t.Skip(err)
	}
	for _, m := range mechanisms {
		if countLines(m.code+".c") == 0 {
			continue
		}
		output, err := exec.Command(compiler, "-std=c11", "-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra", "-pthread", "-I", "../../../../client/c",
			"-o", filepath.Join(t.TempDir(), "program"), "snippets/"+m.code+".c").CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", m.code, err, output)
		}
	}
}

func TestSnippetsOfConfigurationAreValid(t *testing.T) {
	for _, m := range mechanisms {
		if m.yaml == "" {
			continue
		}
		text, err := snippets.ReadFile("snippets/" + m.yaml)
		if err != nil {
			t.Fatal(err)
		}
		var c struct{ Receivers map[string]map[string]any }
		if err := yaml.Unmarshal(text, &c); err != nil || len(c.Receivers) != 1 {
			t.Errorf("%s: %v, %v", m.yaml, c, err)
		}
		if fields, ours := c.Receivers["hotpath"]; ours {
			if _, err := receiverConfig(fields); err != nil {
				t.Errorf("%s: %v", m.yaml, err)
			}
		}
	}
}

func TestEverySnippetIsCounted(t *testing.T) {
	counted := map[string]bool{}
	for _, m := range mechanisms {
		for _, name := range []string{m.yaml, m.name + ".env", m.code + ".c", m.code + "/main.go"} {
			counted["snippets/"+name] = true
		}
	}
	err := fs.WalkDir(snippets, "snippets", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && !counted[path] {
			t.Errorf("%s belongs to no mechanism", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestLinesThatSaySomethingAreCounted(t *testing.T) {
	// The include, the counter and the add; the import, the counter and the add.
	if c, g := countLines("counter.c"), countLines("counter/main.go"); c != 3 || g != 3 {
		t.Errorf("a counter takes %d lines in C, %d in Go", c, g)
	}
	text, err := snippets.ReadFile("snippets/probe.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := countLines("probe.yaml"), strings.Count(string(text), "\n"); got != want {
		t.Errorf("a probe takes %d lines, not %d", got, want)
	}
}
