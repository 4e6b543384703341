package emit

import (
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// ScopeName is the instrumentation scope of all metrics.
const ScopeName = "github.com/hotpath-metrics/hotpath"

// Builder is the sink that makes pdata: a ResourceMetrics for each process, a
// Metric for each instrument in it and a point for each series. A process
// without series leaves nothing behind. Gone processes, and series that ended, get points that carry
// only the NoRecordedValue flag.
//
// Between Begin and Take it is a [Sink].
type Builder struct {
	version     string
	temporality pmetric.AggregationTemporality

	batch  pmetric.Metrics
	now    pcommon.Timestamp
	points int

	process     *Process // nil as soon as it has a ResourceMetrics
	gone        bool
	time        pcommon.Timestamp
	start       pcommon.Timestamp // of the process
	since       pcommon.Timestamp // of the interval, zero without one
	metrics     pmetric.MetricSlice
	opened      bool // for a process of this batch
	instruments int  // of the process before, to size the next one's slice

	instrument *Instrument
	numbers    pmetric.NumberDataPointSlice
	histograms pmetric.ExponentialHistogramDataPointSlice
}

// NewBuilder returns a builder that names version as the scope's version.
// The temporality says how counters and histograms are marked;
// updowncounters are cumulative in both, as OpenTelemetry's "delta" preference has it.
func NewBuilder(version string, temporality pmetric.AggregationTemporality) *Builder {
	return &Builder{version: version, temporality: temporality, batch: pmetric.NewMetrics()}
}

// Begin starts an empty batch, collected at a time in UNIX nanoseconds that
// [Process.Time] may override. What the last batch held is dropped unless it was taken.
func (b *Builder) Begin(now int64) {
	processes := b.batch.ResourceMetrics().Len()
	b.batch = pmetric.NewMetrics()
	b.batch.ResourceMetrics().EnsureCapacity(processes)
	b.now = timestamp(now)
	b.points = 0
	b.process = nil
	b.opened = false
}

// Take returns the batch and how many points it has.
func (b *Builder) Take() (pmetric.Metrics, int) { return b.batch, b.points }

// Process implements [Sink].
func (b *Builder) Process(p *Process) {
	if b.process == nil && b.opened {
		b.instruments = b.metrics.Len()
	}
	b.process = p
	b.gone = p.State == Gone
	b.instrument = nil
}

// Counter implements [Sink]. A total above the largest int64 becomes a double
// point: it keeps growing, as precise as a double is, where an integer would wrap or stand still.
func (b *Builder) Counter(s *Series, total uint64) {
	p := b.number(s)
	switch {
	case b.over(s):
	case total > math.MaxInt64:
		p.SetDoubleValue(float64(total))
	default:
		p.SetIntValue(int64(total))
	}
}

// UpDownCounter implements [Sink].
func (b *Builder) UpDownCounter(s *Series, total int64) {
	if p := b.number(s); !b.over(s) {
		p.SetIntValue(total)
	}
}

// Sum implements [Sink].
func (b *Builder) Sum(s *Series, total float64) {
	if p := b.number(s); !b.over(s) {
		p.SetDoubleValue(total)
	}
}

// Gauge implements [Sink].
func (b *Builder) Gauge(s *Series, value float64) {
	if p := b.number(s); !b.over(s) {
		p.SetDoubleValue(value)
	}
}

// Metrics implements [Sink].
func (b *Builder) Metrics(rm pmetric.ResourceMetrics) {
	for _, sm := range rm.ScopeMetrics().All() {
		for _, m := range sm.Metrics().All() {
			b.points += points(m)
		}
	}
	rm.MoveTo(b.batch.ResourceMetrics().AppendEmpty())
}

func points(m pmetric.Metric) int {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return m.Gauge().DataPoints().Len()
	case pmetric.MetricTypeSum:
		return m.Sum().DataPoints().Len()
	case pmetric.MetricTypeHistogram:
		return m.Histogram().DataPoints().Len()
	case pmetric.MetricTypeExponentialHistogram:
		return m.ExponentialHistogram().DataPoints().Len()
	case pmetric.MetricTypeSummary:
		return m.Summary().DataPoints().Len()
	}
	return 0
}

