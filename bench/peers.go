package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/hotpath-metrics/hotpath/internal/measure"
	"github.com/hotpath-metrics/hotpath/internal/measure/worker"
)

// nativePeer is a program in c/ that counts with another library.
type nativePeer struct {
	name, source, compiler string
	flags                  []string
	counter                string // what its counter is called
	histogram              string // "" where there is none
}

var nativePeers = []nativePeer{
	{
		name: "prometheus-cpp", source: "prometheus.cc", compiler: "g++", flags: []string{"-lprometheus-cpp-core"},
		counter: "prometheus-cpp Counter::Increment", histogram: "prometheus-cpp Histogram::Observe",
	},
	{name: "PCP MMV", source: "mmv.c", compiler: "gcc", flags: []string{"-lpcp_mmv", "-lpcp"}, counter: "PCP mmv_inc"},
	{
		name: "LTTng-UST", source: "lttng.c", compiler: "gcc", flags: []string{"-llttng-ust", "-ldl"}, counter: "LTTng-UST tracepoint, recorded",
	},
}

// benchPeers times hotpath's counter and histogram beside other libraries. One that is not there is a note.
func (r *report) benchPeers(ctx context.Context, p measure.Plan, root, temporary string) (rows []row, err error) {
	const group = "C client, beside other libraries"
	own, err := startC(ctx, temporary, "beside", "shm")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, own.Close()) }()
	for _, peer := range nativePeers {
		there, end, missing := peer.start(ctx, root, temporary)
		if missing != nil {
			r.Notes = append(r.Notes, fmt.Sprintf("%s was not measured: %v.", peer.name, missing))
			continue
		}
		made, failed := peer.compare(p, own.Process, there)
		rows = append(rows, made...)
		if err := errors.Join(failed, there.Close(), end()); err != nil {
			return nil, fmt.Errorf("measure %s: %w", peer.name, err)
		}
	}
	for i := range rows {
		rows[i].Group = group
	}
	return rows, nil
}

func (n *nativePeer) compare(p measure.Plan, own, there *worker.Process) ([]row, error) {
	var rows []row
	for _, threads := range slices.Compact([]int{1, runtime.NumCPU()}) {
		subjects := []struct{ what, own, theirs, name string }{{"counter add", "counter_add", "counter", n.counter}}
		if n.histogram != "" {
			subjects = append(subjects, struct{ what, own, theirs, name string }{"histogram record", "histogram_record", "histogram", n.histogram})
		}
		for _, s := range subjects {
			timings := []*worker.Timing{{Process: own, Subject: s.own, Threads: threads}, {Process: there, Subject: s.theirs, Threads: threads}}
			worker.InTurn(p, timings, func(float64) {})
			if err := errors.Join(timings[0].Err, timings[1].Err); err != nil {
				return nil, err
			}
			what := s.what + ", 1 thread"
			if threads > 1 {
				what = fmt.Sprintf("%s, %d threads", s.what, threads)
			}
			rows = append(rows, newRow("", what, "ns", timings[0].Times).beside(s.name, timings[0].Times, timings[1].Times))
		}
	}
	return rows, nil
}

// start builds and starts the program; end takes away what it needed. The error says what is missing.
func (n *nativePeer) start(ctx context.Context, root, temporary string) (p *worker.Process, end func() error, err error) {
	home := filepath.Join(temporary, "home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, nil, fmt.Errorf("make directory: %w", err)
	}
	path := filepath.Join(temporary, n.source+".program")
	arguments := append([]string{
		"-O2", "-pthread", "-I", filepath.Join(root, "internal", "measure", "worker", "c"), "-I", filepath.Join(root, "bench", "c"),
		"-o", path, filepath.Join(root, "bench", "c", n.source),
	}, n.flags...)
	// #nosec G204 -- what is compiled is this repository's.
	if _, err := exec.CommandContext(ctx, n.compiler, arguments...).CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("%s cannot be compiled here (make bench installs what it needs, as root)", n.source)
	}
	environment := []string{"HOME=" + home, "LTTNG_HOME=" + home, "PCP_TMP_DIR=" + home}
	end = func() error { return nil }
	if n.name == "LTTng-UST" {
		if end, err = recordLTTng(ctx, home); err != nil {
			return nil, nil, err
		}
	}
	p, err = worker.Start(ctx, path, nil, environment...)
	if err != nil {
		return nil, nil, errors.Join(err, end())
	}
	return p, end, nil
}
