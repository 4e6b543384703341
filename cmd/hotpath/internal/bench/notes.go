package bench

import (
	"fmt"
	"strings"

	"github.com/hotpath-metrics/hotpath/internal/measure"
)

// describe adds what has to be known of the figures.
func (r *Result) describe(late bool) {
	note := func(format string, arguments ...any) { r.Notes = append(r.Notes, fmt.Sprintf(format, arguments...)) }
	for _, row := range r.Rows {
		if !row.Available && !row.Emulated {
			note("%s is not there: %s", row.Title, row.Reason)
		}
		for _, failure := range row.Failures {
			note("%s was not measured in full: %s", row.Title, failure)
		}
	}
	for _, why := range r.reasons(func(c *Client) string { return c.Missing }) {
		note("Not measured in %s.", why)
	}
	for _, why := range r.reasons(func(c *Client) string { return c.NotCounted }) {
		note("System calls were not counted in %s.", why)
	}
	note("Times are CPU time, which leaves out what other processes take away: medians and p99 of %d rounds, in which all rows take turns. "+
		"The p99 is typically %s times the median%s; the load average was %.2f before it began.", r.Rounds, measure.Figure(r.spread()), r.busy(), r.Load)
	note("Calls are the system calls that the updating thread makes for an update, counted by tracing it.")
	note("Loss-free: \"any (N)\" is said of what is read where it is, whatever the number of updates; all N that were made at full speed arrived, exactly. "+
		"\"> N\" was sent at full speed by all CPUs and nothing was lost; N alone is the largest rate at which nothing was.%s", r.healing())
	note("The Collector's CPU time is that at %s updates a second, with a collection each second. Latency is the median: it is mostly that of waiting for the next collection. "+
		"statsd's server is one that only reads and adds up, without an interval.", count(pacedRate))
	if uring := r.row("io_uring"); uring != nil && uring.Available {
		note("io_uring tells in batches of 64 updates: of one series, as here, a batch is one message; of 64 series it is 64, each with its price.")
	}
	note("Lines are those of a complete program for one counter in C/Go, and of the environment and the Collector's receiver.")
	if late {
		note("The time was over before all was measured.")
	}
}

// reasons are what rows say, each with those that say it, or with their language where there are many.
func (r *Result) reasons(of func(*Client) string) []string {
	const many = 3
	var order []string
	rows := map[string][]string{}
	for _, client := range bothClients {
		for _, row := range r.Rows {
			if c := row.Clients[client]; c != nil && of(c) != "" {
				why := map[string]string{inC: "C", inGo: "Go"}[client] + ": " + of(c)
				if rows[why] == nil {
					order = append(order, why)
				}
				rows[why] = append(rows[why], row.Title)
			}
		}
	}
	for i, why := range order {
		if len(rows[why]) <= many {
			order[i] = why + " (" + strings.Join(rows[why], ", ") + ")"
		}
	}
	return order
}

// spread is the median of the rows' p99 over their median.
func (r *Result) spread() float64 {
	var all measure.Series
	for _, row := range r.Rows {
		for _, c := range row.Clients {
			for _, cost := range []*Cost{c.One, c.All} {
				if cost != nil {
					all = append(all, cost.P99/cost.Median)
				}
			}
		}
	}
	return all.Median()
}

// noisy is the spread from which on a machine is busy.
const noisy = 1.5

func (r *Result) busy() string {
	if r.spread() > noisy {
		return " (so the machine was busy: trust ratios, or run it again)"
	}
	return ""
}

func (r *Result) healing() string {
	var names []string
	for _, row := range r.Rows {
		if d := row.Delivery; d != nil && d.Heals && d.Dropped > 0 && d.exact() {
			names = append(names, row.Title)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return " Of " + strings.Join(names, " and ") + " that is where the kernel begins to drop: the totals were exact all the same, as the next update makes up for it."
}
