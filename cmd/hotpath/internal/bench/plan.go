package bench

import (
	"time"

	"github.com/hotpath-metrics/hotpath/internal/measure"
)

// plan is how much time a run takes.
type plan struct {
	timing   measure.Plan
	traced   int           // updates whose system calls are counted
	paced    time.Duration // for which the collector's CPU time is measured
	parallel bool          // mechanisms do what leaves CPUs idle at the same time
	burst    time.Duration // of full speed
	steps    int           // in the search for the largest rate without loss
	samples  int           // of latency at the short interval
	interval time.Duration // the configured one
	watched  time.Duration // for which latency is sampled at the configured interval
	series   int           // whose memory is looked at
}

const (
	// limit is how long a run may take; an emulated machine is 10 to 20 times slower.
	limit, limitEmulated = 175 * time.Second, 20 * time.Minute
	// shortInterval of collection shows what a mechanism takes by itself; it is the shortest that the receiver has.
	shortInterval = 10 * time.Millisecond
	// pacedInterval and pacedRate are those at which the collector's CPU time is measured.
	pacedInterval = time.Second
	pacedRate     = 100_000

	defaultInterval, quickInterval = 10 * time.Second, time.Second
)

func newPlan(quick bool, interval time.Duration) plan {
	if quick {
		return plan{
			timing: measure.Plan{Rounds: 20, Sample: time.Millisecond}, traced: 1000, paced: 2 * time.Second, parallel: true,
			burst: 100 * time.Millisecond, steps: 3, samples: 10, interval: interval, watched: interval + interval/2, series: 2000,
		}
	}
	return plan{
		timing: measure.Plan{Rounds: 100, Sample: 3 * time.Millisecond}, traced: 5000, paced: 3 * time.Second,
		burst: time.Second, steps: 7, samples: 50, interval: interval, watched: 2 * interval, series: 10_000,
	}
}
