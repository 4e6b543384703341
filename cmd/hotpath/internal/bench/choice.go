package bench

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/hotpath-metrics/hotpath/internal/measure"
)

// Costs that differ by less are the same: by this factor, or by so many ns.
const (
	sameFactor = 1.25
	sameNS     = 1
)

// choose says in two sentences with which mechanism to begin on this machine, and what speaks against the others. Probes are for programs
// that cannot be changed, so they are none of those.
func choose(r *Result) []string {
	var candidates []*Row
	for _, row := range r.Rows {
		if !row.Baseline && row.Available && row.Name != probeName && !math.IsNaN(row.cost()) {
			candidates = append(candidates, row)
		}
	}
	if len(candidates) == 0 {
		return []string{
			"None of the mechanisms can be used here: `hotpath doctor` says what to change.",
			"Of what was measured beside them, " + r.cheapestPeer() + ".",
		}
	}
	slices.SortStableFunc(candidates, func(a, b *Row) int {
		switch {
		case a.Delivery.exact() != b.Delivery.exact():
			return map[bool]int{true: -1, false: 1}[a.Delivery.exact()]
		case !same(a, b):
			return cmp.Compare(a.cost(), b.cost())
		}
		return cmp.Compare(a.needs, b.needs)
	})
	best := candidates[0]
	return []string{"Begin with " + best.Title + ": " + r.praise(best) + ".", r.others(best)}
}

// cost is the geometric mean of what an update costs in C and in Go, by one thread and by all.
func (row *Row) cost() float64 { return row.mean(func(c *Cost) float64 { return c.Median }) }

func (row *Row) mean(of func(*Cost) float64) float64 {
	sum, n := 0.0, 0
	for _, c := range row.Clients {
		for _, cost := range []*Cost{c.One, c.All} {
			if cost != nil {
				sum += math.Log(of(cost))
				n++
			}
		}
	}
	return math.Exp(sum / float64(n))
}

// same says whether the difference is one that counts. On a busy machine medians differ by chance; the least of all rounds does so less.
func same(a, b *Row) bool {
	near := func(a, b float64) bool {
		low, high := min(a, b), max(a, b)
		return high <= low*sameFactor || high-low <= sameNS
	}
	least := func(c *Cost) float64 { return c.Low }
	return near(a.cost(), b.cost()) || near(a.mean(least), b.mean(least))
}

func (r *Result) praise(best *Row) string {
	var parts []string
	for _, client := range bothClients {
		if c := best.Clients[client]; c != nil && c.One != nil {
			parts = append(parts, r.amount(c.One)+" in "+map[string]string{inC: "C", inGo: "Go"}[client])
		}
	}
	text := "an update costs " + strings.Join(parts, " and ")
	if statsd := r.row("statsd_udp"); statsd != nil && !math.IsNaN(statsd.cost()) {
		text += fmt.Sprintf(", %s of a statsd datagram", fraction(best.cost()/statsd.cost()))
	}
	switch d := best.Delivery; {
	case d == nil:
	case d.exact():
		text += fmt.Sprintf(", all %s updates made at full speed arrived", count(float64(d.Sent)))
	default:
		text += fmt.Sprintf(", though %s of %s updates were lost at full speed", count(float64(d.Sent)-float64(d.Arrived)), count(float64(d.Sent)))
	}
	return text + ", and it " + needsText[best.needs]
}

func (r *Result) amount(c *Cost) string {
	if r.Machine.Emulated {
		return measure.Figure(c.Ratio) + " writev to /dev/null"
	}
	return measure.Figure(c.Median) + " ns"
}

func fraction(ratio float64) string {
	if ratio < 0.1 {
		return fmt.Sprintf("1/%.0f", 1/ratio)
	}
	return fmt.Sprintf("%.0f %%", 100*ratio)
}

// others says what speaks against each of the other mechanisms.
func (r *Result) others(best *Row) string {
	var parts, missing []string
	for _, row := range r.Rows {
		if row.Baseline || row == best || row.Name == probeName {
			continue
		}
		switch {
		case !row.Available:
			missing = append(missing, row.Title)
		case math.IsNaN(row.cost()):
			parts = append(parts, row.Title+" could not be measured")
		case best.Delivery.exact() && !row.Delivery.exact():
			parts = append(parts, row.Title+" lost updates")
		case same(row, best):
			parts = append(parts, fmt.Sprintf("%s costs the same and %s", row.Title, needsText[row.needs]))
		default:
			parts = append(parts, fmt.Sprintf("%s costs %s times as much", row.Title, measure.Figure(row.cost()/best.cost())))
		}
	}
	if n := len(missing); n > 0 {
		parts = append(parts, strings.Join(missing, " and ")+map[bool]string{true: " is", false: " are"}[n == 1]+" not there")
	}
	if probe := r.row(probeName); probe != nil && probe.Available && !math.IsNaN(probe.cost()) {
		parts = append(parts, fmt.Sprintf("a probe, at %s times the price, is for programs that cannot be changed", measure.Figure(probe.cost()/best.cost())))
	}
	if len(parts) == 0 {
		return "No other was there to compare it with."
	}
	return "Of the others, " + strings.Join(parts, "; ") + "."
}

// cheapestPeer names what delivers counts in another way.
func (r *Result) cheapestPeer() string {
	var best *Row
	for _, row := range r.Rows {
		if row.Baseline && row.Lines != nil && !math.IsNaN(row.cost()) && (best == nil || row.cost() < best.cost()) {
			best = row
		}
	}
	if best == nil {
		return "nothing could be timed"
	}
	if r.Machine.Emulated {
		return best.Title + " costs least"
	}
	return fmt.Sprintf("%s costs least: %s ns an update", best.Title, measure.Figure(best.cost()))
}
