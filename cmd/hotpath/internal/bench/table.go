package bench

import (
	"fmt"
	"strconv"

	"github.com/hotpath-metrics/hotpath/internal/measure"
)

// table is what is shown of a result, on a terminal or in Markdown.
type table struct {
	title   string
	columns []string
	rows    [][]string
}

const (
	notMeasured = "-"
	unavailable = "not there"
)

func tables(r *Result) []table { return []table{costs(r), rest(r)} }

// costs are what an update costs the program.
func costs(r *Result) table {
	cpus := fmt.Sprint(r.Machine.CPUs, " CPUs")
	t := table{
		title:   "What an update costs the program: ns of CPU time, median (p99)",
		columns: []string{"", "C, 1 thread", "C, " + cpus, "Go, 1 thread", "Go, " + cpus, "calls C", "Go"},
	}
	if r.Machine.Emulated {
		t.title = "What an update costs the program, in times of a writev to /dev/null (this machine is emulated)"
	}
	for _, row := range r.Rows {
		c, g := row.Clients[inC], row.Clients[inGo]
		cells := []string{row.label(), c.one(row), c.all(row), g.one(row), g.all(row), c.calls(), g.calls()}
		if !row.Available && !row.Emulated {
			cells[1] = unavailable
		}
		t.rows = append(t.rows, cells)
	}
	return t
}

// rest is all else, of those rows that have anything of it.
func rest(r *Result) table {
	t := table{
		title:   "What it takes beside: the Collector's ns of CPU time for an update, updates a second without loss, ms from an update to the next component, bytes for a series, lines to write",
		columns: []string{"", "collector", "loss-free", "at " + interval(shortInterval.Seconds()), "at " + interval(r.Interval), "B program", "B coll.", "lines", "Linux"},
	}
	for _, row := range r.Rows {
		if row.Lines == nil {
			continue
		}
		t.rows = append(t.rows, []string{
			row.label(), row.inTimes(row.CollectorCPU), row.Delivery.cell(row), row.latency(shortInterval.Seconds()), row.latency(r.Interval),
			inBytes(row.ProcessBytes), inBytes(row.CollectorBytes), row.Lines.cell(), row.Kernel,
		})
	}
	return t
}

func interval(seconds float64) string {
	if seconds < 1 {
		return fmt.Sprintf("%.0f ms", 1000*seconds)
	}
	return fmt.Sprintf("%g s", seconds)
}

func (row *Row) label() string {
	if row.Emulated && !row.Available {
		return row.Title + "*" // a note says where it was measured
	}
	return row.Title
}

func (c *Client) one(row *Row) string {
	if c == nil {
		return notMeasured
	}
	return c.One.cell(row)
}

func (c *Client) all(row *Row) string {
	if c == nil {
		return notMeasured
	}
	return c.All.cell(row)
}

func (c *Cost) cell(row *Row) string {
	switch {
	case c == nil:
		return notMeasured
	case row.Emulated:
		return measure.Figure(c.Ratio) + "x"
	}
	return measure.Figure(c.Median) + " (" + measure.Figure(c.P99) + ")"
}

// calls of which there are fewer than can be told from none are none.
func (c *Client) calls() string {
	const none = 0.005
	switch {
	case c == nil || c.Missing != "" || c.Syscalls == nil:
		return notMeasured
	case *c.Syscalls < none:
		return "0"
	}
	return strconv.FormatFloat(*c.Syscalls, 'f', 2, 64)
}

// inTimes is ns, which an emulated machine has none of: it does not know how long the yardstick would be for the collector.
func (row *Row) inTimes(ns *float64) string {
	if ns == nil || row.Emulated {
		return notMeasured
	}
	return measure.Figure(*ns)
}

func (d *Delivery) cell(row *Row) string {
	switch {
	case d == nil:
		return notMeasured
	case d.AnyRate && row.state:
		return "any (" + count(float64(d.Sent)) + ")"
	case row.Emulated:
		return notMeasured
	case d.AnyRate:
		return "> " + count(d.Speed)
	}
	return count(d.LossFree)
}

func count(f float64) string {
	switch {
	case f >= 1e9:
		return measure.Figure(f/1e9) + " G"
	case f >= 1e6:
		return measure.Figure(f/1e6) + " M"
	case f >= 1e3:
		return measure.Figure(f/1e3) + " k"
	}
	return fmt.Sprintf("%.0f", f)
}

func (row *Row) latency(interval float64) string {
	if row.Emulated {
		return notMeasured
	}
	for _, l := range row.Latencies {
		if l.Interval == interval {
			return measure.Figure(l.Median)
		}
	}
	return notMeasured
}

func inBytes(f *float64) string {
	if f == nil {
		return notMeasured
	}
	return fmt.Sprintf("%.0f", *f)
}

// cell is code in C and in Go, and what configures it.
func (l *Lines) cell() string {
	code := fmt.Sprint(l.C, "/", l.Go)
	switch {
	case l.C == 0 && l.Go == 0:
		code = "0"
	case l.C == 0:
		code = fmt.Sprint(l.Go)
	}
	return fmt.Sprint(code, "+", l.Env+l.YAML)
}
