package c

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
	"github.com/hotpath-metrics/hotpath/internal/quota"
	"github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
	uringsource "github.com/hotpath-metrics/hotpath/internal/source/uring"
)

// uringSkips fails the test for everything that the source will not take from our own clients.
type uringSkips struct{ skips }

func (s *uringSkips) EventsSkipped(reason string, n int64) {
	s.t.Errorf("%d messages were skipped: %s", n, reason)
}

// uringSource starts the receiver's own source.
func uringSource(t *testing.T, socket string) source.Source {
	t.Helper()
	cfg := uringsource.DefaultConfig()
	cfg.Socket, cfg.CQEntries = socket, 256
	limits := segments.Limits{
		Limits:      quota.Limits{Segments: 1000, SegmentsPerUID: 1000, Series: 1 << 20, SeriesPerUID: 1 << 20, SeriesPerSegment: 1 << 20},
		SegmentSize: 1 << 30,
	}
	s := uringsource.New(cfg, limits, zap.NewNop(), &uringSkips{skips{t: t}})
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := s.Start(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	return s
}

// process collects until a process is as it should be. On a busy machine it takes more than one flush to tell everything.
func process(t *testing.T, s source.Source, pid int, flush func(), right func(*emittest.Process) bool) {
	t.Helper()
	var r emittest.Recorder
	for range 1000 {
		flush()
		r.Reset()
		if err := s.Collect(context.Background(), &r); err != nil {
			t.Fatal(err)
		}
		for _, p := range r.Processes {
			if p.Resource["process.pid"] == strconv.Itoa(pid) && right(p) {
				return
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	told := fmt.Sprintf("%d processes", len(r.Processes))
	for _, p := range r.Processes {
		told += fmt.Sprintf(", %v %v", p.Resource, p.Counters)
	}
	t.Fatal(told[:min(len(told), 1000)])
}

func TestUringIsWhatTheReceiversSourceTakes(t *testing.T) {
	for _, sqpoll := range []string{"0", "1"} {
		t.Run("sqpoll "+sqpoll, func(t *testing.T) {
			socket := uringSocket(t)
			s := uringSource(t, socket)
			p := startUring(t, socket, []string{"HOTPATH_URING_SQPOLL=" + sqpoll}, uringProgram(t))
			pid := p.cmd.Process.Pid
			flush := func() { p.do("flush") }
			p.do("series many 1000", "set gauge 3", "move moved -5", "threads 4 10000")
			right := func(rounds uint64) func(*emittest.Process) bool {
				return func(p *emittest.Process) bool {
					h := p.Histograms["histograms{n=990}"]
					return p.Counters["many{n=999}"] == 1000*rounds && p.Gauges["gauge"] == 3 && p.UpDownCounters["moved"] == -5 &&
						p.Counters["threads.counter"] == 40000 && h.Count == rounds && h.Sum == 991*float64(rounds)
				}
			}
			process(t, s, pid, flush, right(1))
			if err := s.Shutdown(context.Background()); err != nil {
				t.Fatal(err)
			}
			p.do("series many 1000")
			time.Sleep(1100 * time.Millisecond)
			s = uringSource(t, socket) // a restart
			p.do("count one 1")
			process(t, s, pid, flush, right(2))
			p.do("series many 1000")
			p.finish()
			process(t, s, pid, func() {}, func(p *emittest.Process) bool { return p.Info.State == 1 && right(3)(p) })
		})
	}
}