func (b *Builder) number(s *Series) pmetric.NumberDataPoint {
	b.open(s)
	p := b.numbers.AppendEmpty()
	switch s.Instrument.Kind {
	case KindCounter:
		p.SetStartTimestamp(b.beginning(s))
	case KindUpDownCounter:
		p.SetStartTimestamp(b.zeroed(s))
	}
	p.SetTimestamp(b.time)
	if b.over(s) {
		p.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
	}
	putAttributes(p.Attributes(), s.Attributes)
	return p
}

// over says that a series has no value any more.
func (b *Builder) over(s *Series) bool { return b.gone || s.Ended }

// zeroed returns when a running total was zero.
func (b *Builder) zeroed(s *Series) pcommon.Timestamp {
	if s.Start > 0 {
		return b.until(s.Start)
	}
	return b.start
}

// beginning returns where a point begins that the temporality applies to.
func (b *Builder) beginning(s *Series) pcommon.Timestamp {
	if b.since > 0 {
		return b.since
	}
	return b.zeroed(s)
}

// until returns the start, but no later than the points: a clock that was set back,
// or a lying client, must not yield one that starts after its end.
func (b *Builder) until(start int64) pcommon.Timestamp { return min(timestamp(start), b.time) }

// open makes the series' metric the one that points are appended to.
func (b *Builder) open(s *Series) {
	b.points++
	if b.process != nil {
		b.openResource()
	}
	if b.instrument == s.Instrument || b.instrument != nil && b.instrument.same(s.Instrument) {
		return
	}
	b.instrument = s.Instrument
	m := b.metrics.AppendEmpty()
	m.SetName(s.Instrument.Name)
	m.SetUnit(s.Instrument.Unit)
	m.SetDescription(s.Instrument.Description)
	switch s.Instrument.Kind {
	case KindCounter:
		sum := m.SetEmptySum()
		sum.SetIsMonotonic(true)
		sum.SetAggregationTemporality(b.temporality)
		b.numbers = sum.DataPoints()
	case KindUpDownCounter:
		sum := m.SetEmptySum()
		sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		b.numbers = sum.DataPoints()
	case KindGauge:
		b.numbers = m.SetEmptyGauge().DataPoints()
	case KindHistogram:
		h := m.SetEmptyExponentialHistogram()
		h.SetAggregationTemporality(b.temporality)
		b.histograms = h.DataPoints()
	}
}

// openResource begins the ResourceMetrics of the process, at its first series.
func (b *Builder) openResource() {
	p := b.process
	b.process = nil
	b.opened = true
	b.time = b.now
	if p.Time > 0 {
		b.time = timestamp(p.Time)
	}
	b.start = b.until(p.Start)
	b.since = b.until(p.Since)
	rm := b.batch.ResourceMetrics().AppendEmpty()
	putAttributes(rm.Resource().Attributes(), p.Resource)
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName(ScopeName)
	sm.Scope().SetVersion(b.version)
	b.metrics = sm.Metrics()
	b.metrics.EnsureCapacity(b.instruments)
}

func putAttributes(m pcommon.Map, attributes []Attribute) {
	m.EnsureCapacity(len(attributes))
	for i := range attributes {
		switch a := &attributes[i]; a.Type {
		case AttributeString:
			m.PutStr(a.Key, a.Str)
		case AttributeInt:
			m.PutInt(a.Key, int64(a.Bits))
		case AttributeDouble:
			m.PutDouble(a.Key, math.Float64frombits(a.Bits))
		case AttributeBool:
			m.PutBool(a.Key, a.Bits != 0)
		}
	}
}

// timestamp converts UNIX nanoseconds; times before 1970 become zero, which OTLP reads as unknown.
func timestamp(nanos int64) pcommon.Timestamp { return pcommon.Timestamp(max(nanos, 0)) }
