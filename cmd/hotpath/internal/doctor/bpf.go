package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/hotpath-metrics/hotpath/internal/instrument"
	"github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/internal/source/bpf"
	"github.com/hotpath-metrics/hotpath/internal/source/bpf/probe"
)

func checkBPF(_ context.Context, t *trial) (f findings) {
	cfg := *t.config.BPF.GetOrInsertDefault()
	if t.asked {
		f.Source = t.askedBPF(cfg)
		return f
	}
	source, client := t.segments()
	return findings{Source: source, Client: &client}
}

func checkProbes(ctx context.Context, t *trial) findings { return findings{Source: t.ownProbe(ctx)} }

// askedBPF checks what a configuration asks for: programs that are probed do not notice.
func (t *trial) askedBPF(cfg bpf.Config) Verdict {
	v := Verdict{Available: true}
	if cfg.Segments {
		v, _ = t.segments()
	}
	if !v.Available || len(cfg.Probes) == 0 {
		return v
	}
	if err := probe.Check(cfg.Probes, t.probeLimits(), t.logger, source.Ignored{}); err != nil {
		return Verdict{Reason: err.Error(), Fix: fixProbes(err)}
	}
	v.Notes = append(v.Notes, notes(t.heard.take()...)...)
	v.Reason = "the kernel takes the programs of all probes"
	return v
}

// segments has the programs find the memfd of a process, in which there is nothing that a Collector would tell of.
func (t *trial) segments() (source, client Verdict) {
	var c *child
	var failed error // to start it
	publish := func() { c, failed = startClient(bpfName, quiet) }
	limits, err := bpf.Check(t.patience, func() (int, error) {
		if publish(); failed != nil {
			return 0, failed
		}
		if s := standingOf(bpfName, c.Status); !s.works {
			return 0, &silentError{s.why}
		}
		return c.PID, nil
	})
	if c == nil && failed == nil { // there was no right to come so far
		publish()
	}
	if failed != nil {
		client = Verdict{Reason: failed.Error()}
	} else {
		client = memfdOf(c)
		err = errors.Join(err, t.endUnnoticed(c))
	}
	if err != nil {
		return Verdict{Reason: err.Error(), Fix: fixBPF(err)}, client
	}
	source = Verdict{Available: true, Reason: "the memfd of a process was found", Notes: notes(limits...)}
	for i := range source.Notes {
		source.Notes[i].Fix = fixReach(source.Notes[i].Text)
	}
	return source, client
}

func memfdOf(c *child) Verdict {
	if s := standingOf(bpfName, c.Status); !s.works {
		return Verdict{Reason: s.why, Fix: fixMemfd(s.why)}
	}
	return Verdict{Available: true, Reason: "publishes a memfd"}
}

func (t *trial) probeLimits() probe.Limits {
	l := t.config.Limits
	return probe.Limits{Processes: l.Segments, Series: l.Series, SeriesPerUID: l.SeriesPerUID}
}

// probed is the function that the check has a probe at. It is called for that alone.
//
//go:noinline
func probed() {}

const probedSymbol = "github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/doctor.probed"

// ownProbe puts a probe into this program.
func (t *trial) ownProbe(ctx context.Context) Verdict {
	path, err := os.Executable()
	if err != nil {
		return Verdict{Reason: err.Error()}
	}
	src := probe.New(probe.Configs{{
		Metric:     instrument.Config{Name: counterName, Type: "counter"},
		Uprobe:     &probe.Uprobe{Binary: path, Symbol: probedSymbol},
		Mode:       "aggregate",
		MaxSeries:  8,
		SingleStep: true, // its first instruction may be any
	}}, false, probe.Limits{Processes: 64, Series: 64, SeriesPerUID: 64}, t.logger, source.Ignored{})
	if err := src.Start(ctx, nil); err != nil {
		return Verdict{Reason: err.Error(), Fix: fixProbes(errors.Join(err, src.Shutdown(ctx)))}
	}
	defer src.Shutdown(ctx) //nolint:errcheck // what is left goes with this process
	for range counted {
		probed()
	}
	var sum tally
	for deadline := time.Now().Add(t.patience); sum.total != counted; time.Sleep(pause) {
		sum = tally{}
		err := src.Collect(ctx, &sum)
		if err == nil && time.Now().After(deadline) {
			err = late(sum.total, t.patience)
		}
		if err != nil {
			return Verdict{Reason: err.Error(), Fix: fixProbes(err)}
		}
	}
	return Verdict{Available: true, Reason: fmt.Sprintf("%d calls of a function were counted", counted)}
}
