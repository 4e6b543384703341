package top

import (
	"github.com/charmbracelet/x/ansi"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// Styles that look right on dark and light ground. The renderer leaves out colours where the terminal has none, or the environment forbids them (no-color.org).
var (
	bold     = ansi.NewStyle().Bold()
	faint    = ansi.NewStyle().Faint()
	heading  = ansi.NewStyle().Reverse(true)
	selected = ansi.NewStyle().Bold().Reverse(true)
	warning  = ansi.NewStyle().ForegroundColor(ansi.Yellow)
	key      = ansi.NewStyle().Bold()
	trend    = ansi.NewStyle().ForegroundColor(ansi.Green)
	level    = ansi.NewStyle().ForegroundColor(ansi.Cyan)
)

// trendStyle tells rates from values.
func trendStyle(kind emit.Kind) ansi.Style {
	if kind == emit.KindGauge || kind == emit.KindUpDownCounter {
		return level
	}
	return trend
}
