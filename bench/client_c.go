package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/hotpath-metrics/hotpath/internal/measure"
	"github.com/hotpath-metrics/hotpath/internal/measure/worker"
)

// prefix of the series of workers.
const prefix = "bench"

// within is how long a worker may take.
const within = 5 * time.Minute

// cClient is a worker in C at work, and where it publishes.
type cClient struct {
	*worker.Process
	dir     string
	timings map[string]*worker.Timing // by subject and threads
}

// startC builds a worker and starts it.
func startC(ctx context.Context, temporary, name, transport string, flags ...string) (*cClient, error) {
	path, err := worker.Build(temporary, name, flags...)
	if err != nil {
		return nil, err
	}
	return startBuilt(ctx, path, filepath.Join(temporary, name+".segments"), transport)
}

func startBuilt(ctx context.Context, path, dir, transport string, env ...string) (*cClient, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	p, err := worker.Start(ctx, path, []string{prefix}, append(env, "HOTPATH_DIR="+dir, "HOTPATH_TRANSPORT="+transport)...)
	return &cClient{p, dir, map[string]*worker.Timing{}}, err
}

func timeKey(subject string, threads int) string { return fmt.Sprint(subject, " ", threads) }

// time times subjects in turn.
func (c *cClient) time(p measure.Plan, threads int, subjects ...string) error {
	var timings []*worker.Timing
	for _, subject := range subjects {
		t := &worker.Timing{Process: c.Process, Subject: subject, Threads: threads}
		timings = append(timings, t)
		c.timings[timeKey(subject, threads)] = t
	}
	worker.InTurn(p, timings, func(float64) {})
	var errs error
	for _, t := range timings {
		errs = errors.Join(errs, t.Err)
	}
	return errs
}

func (c *cClient) times(subject string, threads int) measure.Series {
	if t := c.timings[timeKey(subject, threads)]; t != nil {
		return t.Times
	}
	return nil
}

// done is how often a subject was done in all.
func (c *cClient) done(subject string) (n uint64) {
	for _, t := range c.timings {
		if t.Subject == subject {
			n += uint64(t.Done)
		}
	}
	return n
}

// benchC times the C client beside bare instructions.
func benchC(ctx context.Context, p measure.Plan, temporary string) ([]row, error) {
	const group = "C client"
	many := 4 * runtime.NumCPU()
	var rows []row
	excess := map[string]measure.Series{} // of an add over a bare one, by transport
	for _, build := range []struct {
		name, transport string
		flags           []string
	}{{"norseq", "shm", []string{"-DHOTPATH_NO_RSEQ"}}, {"rseq", "shm", nil}, {"unheard", "user_events", nil}} {
		c, err := startC(ctx, temporary, build.name, build.transport, build.flags...)
		if err != nil {
			return nil, err
		}
		err = errors.Join(
			c.time(p, 1, "bare_add", "counter_add", "lock_add", "bare_store", "gauge_set", "bucket_and_sum", "histogram_record"),
			c.time(p, many, "bare_add", "counter_add", "lock_add", "histogram_record"))
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		add := func(what string, bound *budget, subject string, threads int, alternative, beside string) {
			measured := c.times(subject, threads)
			made := newRow(group, what, "ns", measured)
			if alternative != "" {
				made = made.beside(beside, measured, c.times(alternative, threads))
			}
			if bound != nil {
				made = made.within(*bound)
			}
			rows = append(rows, made)
		}
		threads := fmt.Sprint(many, " threads")
		twice := &budget{most: 2, ofRatio: true}
		excess[build.transport] = c.times("counter_add", 1).Minus(c.times("bare_add", 1))
		switch build.name {
		case "rseq":
			add("counter add, 1 thread", twice, "counter_add", 1, "bare_add", "add [mem],1")
			add("counter add, 1 thread", nil, "counter_add", 1, "lock_add", "lock add [mem],1")
			add("counter add, "+threads, twice, "counter_add", many, "bare_add", "add [mem],1 on memory of its own")
			add("counter add, "+threads, nil, "counter_add", many, "lock_add", "lock add on one word")
			add("histogram record", &budget{most: 5}, "histogram_record", 1, "bucket_and_sum", "bare adds to a bucket and a sum")
			add("histogram record, "+threads, nil, "histogram_record", many, "", "")
			add("gauge set", nil, "gauge_set", 1, "bare_store", "mov [mem]")
		case "norseq":
			add("counter add without rseq, 1 thread", nil, "counter_add", 1, "lock_add", "lock add [mem],1")
			add("counter add without rseq, "+threads, nil, "counter_add", many, "lock_add", "lock add on one word")
		case "unheard": // what was counted stays in private memory
			add("counter add by user_events, unheard", nil, "counter_add", 1, "bare_add", "add [mem],1")
			more := excess["user_events"].Minus(excess["shm"])
			rows = append(rows, newRow(group, "the same, over one by shm", "ns", more).within(budget{most: 1}))
		}
		if build.transport == "shm" {
			found, err := collect(c.dir)
			if err != nil {
				return nil, errors.Join(err, c.Close())
			}
			rows = append(rows, exact(group, "totals, "+build.name, found, c.done("counter_add"), c.done("histogram_record")))
		}
		if err := c.Close(); err != nil {
			return nil, err
		}
	}
	return rows, nil
}
