package aggregate

import (
	"strconv"
	"testing"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
)

// fleet is 100 processes with 100 counters each, all of one service.
func fleet() ([]*emit.Process, [][]*emit.Series) {
	processes := make([]*emit.Process, 100)
	series := make([][]*emit.Series, len(processes))
	for i := range processes {
		processes[i] = running("shop", 7, int64(i+1))
		for j := range 100 {
			series[i] = append(series[i], &emit.Series{Instrument: instruments["requests"], ID: strconv.Itoa(j)})
		}
	}
	return processes, series
}

func BenchmarkFold(b *testing.B) {
	f := NewFold(emittest.Discard{}, 100, 100)
	run(b, f, func() { f.Begin(1) }, f.End, f.Commit)
}

func BenchmarkDelta(b *testing.B) {
	d := NewDelta(emittest.Discard{}, 100)
	run(b, d, func() { d.Begin(1) }, func() {}, d.Commit)
}

func run(b *testing.B, sink emit.Sink, begin, end, commit func()) {
	processes, series := fleet()
	points := float64(len(processes) * len(series[0]))
	b.ReportAllocs()
	var n uint64
	for b.Loop() {
		n++
		begin()
		for i, p := range processes {
			sink.Process(p)
			for _, s := range series[i] {
				sink.Counter(s, n)
			}
		}
		end()
		commit()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/points, "ns/point")
}
