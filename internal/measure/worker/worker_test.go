package worker

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/measure"
)

// asWorker makes this program a worker in Go.
const asWorker = "HOTPATH_TEST_WORKER"

// program is the C worker, or buildError says why there is none.
var (
	program    string
	buildError error
)

func TestMain(m *testing.M) {
	if os.Getenv(asWorker) == "" {
		dir, err := os.MkdirTemp("", "worker")
		if err == nil {
			program, buildError = Build(dir, "worker", "-Wall", "-Wextra", "-Werror")
			status := m.Run()
			os.RemoveAll(dir)
			os.Exit(status)
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var word int64
	series := 0
	w := Worker{
		Subjects: []Subject{
			{"bare_add", func() (func(int), error) {
				return func(n int) {
					for range n {
						atomic.AddInt64(&word, 1)
					}
				}, nil
			}},
			{"getppid", func() (func(int), error) {
				return func(n int) {
					for range n {
						_ = unix.Getppid()
					}
				}, nil
			}},
			{"missing", func() (func(int), error) { return nil, errors.New("is not there") }},
		},
		Series: func(n int) { series += n },
		Status: func() string { return fmt.Sprint(word, " added, ", series, " series") },
	}
	if err := w.Serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// both runs a test with a worker in C and one in Go.
func both(t *testing.T, test func(*testing.T, *Process)) {
	check := func(p *Process, err error) func(*testing.T) {
		return func(t *testing.T) {
			if err != nil {
				t.Fatal(err)
			}
			test(t, p)
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	t.Run("C", func(t *testing.T) {
		if _, err := measure.CCompiler(); err != nil {
			t.Skip(err)
		}
		if buildError != nil {
			t.Fatal(buildError)
		}
		check(Start(t.Context(), program, []string{"test"}, "HOTPATH_TRANSPORT=off"))(t)
	})
	t.Run("Go", func(t *testing.T) {
		check(Start(t.Context(), os.Args[0], nil, asWorker+"=1"))(t)
	})
}

func TestWorkersDoWhatTheyAreTold(t *testing.T) {
	both(t, func(t *testing.T, p *Process) {
		if !slices.Contains(p.Subjects, "bare_add") {
			t.Errorf("it can do %v", p.Subjects)
		}
		before := measure.Now()
		took, err := p.Do("bare_add", 2, 1_000_000)
		if err != nil || took.CPU <= 0 || took.Elapsed <= 0 || took.Began < before || took.Began > measure.Now() {
			t.Errorf("it took %+v, %v", took, err)
		}
		if err := p.Series(3); err != nil {
			t.Error(err)
		}
		if status, err := p.Status(); err != nil || status == "" {
			t.Errorf("its status is %q, %v", status, err)
		}
		if _, err := p.Do("nothing", 1, 1); err == nil || !strings.Contains(err.Error(), "no such subject") {
			t.Errorf("of a subject that does not exist it says %v", err)
		}
	})
}

func TestWorkersKeepThePace(t *testing.T) {
	both(t, func(t *testing.T, p *Process) {
		took, err := p.Pace("bare_add", 20_000, 100_000)
		if err != nil || took.Elapsed < 195*time.Millisecond || took.Elapsed > time.Minute {
			t.Errorf("what takes 200 ms at that pace took %+v, %v", took, err)
		}
	})
}

func TestSystemCallsAreCountedExactly(t *testing.T) {
	both(t, func(t *testing.T, p *Process) {
		for subject, want := range map[string]float64{"getppid": 1, "bare_add": 0} {
			got, err := p.Syscalls(subject, 1000)
			if errors.Is(err, unix.EPERM) {
				t.Skip(err)
			}
			if err != nil || math.Abs(got-want) > 0.03 { // Go's runtime makes some of its own
				t.Errorf("%s makes %v system calls, %v", subject, got, err)
			}
		}
		if took, err := p.Do("getppid", 1, 1000); err != nil || took.CPU == 0 {
			t.Errorf("after it was traced it took %+v, %v", took, err)
		}
	})
}

func TestOneThatCannotBeDoneKeepsNobodyFromBeingTimed(t *testing.T) {
	both(t, func(t *testing.T, p *Process) {
		timings := []*Timing{{Process: p, Subject: "missing", Threads: 1}, {Process: p, Subject: "getppid", Threads: 1}, {Process: p, Subject: "bare_add", Threads: 2}}
		last := 0.0
		InTurn(measure.Plan{Rounds: 5, Sample: time.Millisecond}, timings, func(part float64) { last = part })
		if timings[0].Err == nil || timings[1].Err != nil || len(timings[1].Times) != 5 || timings[1].Done < 5*timings[1].count || last != 1 {
			t.Errorf("%+v\n%+v", timings[0], timings[1])
		}
		if add := timings[2]; add.Err != nil || len(add.Times) != 5 || slices.Min(add.Times) <= 0 {
			t.Errorf("%+v", add)
		}
	})
}

func TestWorkerThatEndsEarlyIsAnError(t *testing.T) {
	if p, err := Start(t.Context(), "/bin/true", nil); err == nil {
		p.Close()
		t.Error("it was taken for a worker")
	}
}
