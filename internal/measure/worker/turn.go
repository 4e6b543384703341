package worker

import "github.com/hotpath-metrics/hotpath/internal/measure"

// Timing is a subject of a worker that is timed beside others.
type Timing struct {
	Process *Process
	Subject string
	Threads int

	Times measure.Series // ns of CPU time for one operation, by round
	Done  int            // operations in all
	Err   error          // why it could not be timed

	count int
}

// InTurn times subjects of workers in turn, A B A B. One that fails does not keep the others from it.
func InTurn(p measure.Plan, timings []*Timing, progress func(part float64)) {
	for _, t := range timings {
		t.calibrate(p)
	}
	for round := range p.Rounds {
		for _, t := range timings {
			if took := t.do(); t.Err == nil {
				t.Times = append(t.Times, float64(took.CPU)/float64(t.count))
			}
		}
		progress(float64(round+1) / float64(p.Rounds))
	}
}

// calibrate finds how often the subject has to be done for a sample, of which what threads take to begin is a small part.
func (t *Timing) calibrate(p measure.Plan) {
	const small, slow = 8, 50 // a machine on which that would take longer is not worth it
	least := p.Sample / 2
	if t.Threads > 1 {
		t.count = 0
		beginning := min(t.do().CPU, t.do().CPU, t.do().CPU)
		least = max(least, min(small*beginning, slow*p.Sample))
	}
	for t.count = 256; t.Err == nil; t.count *= 2 {
		if min(t.do().CPU, t.do().CPU) >= least { // once, something else may have held it up
			return
		}
	}
}

func (t *Timing) do() Took {
	if t.Err != nil {
		return Took{}
	}
	took, err := t.Process.Do(t.Subject, t.Threads, t.count)
	t.Err = err
	t.Done += t.count
	return took
}
