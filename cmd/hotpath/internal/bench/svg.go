package bench

import (
	"errors"
	"fmt"
	"html"
	"math"
	"strings"

	"github.com/hotpath-metrics/hotpath/internal/measure"
)

// Geometry of the chart, in pixels.
const (
	chartWidth  = 840
	plotLeft    = 160
	plotRight   = 690
	labelLeft   = plotRight + 16
	headHeight  = 84
	rowHeight   = 26
	groupGap    = 34
	footHeight  = 64
	markRadius  = 5
	textLowered = 4 // from the middle of a line to its baseline
)

// style has colours of its own for dark pages, and a ground for each, so that it can be read where a page and its reader's system disagree.
//
//nolint:misspell // that is how CSS writes it
const style = `<style>
text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 }
.dim { fill: #59636e }
.small { font-size: 11px }
.ground { fill: #ffffff; stroke: #d1d9e0 }
.grid { stroke: #e3e8ed }
.c { fill: #0969da; stroke: #0969da }
.go { fill: #bc4c00; stroke: #bc4c00 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.dim { fill: #9198a1 }
.ground { fill: #0d1117; stroke: #3d444d }
.grid { stroke: #262c36 }
.c { fill: #58a6ff; stroke: #58a6ff }
.go { fill: #f0883e; stroke: #f0883e }
}
</style>
`

// chart is a picture of what an update costs by one thread, on a logarithmic scale.
type chart struct {
	strings.Builder
	low, high float64 // decades
	ratios    bool
}

