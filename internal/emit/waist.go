// Package emit is the narrow waist of the receiver: every source hands what it
// read to a [Sink] as (process, series, value), and only this package turns
// that into pdata. Sources know nothing of OTLP, and this package nothing of
// kernels.
package emit

import (
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

// Kind is the kind of an instrument, with the numbers of the segment format.
type Kind uint8

const (
	KindCounter       Kind = segment.KindCounter
	KindUpDownCounter Kind = segment.KindUpDownCounter
	KindGauge         Kind = segment.KindGauge
	KindHistogram     Kind = segment.KindHistogram
)

// AttributeType is the type of an attribute's value.
type AttributeType uint8

const (
	AttributeString AttributeType = segment.AttributeString
	AttributeInt    AttributeType = segment.AttributeInt64
	AttributeDouble AttributeType = segment.AttributeDouble
	AttributeBool   AttributeType = segment.AttributeBool
)

// Attribute is a key with a value: Str for strings, Bits for all other types
// (two's complement, IEEE 754 bits, 0 or 1).
type Attribute struct {
	Key  string
	Str  string
	Bits uint64
	Type AttributeType
}

// Instrument identifies a metric: name, kind, unit and whether its totals have fractions; the
// description does not tell instruments apart.
type Instrument struct {
	Name        string
	Unit        string
	Description string
	Kind        Kind
	// Double says of a counter or updowncounter that its totals are doubles, handed over by [Sink.Sum].
	Double bool
}

func (i *Instrument) same(other *Instrument) bool {
	return i.Name == other.Name && i.Kind == other.Kind && i.Unit == other.Unit && i.Double == other.Double
}

// Series is one instrument with one attribute set. Sources keep a Series alive
// and at the same address for as long as its process lives: sinks may key state by the pointer.
type Series struct {
	Instrument *Instrument
	Attributes []Attribute // sorted by key
	// ID is equal for equal series (instrument, attributes) of any two processes.
	ID string
	// Start is when the value was zero, in UNIX nanoseconds, if that is not Process.Start; zero otherwise.
	// It never changes.
	Start int64
	// Bases is what of the running totals an earlier run of the collector may have delivered, of each part that the series is
	// put together from. Parts may join later, and a base may turn out lower. It is nil where that is not known:
	// then it follows from [Process.Seen].
	Bases []*Base
	// Ended says that the series is over, in a process that lives on: it is named to tell its end, with whatever value. Its last
	// value was accepted before. It stays set, and once its end was accepted the series is never named again. An equal one may begin
	// then: another Series, with a later Start.
	Ended bool
}

// Base is the running totals that a counter of integers or a histogram began with.
type Base struct {
	// Total is that of a counter.
	Total uint64
	// The rest is of a histogram, its buckets from First on.
	Sum       float64
	ZeroCount uint64
	First     int
	Buckets   []uint64
}

// State says where in its life a process is.
type State uint8

const (
	// Live processes may change their values until the next collection.
	Live State = iota
	// Final values are the last ones of a process that ended.
	Final
	// Gone processes have no values any more; their final ones were accepted.
	// Every series is still named once, with whatever value, so that its end can be told; none
	// is named where they go on in another process.
	Gone
)

// Process is what the values of one process have in common. Its address
// identifies it from its first collection to the one in which it is Gone.
type Process struct {
	// Resource holds service.*, process.* and whatever else describes the process, sorted by key.
	Resource []Attribute
	// Owner is the user id under which the kernel knows the process's data.
	Owner uint32
	// Start is when all values were zero, in UNIX nanoseconds, but those of series with a start of their own.
	Start int64
	// Since is when the values of counters and histograms were last delivered, in UNIX nanoseconds, if they are
	// what came since then: it takes the place of any start. Only the stage that makes delta temporality sets it; zero otherwise.
	Since int64
	// Time is when the values were right, in UNIX nanoseconds; zero is the time of the collection.
	Time int64
	// State is where the process is in its life.
	State State
	// Seen says that an earlier run of the collector may have delivered part of the values
	// with which this process is first seen: all of those whose series have no [Series.Bases].
	Seen bool
}

// HistogramValue is a base-2 exponential histogram at [segment.HistogramScale], with
// the buckets from [segment.HistogramOffset] on.
type HistogramValue struct {
	Sum       float64
	ZeroCount uint64
	Buckets   *[segment.HistogramBuckets]uint64
}

// Sink takes what a source read. All calls come from one goroutine. Values are
// running totals since Series.Start or else Process.Start. Series of one instrument come one after
// the other. Nothing passed to a sink may be kept but pointers to Process and Series.
type Sink interface {
	// Process begins a process; what follows belongs to it.
	Process(*Process)
	// Counter takes the running total of a monotonic sum.
	Counter(*Series, uint64)
	// UpDownCounter takes the running total of a sum that may fall.
	UpDownCounter(*Series, int64)
	// Sum takes the running total of a counter or updowncounter that is [Instrument.Double]. It is finite.
	Sum(*Series, float64)
	// Gauge takes the last value.
	Gauge(*Series, float64)
	// Histogram takes the running totals of a histogram.
	Histogram(*Series, *HistogramValue)
	// Metrics takes what came as OTLP already and goes on as it is, whatever the aggregation. It belongs to the sink then.
	Metrics(pmetric.ResourceMetrics)
}
