package emittest

import (
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// Discard is a sink that does nothing, to measure what comes before one.
type Discard struct{}

var _ emit.Sink = Discard{}

func (Discard) Process(*emit.Process)                        {}
func (Discard) Counter(*emit.Series, uint64)                 {}
func (Discard) UpDownCounter(*emit.Series, int64)            {}
func (Discard) Sum(*emit.Series, float64)                    {}
func (Discard) Gauge(*emit.Series, float64)                  {}
func (Discard) Histogram(*emit.Series, *emit.HistogramValue) {}
func (Discard) Metrics(pmetric.ResourceMetrics)              {}