func svg(r *Result) (string, error) {
	c := &chart{ratios: r.Machine.Emulated}
	if !c.scale(r) {
		return "", errors.New("draw chart: nothing was timed")
	}
	height := headHeight + len(r.Rows)*rowHeight + groupGap + footHeight
	c.put(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="What an update costs the program, by mechanism">`+"\n",
		chartWidth, height, chartWidth, height)
	c.WriteString(style)
	c.put(`<rect class="ground" x="0.5" y="0.5" width="%d" height="%d" rx="8"/>`+"\n", chartWidth-1, height-1)
	unit := "ns of CPU time"
	if c.ratios {
		unit = "times a writev to /dev/null, on an emulated machine"
	}
	c.text(20, 30, "title", "start", "What one update costs the program")
	c.text(20, 50, "dim", "start", unit+", one thread, logarithmic; a line from the median to the p99")
	c.legend()
	c.text(labelLeft, headHeight-14, "dim small", "start", "median, C / Go")
	bottom := height - footHeight
	c.grid(headHeight-8, bottom)
	y, baselines := headHeight+rowHeight/2, false
	for _, row := range r.Rows {
		if row.Baseline && !baselines {
			baselines = true
			c.text(20, y+6, "dim small", "start", "for comparison")
			c.put(`<line class="grid" x1="110" y1="%d" x2="%d" y2="%d"/>`+"\n", y+2, chartWidth-20, y+2)
			y += groupGap
		}
		c.row(row, y)
		y += rowHeight
	}
	c.text(20, height-16, "dim small", "start", fmt.Sprintf("%s, %d CPUs; Linux %s; %s", r.Machine.CPU, r.Machine.CPUs, r.Machine.Kernel, r.Machine.Go))
	c.WriteString("</svg>\n")
	return c.String(), nil
}

func (c *chart) put(format string, arguments ...any) { fmt.Fprintf(&c.Builder, format, arguments...) }

func (c *chart) text(x, y int, class, anchor, text string) {
	c.put(`<text class="%s" x="%d" y="%d" text-anchor="%s">%s</text>`+"\n", class, x, y, anchor, html.EscapeString(text))
}

// value is where a cost is on the scale, with its p99.
func (c *chart) value(cost *Cost) (median, p99 float64) {
	if c.ratios {
		return cost.Ratio, cost.Ratio * cost.P99 / cost.Median
	}
	return cost.Median, cost.P99
}

// scale finds the decades that have everything.
func (c *chart) scale(r *Result) bool {
	c.low, c.high = math.Inf(1), math.Inf(-1)
	for _, row := range r.Rows {
		for _, client := range bothClients {
			if cost := c.cost(row, client); cost != nil {
				median, p99 := c.value(cost)
				c.low, c.high = min(c.low, math.Floor(math.Log10(median))), max(c.high, math.Ceil(math.Log10(p99)))
			}
		}
	}
	return c.low < c.high && !math.IsInf(c.low, 0) && !math.IsInf(c.high, 0)
}

// cost is what is drawn of a row: nothing of one that was measured on another machine.
func (c *chart) cost(row *Row, client string) *Cost {
	if of := row.Clients[client]; of != nil && of.One != nil && row.Emulated == c.ratios {
		return of.One
	}
	return nil
}

func (c *chart) x(value float64) float64 {
	at := (math.Log10(value) - c.low) / (c.high - c.low)
	return plotLeft + at*(plotRight-plotLeft)
}

func (c *chart) grid(top, bottom int) {
	for decade := c.low; decade <= c.high; decade++ {
		x := c.x(math.Pow(10, decade))
		c.put(`<line class="grid" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`+"\n", x, top, x, bottom)
		c.text(int(x), bottom+18, "dim small", "middle", c.tick(decade))
	}
}

// tick says what a power of ten is.
func (c *chart) tick(decade float64) string {
	value := math.Pow(10, decade)
	switch {
	case c.ratios:
		return fmt.Sprintf("%gx", value)
	case decade < 3:
		return fmt.Sprintf("%g ns", value)
	case decade < 6:
		return fmt.Sprintf("%g µs", value/1e3)
	}
	return fmt.Sprintf("%g ms", value/1e6)
}

func (c *chart) legend() {
	y := 26
	c.mark(inC, chartWidth-120, y)
	c.text(chartWidth-108, y+textLowered, "", "start", "C")
	c.mark(inGo, chartWidth-70, y)
	c.text(chartWidth-58, y+textLowered, "", "start", "Go")
}

// mark is a circle or a diamond: colour alone does not tell everybody which.
func (c *chart) mark(client string, x float64, y int) {
	if client == inC {
		c.put(`<circle class="c" cx="%.1f" cy="%d" r="%d"/>`+"\n", x, y, markRadius)
		return
	}
	const r = markRadius + 1
	c.put(`<path class="go" d="M%.1f %d l%d %d l%d %d l%d %d z"/>`+"\n", x, y-r, r, r, -r, r, -r, -r)
}

func (c *chart) row(row *Row, y int) {
	c.text(plotLeft-16, y+textLowered, "", "end", row.label())
	var figures []string
	for i, client := range bothClients {
		cost := c.cost(row, client)
		if cost == nil {
			continue
		}
		median, p99 := c.value(cost)
		at := y
		if len(row.Clients) > 1 {
			at += 6*i - 3 // C above Go: they may cost the same
		}
		c.put(`<line class="%s" x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke-width="2" stroke-opacity="0.55"/>`+"\n", client, c.x(median), at, c.x(p99), at)
		c.mark(client, c.x(median), at)
		figures = append(figures, measure.Figure(median))
	}
	switch {
	case len(figures) > 0:
		c.text(labelLeft, y+textLowered, "dim", "start", strings.Join(figures, " / "))
	case row.Emulated:
		c.text(plotLeft+12, y+textLowered, "dim", "start", row.elsewhere()+" times a writev to /dev/null (emulated)")
	default:
		c.text(plotLeft+12, y+textLowered, "dim", "start", unavailable)
	}
}

// elsewhere are the ratios of a row that was measured on another machine.
func (row *Row) elsewhere() string {
	var ratios []string
	for _, client := range bothClients {
		if of := row.Clients[client]; of != nil && of.One != nil {
			ratios = append(ratios, measure.Figure(of.One.Ratio))
		}
	}
	return strings.Join(ratios, " / ")
}
