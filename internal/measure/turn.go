package measure

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Subject is something that can be done n times, and is timed beside others.
type Subject struct {
	Name string
	Do   func(n int)
}

// Plan is how much time a run takes.
type Plan struct {
	Rounds int
	Sample time.Duration // of one subject in one round
}

// TimeInTurn times the subjects in turn, A B A B, and returns for each the
// nanoseconds of CPU time that one operation takes.
func TimeInTurn(p Plan, subjects []Subject) []Series {
	counts := make([]int, len(subjects))
	for i, s := range subjects {
		for counts[i] = 1024; CPUTime(s.Do, counts[i]) < p.Sample/2; counts[i] *= 2 {
		}
	}
	results := make([]Series, len(subjects))
	for range p.Rounds {
		for i, s := range subjects {
			results[i] = append(results[i], float64(CPUTime(s.Do, counts[i]))/float64(counts[i]))
		}
	}
	return results
}

// CPUTime is the process's CPU time, which leaves out what other processes
// take away and counts every thread, the garbage collector's too.
func CPUTime(do func(int), n int) time.Duration {
	began := ProcessTime()
	do(n)
	return ProcessTime() - began
}

// ProcessTime is the CPU time that this process has taken.
func ProcessTime() time.Duration { return clock(unix.CLOCK_PROCESS_CPUTIME_ID) }

// Now is a time that all processes of a machine agree on.
func Now() time.Duration { return clock(unix.CLOCK_MONOTONIC) }

func clock(id int32) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(id, &t); err != nil {
		panic(err) // every Linux has these
	}
	return time.Duration(t.Nano())
}

// OnAllPs divides the operations among as many goroutines as there are Ps, which begin together.
func OnAllPs(do func(n int)) func(n int) {
	return func(n int) { Together(n, do, func() {}) }
}

// Together does the same, and calls begin just before they begin: what it takes to have them there is none of their cost.
func Together(n int, do func(n int), begin func()) {
	var group sync.WaitGroup
	var ready atomic.Int32
	ps := runtime.GOMAXPROCS(0)
	for i := range ps {
		group.Go(func() {
			// One that waits keeps its P, so the others need Ps of their own.
			if int(ready.Add(1)) == ps {
				begin()
				ready.Add(1)
			}
			for int(ready.Load()) <= ps {
			}
			do((n + i) / ps)
		})
	}
	group.Wait()
}
