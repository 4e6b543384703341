package hotpathreceiver

import (
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/hotpath-metrics/hotpath/internal/aggregate"
	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// stages turn what the sources hand over into pdata, by way of the aggregation that the config asks for.
type stages struct {
	head    emit.Sink // what sources are given
	fold    *aggregate.Fold
	delta   *aggregate.Delta
	builder *emit.Builder
}

// newStages makes the stages at a time in UNIX nanoseconds, which is when delta
// intervals and folded totals begin that this run of the Collector doesn't know from their beginning.
func newStages(cfg *Config, version string, now int64) *stages {
	temporality := pmetric.AggregationTemporalityCumulative
	if cfg.Temporality == TemporalityDelta {
		temporality = pmetric.AggregationTemporalityDelta
	}
	s := &stages{builder: emit.NewBuilder(version, temporality)}
	s.head = s.builder
	if cfg.Temporality == TemporalityDelta {
		s.delta = aggregate.NewDelta(s.head, now)
		s.head = s.delta
	}
	if cfg.Resource.Per == PerService {
		s.fold = aggregate.NewFold(s.head, cfg.Limits.Series, now)
		s.head = s.fold
	}
	return s
}

// begin starts a batch that is collected at a time in UNIX nanoseconds.
func (s *stages) begin(now int64) {
	s.builder.Begin(now)
	if s.delta != nil {
		s.delta.Begin(now)
	}
	if s.fold != nil {
		s.fold.Begin(now)
	}
}

// end returns the batch and how many points it has.
func (s *stages) end() (pmetric.Metrics, int) {
	if s.fold != nil {
		s.fold.End()
	}
	return s.builder.Take()
}

// commit says that the batch was accepted.
func (s *stages) commit() {
	if s.fold != nil {
		s.fold.Commit()
	}
	if s.delta != nil {
		s.delta.Commit()
	}
}
