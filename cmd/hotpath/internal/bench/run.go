package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hotpath-metrics/hotpath/internal/measure"
	"github.com/hotpath-metrics/hotpath/internal/measure/worker"
)

// run is one that goes on.
type run struct {
	plan
	*place
	result   *Result
	progress *progress
	began    time.Time
	mu       sync.Mutex // guards rows where mechanisms are measured at the same time
}

// measureAll measures everything, in phases. What fails in a row is its own matter; an error is about the run.
func measureAll(ctx context.Context, p plan, to *progress) (result *Result, err error) {
	machine := measure.DescribeMachine()
	ctx, cancel := context.WithTimeout(ctx, map[bool]time.Duration{false: limit, true: limitEmulated}[machine.Emulated])
	defer cancel()
	place, err := newPlace(strconv.Itoa(os.Getpid()))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(place.dir)) }()
	r := &run{plan: p, place: place, progress: to, began: time.Now(), result: &Result{
		Machine: machine, Load: load(), Rounds: p.timing.Rounds, Interval: p.interval.Seconds(),
	}}
	for i := range mechanisms {
		r.result.Rows = append(r.result.Rows, newRow(&mechanisms[i]))
	}
	remove, noCompiler := r.compile()
	defer remove()

	languages := bothClients
	if noCompiler != nil {
		languages = []string{inGo}
	}
	r.beside(ctx, languages)
	r.atShortInterval(ctx, languages)
	r.atInterval(ctx, languages)
	if noCompiler != nil {
		r.noC(noCompiler)
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil, ctx.Err()
	}
	r.result.Took = time.Since(r.began).Seconds()
	r.result.describe(ctx.Err() != nil)
	return r.result, nil
}

func newRow(m *mechanism) *Row {
	row := &Row{
		Name: m.name, Title: m.title, Baseline: m.baseline, Available: true, Kernel: m.kernel, Lines: m.lines(), Clients: map[string]*Client{}, state: m.state, needs: m.needs,
	}
	for _, client := range m.clients {
		row.Clients[client] = &Client{}
	}
	return row
}

// compile builds the C worker where files can be executed, which a tmpfs may forbid.
func (r *run) compile() (remove func(), err error) {
	r.progress.phase("compiling the C client")
	dir, err := os.MkdirTemp("", "hotpath-bench-")
	if err != nil {
		return func() {}, fmt.Errorf("make directory: %w", err)
	}
	remove = func() { _ = os.RemoveAll(dir) }
	r.worker, err = worker.Build(dir, "worker")
	return remove, err
}

func (r *run) noC(err error) {
	for _, row := range r.result.Rows {
		if c := row.Clients[inC]; c != nil {
			*c = Client{Missing: oneLine(err)}
		}
	}
}

// open opens all mechanisms that are there, each within its interval.
func (r *run) open(ctx context.Context, which func(*mechanism) bool, interval time.Duration, clients []string) []*bed {
	beds := make([]*bed, len(mechanisms))
	var group sync.WaitGroup
	for i := range mechanisms {
		m := &mechanisms[i]
		row := r.result.row(m.name)
		if !which(m) || !row.Available {
			continue
		}
		group.Go(func() {
			b, err := open(ctx, r.place, m, interval, clients)
			r.mu.Lock()
			defer r.mu.Unlock()
			switch {
			case err != nil && len(row.Latencies) == 0 && row.Delivery == nil && !anyCost(row):
				row.Available, row.Reason = false, reason(m, err)
			case err != nil:
				row.fail("start again", err)
			default:
				beds[i] = b
				for client, err := range b.failed {
					row.Clients[client].Missing = oneLine(err)
				}
			}
		})
	}
	group.Wait()
	var opened []*bed
	for _, b := range beds {
		if b != nil {
			opened = append(opened, b)
		}
	}
	return opened
}

// reason is what a source says, without what the receiver puts before it.
func reason(m *mechanism, err error) string {
	text := oneLine(err)
	for _, source := range []string{m.name, "bpf"} {
		text = strings.TrimPrefix(text, "start source "+source+": ")
	}
	return text
}

func (r *run) close(beds []*bed) {
	var group sync.WaitGroup
	for _, b := range beds {
		group.Go(func() {
			if err := b.close(); err != nil {
				r.fail(b.name, "end", err)
			}
		})
	}
	group.Wait()
}

// each has something measured of every bed.
func (r *run) each(ctx context.Context, beds []*bed, what string, parallel bool, do func(*bed, *Row) error) {
	var group sync.WaitGroup
	for i, b := range beds {
		r.progress.part(what+": "+b.title, float64(i)/float64(len(beds)))
		one := func() {
			err := ctx.Err()
			if err == nil {
				err = do(b, r.result.row(b.name))
			}
			if err != nil {
				r.fail(b.name, what, err)
			}
		}
		if parallel {
			group.Go(one)
		} else {
			one()
		}
	}
	group.Wait()
}

func (r *run) fail(name, what string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.row(name).fail(what, err)
}

func (row *Row) fail(what string, err error) {
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.New("out of time")
	}
	row.Failures = append(row.Failures, what+": "+oneLine(err))
}

func anyCost(row *Row) bool {
	for _, c := range row.Clients {
		if c.One != nil {
			return true
		}
	}
	return false
}

// load is the load average of the last minute.
func load() float64 {
	text, _ := os.ReadFile("/proc/loadavg") // 0 where there is none
	first, _, _ := strings.Cut(string(text), " ")
	f, _ := strconv.ParseFloat(first, 64)
	return f
}
