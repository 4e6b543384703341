package bench

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/hotpath-metrics/hotpath/internal/measure"
)

// arrivals are the totals that came, by the name of the metric, and when.
type arrivals struct {
	mu     sync.Mutex
	totals map[string]uint64
	log    map[string][]arrival
}

// arrival is a total, and the time at which it was first seen.
type arrival struct {
	At    time.Duration `json:"at"` // by measure.Now
	Total uint64        `json:"total"`
}

// logged is how many arrivals are kept of each metric.
const logged = 4096

func newArrivals() *arrivals {
	return &arrivals{totals: map[string]uint64{}, log: map[string][]arrival{}}
}

// Capabilities implements consumer.Metrics.
func (*arrivals) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

// ConsumeMetrics keeps the totals of a batch, in which each metric is whole.
func (a *arrivals) ConsumeMetrics(_ context.Context, batch pmetric.Metrics) error {
	now := measure.Now()
	totals := map[string]uint64{}
	for _, rm := range batch.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				if m.Type() != pmetric.MetricTypeSum {
					continue
				}
				for _, p := range m.Sum().DataPoints().All() {
					totals[m.Name()] += uint64(p.IntValue())
				}
			}
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, total := range totals {
		a.set(name, total, now)
	}
	return nil
}

// add is for those who hear of increments.
func (a *arrivals) add(name string, n uint64, now time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.set(name, a.totals[name]+n, now)
}

// set takes totals that grow only: at its end, a series has no value.
func (a *arrivals) set(name string, total uint64, now time.Duration) {
	if total <= a.totals[name] {
		return
	}
	a.totals[name] = total
	log := append(a.log[name], arrival{now, total})
	a.log[name] = log[max(0, len(log)-logged):]
}

func (a *arrivals) total(name string) uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.totals[name]
}

func (a *arrivals) of(name string) []arrival {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]arrival(nil), a.log[name]...)
}
