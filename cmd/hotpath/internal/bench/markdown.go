package bench

import (
	"fmt"
	"strings"
)

// markdown is a result for a README.
func markdown(r *Result) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s.\n", r.Machine)
	for _, t := range tables(r) {
		fmt.Fprintf(&b, "\n%s:\n\n", t.title)
		fmt.Fprintf(&b, "| %s |\n|---|%s\n", strings.Join(t.columns, " | "), strings.Repeat("---:|", len(t.columns)-1))
		for _, cells := range t.rows {
			fmt.Fprintf(&b, "| %s |\n", strings.ReplaceAll(strings.Join(cells, " | "), "*", `\*`))
		}
	}
	fmt.Fprintf(&b, "\n%s\n", strings.Join(r.Choice, " "))
	plain := strings.NewReplacer(">", `\>`, "*", `\*`)
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "\n%s\n", plain.Replace(note))
	}
	return b.String(), nil
}
