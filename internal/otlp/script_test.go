package otlp_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/otlp"
)

// run is an ingest, what it left out by reason, and what its last collection handed over.
type run struct {
	t       *testing.T
	in      *otlp.Ingest
	skipped map[string]int64
	got     pmetric.Metrics
}

type sink struct {
	emit.Sink
	to pmetric.ResourceMetricsSlice
}

func (s sink) Metrics(rm pmetric.ResourceMetrics) { rm.CopyTo(s.to.AppendEmpty()) }

func start(t *testing.T, cfg otlp.Config) *run {
	r := &run{t: t, skipped: map[string]int64{}}
	if cfg.PendingBytes == 0 {
		cfg.PendingBytes = 1 << 20
	}
	if cfg.MaxSeries == 0 {
		cfg.MaxSeries = 100
	}
	if cfg.Idle == 0 {
		cfg.Idle = time.Hour
	}
	r.in = otlp.New(cfg, func(reason string, n int64) { r.skipped[reason] += n })
	return r
}

func (r *run) add(requests ...[]byte) {
	for _, b := range requests {
		r.in.Add(b)
	}
}

// collect returns what a collection hands over, a line for each point.
func (r *run) collect() []string {
	r.got = pmetric.NewMetrics()
	r.in.Collect(sink{to: r.got.ResourceMetrics()})
	return lines(r.got)
}

func (r *run) wantCollected(want ...string) {
	r.t.Helper()
	if got := r.collect(); !slices.Equal(got, want) {
		r.t.Errorf("collected\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func (r *run) wantSkipped(want map[string]int64) {
	r.t.Helper()
	if !maps.Equal(r.skipped, want) {
		r.t.Errorf("skipped %v, want %v", r.skipped, want)
	}
}

// lines tells a point each, as in `{service.name=a}schema/shop@1 requests[1] sum delta mono {k=v} 1..2 3`.
func lines(md pmetric.Metrics) []string {
	var lines []string
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				prefix := attributes(rm.Resource().Attributes()) + rm.SchemaUrl() + "/" + sm.Scope().Name() +
					attributes(sm.Scope().Attributes()) + sm.SchemaUrl() + " " + m.Name() + "[" + m.Unit() + "] "
				for _, p := range points(m) {
					lines = append(lines, prefix+p)
				}
			}
		}
	}
	return lines
}

func points(m pmetric.Metric) []string {
	var texts []string
	add := func(kind string, t pmetric.AggregationTemporality, p interface {
		Attributes() pcommon.Map
		StartTimestamp() pcommon.Timestamp
		Timestamp() pcommon.Timestamp
	}, value any,
	) {
		texts = append(texts, fmt.Sprintf("%s %s %s %d..%d %v", kind, strings.ToLower(t.String()), attributes(p.Attributes()),
			p.StartTimestamp(), p.Timestamp(), value))
	}
	switch m.Type() {
	case pmetric.MetricTypeSum:
		kind := "sum"
		if m.Sum().IsMonotonic() {
			kind = "counter"
		}
		for _, p := range m.Sum().DataPoints().All() {
			add(kind, m.Sum().AggregationTemporality(), p, number(p))
		}
	case pmetric.MetricTypeGauge:
		for _, p := range m.Gauge().DataPoints().All() {
			add("gauge", 0, p, number(p))
		}
	case pmetric.MetricTypeSummary:
		for _, p := range m.Summary().DataPoints().All() {
			add("summary", 0, p, fmt.Sprintf("n=%d sum=%g %d quantiles", p.Count(), p.Sum(), p.QuantileValues().Len()))
		}
	case pmetric.MetricTypeHistogram:
		for _, p := range m.Histogram().DataPoints().All() {
			add("histogram", m.Histogram().AggregationTemporality(), p, fmt.Sprintf("n=%d sum=%v/%g min=%v/%g max=%v/%g %v %v",
				p.Count(), p.HasSum(), p.Sum(), p.HasMin(), p.Min(), p.HasMax(), p.Max(), p.ExplicitBounds().AsRaw(), p.BucketCounts().AsRaw()))
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			add("exponential", m.ExponentialHistogram().AggregationTemporality(), p,
				fmt.Sprintf("n=%d sum=%v/%g scale=%d zero=%d +%d%v -%d%v", p.Count(), p.HasSum(), p.Sum(), p.Scale(), p.ZeroCount(),
					p.Positive().Offset(), p.Positive().BucketCounts().AsRaw(), p.Negative().Offset(), p.Negative().BucketCounts().AsRaw()))
		}
	}
	return texts
}

func number(p pmetric.NumberDataPoint) any {
	if p.ValueType() == pmetric.NumberDataPointValueTypeInt {
		return p.IntValue()
	}
	return fmt.Sprintf("%g", p.DoubleValue())
}

func attributes(m pcommon.Map) string {
	var texts []string
	for k, v := range m.All() {
		texts = append(texts, k+"="+v.AsString())
	}
	slices.Sort(texts)
	return "{" + strings.Join(texts, ",") + "}"
}

func marshal(md pmetric.Metrics) []byte {
	var m pmetric.ProtoMarshaler
	b, err := m.MarshalMetrics(md)
	if err != nil {
		panic(err)
	}
	return b
}

// build makes a request with one metric of the service "a" and scope "shop".
func build(fill func(pmetric.Metric)) []byte {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "a")
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName("shop")
	fill(sm.Metrics().AppendEmpty())
	return marshal(md)
}

// delta makes a request with a delta of the counter "n".
func delta(worker string, from, to pcommon.Timestamp, value int64) []byte {
	return build(func(m pmetric.Metric) { fillDelta(m, worker, from, to, value) })
}

func fillDelta(m pmetric.Metric, worker string, from, to pcommon.Timestamp, value int64) {
	m.SetName("n")
	s := m.SetEmptySum()
	s.SetIsMonotonic(true)
	s.SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	p := s.DataPoints().AppendEmpty()
	p.SetStartTimestamp(from)
	p.SetTimestamp(to)
	p.SetIntValue(value)
	p.Attributes().PutStr("worker", worker)
}
