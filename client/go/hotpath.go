package hotpath

import "github.com/hotpath-metrics/hotpath/client/go/segment"

// process is the one client of this process.
var process client

// Counter is a series that only grows. Its zero value refuses what is added.
type Counter struct{ cell cell }

// UpDownCounter is a series that grows and falls. Its zero value refuses what is added.
type UpDownCounter struct{ cell cell }

// Gauge is a series of which the last value counts. Its zero value refuses what is set.
type Gauge struct {
	cell   cell
	direct *float64 // where it is set, if nobody can listen
}

// Histogram is a series of values of which the distribution counts: an exponential
// histogram whose 512 buckets cover 2^-30 to 2^34, each 9 % wide. Its zero value refuses what is recorded.
type Histogram struct{ cell cell }

// NewCounter returns the counter with this name and these options. A name has 1
// to 255 bytes: a letter, then letters, digits, '_', '.', '-' and '/'. A name that is bad, or taken
// by an instrument of another kind or unit, gives the zero handle; [Status] says why.
func NewCounter(name string, options ...Option) Counter {
	return Counter{process.series(segment.KindCounter, name, options)}
}

// NewUpDownCounter returns the updowncounter with this name and these options, under the rules of [NewCounter].
func NewUpDownCounter(name string, options ...Option) UpDownCounter {
	return UpDownCounter{process.series(segment.KindUpDownCounter, name, options)}
}

// NewGauge returns the gauge with this name and these options, under the rules of [NewCounter].
func NewGauge(name string, options ...Option) Gauge {
	return process.series(segment.KindGauge, name, options).gauge()
}

// NewHistogram returns the histogram with this name and these options, under the rules of [NewCounter].
func NewHistogram(name string, options ...Option) Histogram {
	return Histogram{process.series(segment.KindHistogram, name, options)}
}

// Flush has everything told that was counted before. There is nothing to tell but with HOTPATH_TRANSPORT=io_uring: then a
// program calls it before it ends. Where the Collector has no room it waits, 250 ms at most.
func Flush() { process.flush() }

// Status says in one sentence, for a human, where this process counts, and what of it can't be seen there and why.
func Status() string { return process.status() }
