package bench

import (
	"strings"
	"testing"
)

// figures are results as they could be, by what an update costs in C. Below zero: not available.
func figures(costs map[string]float64) *Result {
	r := &Result{}
	for i := range mechanisms {
		m := &mechanisms[i]
		cost, there := costs[m.name]
		if !there {
			continue
		}
		row := newRow(m)
		if cost < 0 {
			row.Available, row.Reason = false, "it is not"
		} else {
			row.Clients = map[string]*Client{inC: {One: &Cost{Median: cost, Low: cost, P99: 2 * cost, Ratio: cost / 100}}}
			row.Delivery = &Delivery{Sent: 1e6, Arrived: 1e6, Speed: 1e6, LossFree: 1e6, AnyRate: true}
		}
		r.Rows = append(r.Rows, row)
	}
	return r
}

func TestChoiceFollowsFromTheFigures(t *testing.T) {
	lossy := func(name string) func(*Result) {
		return func(r *Result) { r.row(name).Delivery.Arrived-- }
	}
	for what, c := range map[string]struct {
		costs map[string]float64
		but   func(*Result)
		first string
		says  []string
	}{
		"all there": {
			costs: map[string]float64{"shm": 0.6, "bpf": 0.61, probeName: 1000, "user_events": 1500, "io_uring": 30, "statsd_udp": 2400},
			first: "Begin with shm: an update costs 0.60 ns in C, 1/4000 of a statsd datagram, all 1.00 M updates",
			says:  []string{"bpf segment costs the same and needs CAP_BPF", "user_events costs 2500 times as much", "io_uring costs 50.0 times", "a probe, at 1667 times"},
		},
		"the least needs among equals, whichever was a trifle faster": {
			costs: map[string]float64{"shm": 0.62, "bpf": 0.6},
			first: "Begin with shm:",
		},
		"the machine busy while one of equals had its turn": {
			costs: map[string]float64{"shm": 9, "bpf": 2},
			but:   func(r *Result) { r.row("shm").Clients[inC].One.Low = 1.1; r.row("bpf").Clients[inC].One.Low = 1 },
			first: "Begin with shm:",
			says:  []string{"bpf segment costs the same"},
		},
		"shm dear": {
			costs: map[string]float64{"shm": 40, "bpf": 0.6, "io_uring": 30},
			first: "Begin with bpf segment:",
			says:  []string{"shm costs 66.7 times", "it needs CAP_BPF"},
		},
		"shm not there": {
			costs: map[string]float64{"shm": -1, "bpf": -1, "io_uring": 30, "user_events": 1500},
			first: "Begin with io_uring:",
			says:  []string{"shm and bpf segment are not there", "user_events costs 50.0 times"},
		},
		"the fastest loses": {
			costs: map[string]float64{"shm": 0.6, "user_events": 1500}, but: lossy("shm"),
			first: "Begin with user_events:",
			says:  []string{"shm lost updates"},
		},
		"all lose": {
			costs: map[string]float64{"io_uring": 30, "user_events": 1500},
			but:   func(r *Result) { lossy("io_uring")(r); lossy("user_events")(r) },
			first: "Begin with io_uring:",
			says:  []string{"though 1 of 1.00 M updates were lost"},
		},
		"emulated": {
			costs: map[string]float64{"shm": 5},
			but:   func(r *Result) { r.Machine.Emulated = true },
			first: "Begin with shm: an update costs 0.05 writev to /dev/null in C",
			says:  []string{"No other was there"},
		},
		"none": {
			costs: map[string]float64{"shm": -1, "bpf": -1, probeName: -1, "user_events": -1, "io_uring": -1, "bare_add": 0.3, "client_golang": 6, "statsd_udp": 2000},
			first: "None of the mechanisms can be used here",
			says:  []string{"client_golang costs least: 6.00 ns"},
		},
		"a probe is not what to begin with": {
			costs: map[string]float64{probeName: 900, "shm": 1200},
			first: "Begin with shm:",
		},
	} {
		t.Run(what, func(t *testing.T) {
			r := figures(c.costs)
			if c.but != nil {
				c.but(r)
			}
			got := choose(r)
			if len(got) != 2 || !strings.HasPrefix(got[0], c.first) {
				t.Fatalf("chose %q, not %q", got, c.first)
			}
			for _, want := range c.says {
				if !strings.Contains(strings.Join(got, " "), want) {
					t.Errorf("%q does not say %q", got, want)
				}
			}
			for _, sentence := range got {
				if !strings.HasSuffix(sentence, ".") || strings.Contains(sentence, "NaN") || strings.Contains(strings.TrimSuffix(sentence, "."), ". ") {
					t.Errorf("%q is not one sentence", sentence)
				}
			}
		})
	}
}
