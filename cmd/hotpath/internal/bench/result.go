package bench

import (
	"slices"

	"github.com/hotpath-metrics/hotpath/internal/measure"
)

// Result is a whole run. Its JSON is what --json prints.
type Result struct {
	Machine  measure.Machine `json:"machine"`
	Load     float64         `json:"load"` // of one minute, before it began
	Rounds   int             `json:"rounds"`
	Interval float64         `json:"collection_interval"` // seconds
	Took     float64         `json:"took"`                // seconds
	Rows     []*Row          `json:"rows"`
	Choice   []string        `json:"choice"`
	Notes    []string        `json:"notes"`
}

// Row is a mechanism, or a counter that is measured beside.
type Row struct {
	Name      string `json:"name"`
	Title     string `json:"title"`
	Baseline  bool   `json:"baseline,omitempty"`
	Available bool   `json:"available"`
	Reason    string `json:"reason,omitempty"` // why it is not available
	// Emulated says that it was measured on an emulated machine: only ratios mean anything.
	Emulated bool `json:"emulated,omitempty"`
	// Clients by language: c, go.
	Clients map[string]*Client `json:"clients,omitempty"`

	// CollectorCPU is ns an update, at UpdateRate updates a second and a collection each second.
	CollectorCPU *float64  `json:"collector_cpu,omitempty"`
	UpdateRate   float64   `json:"update_rate,omitempty"`
	Delivery     *Delivery `json:"delivery,omitempty"`
	Latencies    []Latency `json:"latencies,omitempty"`
	// Bytes of memory for a series.
	ProcessBytes   *float64 `json:"process_bytes,omitempty"`
	CollectorBytes *float64 `json:"collector_bytes,omitempty"`

	Lines  *Lines `json:"lines,omitempty"`
	Kernel string `json:"kernel,omitempty"`
	// Failures say what of an available mechanism could not be measured, and why.
	Failures []string `json:"failures,omitempty"`

	state bool
	needs needs
}

// Client is what an update costs the process.
type Client struct {
	One        *Cost    `json:"one_thread,omitempty"`
	All        *Cost    `json:"all_cpus,omitempty"`
	Syscalls   *float64 `json:"syscalls,omitempty"` // of the thread that updates, for one update
	NotCounted string   `json:"not_counted,omitempty"`
	Missing    string   `json:"missing,omitempty"` // why nothing was measured
}

// Cost is ns of CPU time for one update, over the rounds.
type Cost struct {
	Median float64 `json:"median"`
	P99    float64 `json:"p99"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	// Ratio to a writev to /dev/null in the same rounds.
	Ratio float64 `json:"ratio,omitempty"`
}

// Delivery is what became of updates at full speed.
type Delivery struct {
	Sent    uint64 `json:"sent"`
	Arrived uint64 `json:"arrived"`
	Dropped int64  `json:"dropped"` // by the kernel's count, also where a later update makes up for it
	// Speed at which they were sent, a second, from all CPUs.
	Speed float64 `json:"speed"`
	// LossFree is the largest rate at which nothing was dropped; it is the speed where that is AnyRate.
	LossFree float64 `json:"loss_free"`
	AnyRate  bool    `json:"any_rate"`
	// Heals says that what was dropped is made up for by the next update.
	Heals bool `json:"heals,omitempty"`
}

func (d *Delivery) exact() bool { return d != nil && d.Sent == d.Arrived }

// Latency is from an update to ConsumeMetrics, in ms.
type Latency struct {
	Interval float64 `json:"collection_interval"` // seconds
	Updates  int     `json:"updates"`
	Median   float64 `json:"median"`
	P99      float64 `json:"p99"`
}

func (r *Result) row(name string) *Row {
	i := slices.IndexFunc(r.Rows, func(row *Row) bool { return row.Name == name })
	if i < 0 {
		return nil
	}
	return r.Rows[i]
}

func newCost(times, beside measure.Series) *Cost {
	c := &Cost{Median: times.Median(), P99: times.Quantile(0.99), Low: times.Quantile(0), High: times.Quantile(1)}
	if len(beside) == len(times) {
		c.Ratio = times.Over(beside).Median()
	}
	return c
}
