package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"
)

// cProgram is c/bench.c as it was built, and where it publishes.
type cProgram struct{ path, dir, transport string }

func buildC(root, temporary, name string, flags ...string) (*cProgram, error) {
	c := &cProgram{filepath.Join(temporary, name), filepath.Join(temporary, name+".segments"), "shm"}
	if err := os.Mkdir(c.dir, 0o700); err != nil {
		return nil, err
	}
	arguments := append([]string{"-O2", "-pthread", "-I", filepath.Join(root, "client", "c"), "-o", c.path, filepath.Join(root, "bench", "c", "bench.c")}, flags...)
	// #nosec G204 -- what is compiled is this repository's.
	if output, err := exec.Command("gcc", arguments...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compile bench.c: %w\n%s", err, output)
	}
	return c, nil
}

// cRun is what a run of the program said. Times are keyed by subject and threads.
type cRun struct {
	times  map[string]series
	totals map[string]uint64
}

func timeKey(subject string, threads int) string { return fmt.Sprint(subject, " ", threads) }

// run runs the program, and calls then while it is still there.
func (c *cProgram) run(p plan, threads int, then func(*cRun) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	// #nosec G204 -- it was just compiled.
	cmd := exec.CommandContext(ctx, c.path, strconv.Itoa(p.rounds), fmt.Sprint(p.sample.Seconds()*1000), strconv.Itoa(threads))
	cmd.Env = append(os.Environ(), "HOTPATH_DIR="+c.dir, "HOTPATH_TRANSPORT="+c.transport)
	cmd.Stderr = os.Stderr
	hold, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", c.path, err)
	}
	r, err := parse(output)
	if err == nil {
		err = then(r)
	}
	err = errors.Join(err, hold.Close())
	if failed := cmd.Wait(); failed != nil {
		err = errors.Join(err, fmt.Errorf("run %s: %w", c.path, failed))
	}
	return err
}

// parse reads lines until "done".
func parse(output io.Reader) (*cRun, error) {
	r := &cRun{map[string]series{}, map[string]uint64{}}
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		var (
			name    string
			threads int
			time    float64
			total   uint64
		)
		line := lines.Text()
		switch {
		case line == "done":
			return r, nil
		case scan(line, "time %s %d %g", &name, &threads, &time):
			r.times[timeKey(name, threads)] = append(r.times[timeKey(name, threads)], time)
		case scan(line, "total %s %d", &name, &total):
			r.totals[name] = total
		}
	}
	return nil, errors.Join(errors.New("the C program ended early"), lines.Err())
}

func scan(line, format string, into ...any) bool {
	_, err := fmt.Sscanf(line, format, into...)
	return err == nil
}

// benchC times the C client beside bare instructions.
func benchC(p plan, root, temporary string) ([]row, error) {
	const group = "C client"
	many := 4 * runtime.NumCPU()
	var rows []row
	excess := map[string]series{} // of an add over a bare one, by transport
	for _, build := range []struct {
		name, transport string
		flags           []string
	}{{"norseq", "shm", []string{"-DHOTPATH_NO_RSEQ"}}, {"rseq", "shm", nil}, {"unheard", "user_events", nil}} {
		c, err := buildC(root, temporary, build.name, build.flags...)
		if err != nil {
			return nil, err
		}
		c.transport = build.transport
		err = c.run(p, many, func(r *cRun) error {
			add := func(what string, bound *budget, subject string, threads int, alternative, beside string) {
				measured := r.times[timeKey(subject, threads)]
				made := newRow(group, what, "ns", measured)
				if alternative != "" {
					made = made.beside(beside, measured, r.times[timeKey(alternative, threads)])
				}
				if bound != nil {
					made = made.within(*bound)
				}
				rows = append(rows, made)
			}
			threads := fmt.Sprint(many, " threads")
			twice := &budget{most: 2, ofRatio: true}
			excess[build.transport] = r.times[timeKey("counter_add", 1)].minus(r.times[timeKey("bare_add", 1)])
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
				more := excess["user_events"].minus(excess["shm"])
				rows = append(rows, newRow(group, "the same, over one by shm", "ns", more).within(budget{most: 1}))
				return nil
			}
			found, err := collect(c.dir)
			if err == nil {
				rows = append(rows, exact(group, "totals, "+build.name, found, r.totals["bench.adds"], r.totals["bench.values"]))
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return rows, nil
}
