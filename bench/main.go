// Bench measures hotpath beside its alternatives, in one run and in turn, since
// machines differ and a busy one slows both sides alike. It missed no budget if the
// last column has no NO; it fails only if something could not be measured.
//
//	cd bench && go run . [-quick] [-json | -markdown]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/hotpath-metrics/hotpath/internal/measure"
)

func main() {
	if os.Getenv(workerVariable) != "" {
		if err := serveWorker(); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	quick := flag.Bool("quick", false, "take 15 seconds, and less care")
	asJSON := flag.Bool("json", false, "print JSON")
	asMarkdown := flag.Bool("markdown", false, "print a Markdown table")
	root := flag.String("root", "..", "the repository")
	heard := flag.String("heard", "", "only time this build of the C worker while its user_events are heard")
	flag.Parse()

	micro, collection := measure.Plan{Rounds: 15, Sample: 20 * time.Millisecond}, measure.Plan{Rounds: 15}
	if *quick {
		micro, collection = measure.Plan{Rounds: 7, Sample: 4 * time.Millisecond}, measure.Plan{Rounds: 5}
	}
	r := &report{Machine: measure.DescribeMachine(), Rounds: micro.Rounds, Notes: []string{
		fmt.Sprintf("Times are CPU time for one operation: the median of %d rounds, in which all that are compared take turns, with the lowest and the highest.", micro.Rounds),
		"A ratio is the median of the rounds' own ratios. Where lowest and highest lie far apart the machine was busy: trust the ratio, or run it again.",
	}}
	var err error
	if *heard != "" {
		r.Rows, err = benchHeard(micro, *heard)
	} else {
		err = r.run(micro, collection, *root)
	}
	var printed string
	switch {
	case err != nil:
	case *asJSON:
		printed, err = r.json()
	case *asMarkdown:
		printed = r.markdown()
	default:
		printed = r.text()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	fmt.Print(printed)
}

// run measures all that any kernel can do.
func (r *report) run(micro, collection measure.Plan, root string) (err error) {
	// Segments belong on tmpfs.
	temporary, err := os.MkdirTemp("/dev/shm", "hotpath-bench-")
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temporary)) }()
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	go func() {
		<-interrupted
		_ = os.RemoveAll(temporary)
		os.Exit(130)
	}()

	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	_, missing := measure.CCompiler()
	if missing != nil {
		r.Notes = append(r.Notes, fmt.Sprintf("The C client was not measured: %v.", missing))
	} else {
		for _, bench := range []func() ([]row, error){
			func() ([]row, error) { return benchC(ctx, micro, temporary) },
			func() ([]row, error) { return benchRings(ctx, micro, temporary) },
			func() ([]row, error) { return r.benchURing(ctx, micro, temporary) },
			func() ([]row, error) { return r.benchPeers(ctx, micro, root, temporary) },
		} {
			rows, err := bench()
			if err != nil {
				return err
			}
			r.Rows = append(r.Rows, rows...)
		}
	}

	dir := filepath.Join(temporary, "go.segments")
	err = errors.Join(os.Mkdir(dir, 0o700), os.Setenv("HOTPATH_DIR", dir), os.Setenv("HOTPATH_TRANSPORT", "shm"))
	if err != nil {
		return err
	}
	rows, err := benchGo(micro)
	if err != nil {
		return err
	}
	r.Rows = append(r.Rows, rows...)
	found, err := collect(dir)
	if err != nil {
		return err
	}
	r.Rows = append(r.Rows, exact("Go client", "totals", found, adds.Load(), records.Load()))

	if rows, err = benchCollection(collection, temporary); err != nil {
		return err
	}
	r.Rows = append(r.Rows, rows...)
	if rows, err = benchUserEvents(micro, root); err != nil {
		return err
	}
	r.Rows = append(r.Rows, rows...)
	if rows, err = benchMemory(ctx, temporary, missing == nil); err != nil {
		return err
	}
	r.Rows = append(r.Rows, rows...)
	return nil
}
