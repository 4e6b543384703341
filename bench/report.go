package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/hotpath-metrics/hotpath/internal/measure"
)

// row is one comparison.
type row struct {
	Group  string  `json:"group"`
	What   string  `json:"what"`
	Unit   string  `json:"unit"`
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	// Beside is the alternative, if there is one.
	Beside       string  `json:"beside,omitempty"`
	BesideMedian float64 `json:"beside_median,omitempty"`
	// Ratio is the median of the ratios of the rounds.
	Ratio  float64 `json:"ratio,omitempty"`
	Budget string  `json:"budget,omitempty"`
	Met    *bool   `json:"met,omitempty"`
}

// budget bounds the median, or the ratio to the alternative.
type budget struct {
	most    float64
	ofRatio bool
}

func newRow(group, what, unit string, measured measure.Series) row {
	return row{
		Group: group, What: what, Unit: unit,
		Median: measured.Median(), Low: slices.Min(measured), High: slices.Max(measured),
	}
}

func (r row) beside(what string, measured, alternative measure.Series) row {
	r.Beside, r.BesideMedian = what, alternative.Median()
	r.Ratio = measured.Over(alternative).Median()
	return r
}

func (r row) within(b budget) row {
	met := r.Median <= b.most
	r.Budget = fmt.Sprintf("<= %g %s", b.most, r.Unit)
	if b.ofRatio {
		met = r.Ratio <= b.most
		r.Budget = fmt.Sprintf("<= %gx", b.most)
	}
	r.Met = &met
	return r
}

// report is a whole run.
type report struct {
	Machine measure.Machine `json:"machine"`
	Rounds  int             `json:"rounds"`
	Rows    []row           `json:"rows"`
	Notes   []string        `json:"notes"`
}

var columns = []string{"what", "median", "lowest-highest", "beside", "median", "ratio", "budget", "met"}

func (r row) cells() []string {
	cells := []string{r.What, measure.Figure(r.Median) + " " + r.Unit, measure.Figure(r.Low) + "-" + measure.Figure(r.High), r.Beside, "", "", r.Budget, ""}
	if r.Beside != "" {
		cells[4], cells[5] = measure.Figure(r.BesideMedian)+" "+r.Unit, fmt.Sprintf("%.2fx", r.Ratio)
	}
	if r.Met != nil {
		cells[7] = map[bool]string{true: "yes", false: "NO"}[*r.Met]
	}
	return cells
}

func (r *report) text() string {
	widths := make([]int, len(columns))
	for i, name := range columns {
		widths[i] = len(name)
		for _, row := range r.Rows {
			widths[i] = max(widths[i], len(row.cells()[i]))
		}
	}
	var b strings.Builder
	line := func(cells []string) {
		var padded strings.Builder
		for i, cell := range cells {
			align := "%-*s  "
			if i == 1 || i == 4 || i == 5 { // numbers
				align = "%*s  "
			}
			fmt.Fprintf(&padded, align, widths[i], cell)
		}
		fmt.Fprintf(&b, "%s\n", strings.TrimRight(padded.String(), " "))
	}
	fmt.Fprintf(&b, "%s\n", r.Machine)
	group := ""
	for _, row := range r.Rows {
		if row.Group != group {
			group = row.Group
			fmt.Fprintf(&b, "\n%s\n", strings.ToUpper(group))
			line(columns)
		}
		line(row.cells())
	}
	fmt.Fprintf(&b, "\n%s\n", strings.Join(r.Notes, "\n"))
	return b.String()
}

func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", r.Machine)
	fmt.Fprintf(&b, "| | %s |\n|---|---|%s\n", strings.Join(columns, " | "), strings.Repeat("---:|", len(columns)-1))
	for _, row := range r.Rows {
		fmt.Fprintf(&b, "| %s | %s |\n", row.Group, strings.Join(row.cells(), " | "))
	}
	fmt.Fprintf(&b, "\n%s\n", strings.Join(r.Notes, "\n"))
	return b.String()
}

func (r *report) json() (string, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	return string(b) + "\n", err
}
