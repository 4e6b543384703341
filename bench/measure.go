package main

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// subject is something that can be done n times, and is timed beside others.
type subject struct {
	name string
	do   func(n int)
}

// plan is how much time a run takes.
type plan struct {
	rounds int
	sample time.Duration // of one subject in one round
}

// series are the figures of one subject, round by round.
type series []float64

func (s series) median() float64 {
	sorted := slices.Sorted(slices.Values(s))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// over is the series of the ratios within each round, in which both sides met the same machine.
func (s series) over(other series) series {
	ratios := make(series, len(s))
	for i := range s {
		ratios[i] = s[i] / other[i]
	}
	return ratios
}

// minus is the series of the differences, round by round.
func (s series) minus(other series) series {
	differences := make(series, len(s))
	for i := range s {
		differences[i] = s[i] - other[i]
	}
	return differences
}

// timeInTurn times the subjects in turn, A B A B, and returns for each the
// nanoseconds of CPU time that one operation takes.
func timeInTurn(p plan, subjects []subject) []series {
	counts := make([]int, len(subjects))
	for i, s := range subjects {
		for counts[i] = 1024; cpuTime(s.do, counts[i]) < p.sample/2; counts[i] *= 2 {
		}
	}
	results := make([]series, len(subjects))
	for range p.rounds {
		for i, s := range subjects {
			results[i] = append(results[i], float64(cpuTime(s.do, counts[i]))/float64(counts[i]))
		}
	}
	return results
}

// cpuTime is the process's CPU time, which leaves out what other processes
// take away and counts every thread, the garbage collector's too.
func cpuTime(do func(int), n int) time.Duration {
	began := processTime()
	do(n)
	return processTime() - began
}

func processTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		panic(err) // every Linux has it
	}
	return time.Duration(t.Nano())
}

// onAllPs divides the operations among as many goroutines as there are Ps, which begin together.
func onAllPs(do func(n int)) func(n int) {
	return func(n int) {
		var group sync.WaitGroup
		var ready atomic.Int32
		ps := runtime.GOMAXPROCS(0)
		for i := range ps {
			group.Go(func() {
				// One that waits keeps its P, so the others need Ps of their own.
				for ready.Add(1); int(ready.Load()) < ps; {
				}
				do((n + i) / ps)
			})
		}
		group.Wait()
	}
}
