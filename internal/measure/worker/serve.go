package worker

import (
	"bufio"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/measure"
)

// Subject of a Go worker. It is prepared once, before it is first done; what keeps it from being done is its answer then.
type Subject struct {
	Name    string
	Prepare func() (do func(n int), err error)
}

// Worker is a worker in Go: what it can do, by the protocol of c/serve.h.
type Worker struct {
	Subjects []Subject
	Series   func(n int)   // makes series and counts with each
	Status   func() string // where it counts

	prepared map[string]func(int)
}

// Serve obeys until its input ends. It keeps its thread, which does whatever is done by one.
func (w *Worker) Serve(in io.Reader, out io.Writer) error {
	runtime.LockOSThread()
	w.prepared = map[string]func(int){}
	ready := fmt.Sprint("ready ", unix.Gettid())
	for _, s := range w.Subjects {
		ready += " " + s.Name
	}
	if _, err := fmt.Fprintln(out, ready); err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		answer, err := w.obey(lines.Text())
		if err != nil {
			answer = fmt.Sprint("failed ", err)
		}
		if _, err := fmt.Fprintln(out, answer); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (w *Worker) obey(line string) (string, error) {
	var (
		name       string
		threads, n int
		rate       float64
	)
	switch {
	case scan(line, "do %s %d %d", &name, &threads, &n):
		do, err := w.find(name)
		if err != nil {
			return "", err
		}
		return timed(func(begin func()) {
			if threads > 1 {
				measure.Together(n, do, begin)
				return
			}
			do(n)
		}), nil
	case scan(line, "pace %s %d %g", &name, &n, &rate) && rate > 0:
		do, err := w.find(name)
		if err != nil {
			return "", err
		}
		return timed(func(func()) { pace(do, n, rate) }), nil
	case scan(line, "series %d", &n):
		w.Series(n)
		debug.FreeOSMemory() // what making them took is not what they take
		return "did 0 0 0", nil
	case line == "status":
		return "status " + w.Status(), nil
	}
	return "", fmt.Errorf("no such command: %s", line)
}

func scan(line, format string, into ...any) bool {
	_, err := fmt.Sscanf(line, format, into...)
	return err == nil
}

func (w *Worker) find(name string) (func(int), error) {
	if do := w.prepared[name]; do != nil {
		return do, nil
	}
	for _, s := range w.Subjects {
		if s.Name == name {
			do, err := s.Prepare()
			if err == nil {
				w.prepared[name] = do
			}
			return do, err
		}
	}
	return nil, fmt.Errorf("no such subject: %s", name)
}

// timed is what something takes from when it begins, which is now unless it says so.
func timed(do func(begin func())) string {
	var began, cpu time.Duration
	begin := func() { began, cpu = measure.Now(), measure.ProcessTime() }
	begin()
	do(begin)
	return fmt.Sprintf("did %d %d %d", measure.ProcessTime()-cpu, measure.Now()-began, began)
}

// pace does in each millisecond what is due by then.
func pace(do func(int), n int, perSecond float64) {
	began := time.Now()
	for done := 0; done < n; {
		if until := min(n, int(time.Since(began).Seconds()*perSecond)); until > done {
			do(until - done)
			done = until
		}
		if done < n {
			time.Sleep(time.Millisecond)
		}
	}
}
