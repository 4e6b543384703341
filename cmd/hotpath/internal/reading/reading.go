// Package reading reads what the processes of this host count, as the Collector's receiver does, and disturbs neither them nor a Collector.
// The receiver's own sources find and read the segments (watch.go); here is what one reading of all of them is, and what it tells
// together with the one before (sink.go): rates, and the percentiles of what was recorded in between.
package reading

import (
	"time"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// Reading is what all processes counted, at one time. Nobody changes it any more.
type Reading struct {
	Time time.Time
	// Interval is how long ago the reading before was, 0 for the first.
	Interval  time.Duration
	Processes []Process
	// Notes say what could not be seen, and how it could be.
	Notes []string
}

// Series is how many there are.
func (r *Reading) Series() (n int) {
	for i := range r.Processes {
		n += len(r.Processes[i].Series)
	}
	return n
}

// Process is a process and all that it counts.
type Process struct {
	// Key is the same in all readings.
	Key     *emit.Process
	Service string
	Command string // the name of its executable
	PID     int64
	Owner   uint32 // user id
	Start   time.Time
	Ended   bool
	// Resource holds these and all other attributes, sorted by key.
	Resource []emit.Attribute
	Series   []Series
}

// History is how many readings back a trend goes.
const History = 20

// Series is a series and its value. Which of the fields have one depends on its kind.
type Series struct {
	// Key is the same in all readings.
	*emit.Series
	Start time.Time

	Counter uint64    // of a counter; the count of a histogram
	Number  float64   // of a gauge, an updowncounter, or a counter of doubles
	Integer int64     // of an updowncounter of integers
	Records Histogram // of a histogram

	// Rate is by how much a total has grown each second since the reading before, if HasRate.
	Rate    float64
	HasRate bool
	// Trend is the rates of the last readings or, of gauges and updowncounters, the values: the newest is the last.
	// Where there is none it is not a number.
	Trend [History]float32
}

// Histogram is a base-2 exponential histogram of scale 3.
type Histogram struct {
	Sum       float64
	ZeroCount uint64
	// Buckets are those from the first to the last that are not zero; Offset is the index of the first of them.
	Offset  int
	Buckets []uint64
	// Percentiles are of what was recorded since the reading before, or, if that is nothing, of all.
	Percentiles Percentiles
}

// Percentiles are values below which 50, 90 and 99 % of the records are.
type Percentiles struct{ P50, P90, P99 float64 }

// Double says whether a series' totals have fractions.
func (s *Series) Double() bool { return s.Instrument.Double || s.Instrument.Kind == emit.KindGauge }

// Value is the total or the last value, as a number to show and to sort by.
func (s *Series) Value() float64 {
	switch {
	case s.Double():
		return s.Number
	case s.Instrument.Kind == emit.KindUpDownCounter:
		return float64(s.Integer)
	default:
		return float64(s.Counter)
	}
}
