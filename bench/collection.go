package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/measure"
	"github.com/hotpath-metrics/hotpath/internal/source"
)

const (
	processes = 1000
	points    = processes * seriesPerProcess
	now       = 2_000_000_000 // any time in UNIX nanoseconds
)

// fleet is many live segments, and the source that collects them.
type fleet struct {
	processes []*process
	source    source.Source
	builder   *emit.Builder
}

func newFleet(dir string) (*fleet, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	f := &fleet{builder: emit.NewBuilder("1", pmetric.AggregationTemporalityCumulative)}
	for i := range processes {
		p, err := publish(dir, i)
		if err != nil {
			return nil, err
		}
		p.update(1)
		f.processes = append(f.processes, p)
	}
	var err error
	f.source, err = openSource(dir)
	return f, err
}

// collect does what the receiver does at each interval, but for the consumer.
func (f *fleet) collect() pmetric.Metrics {
	f.builder.Begin(now)
	if err := f.source.Collect(context.Background(), f.builder); err != nil {
		panic(err) // a directory of one's own does not go away
	}
	batch, n := f.builder.Take()
	if n != points {
		panic(fmt.Sprintf("collected %d points, not %d", n, points))
	}
	f.source.Commit()
	return batch
}

func (f *fleet) update(n int) {
	for _, p := range f.processes {
		p.update(n)
	}
}

// benchCollection times a collection beside building the same pdata from a slice.
func benchCollection(p measure.Plan, temporary string) (rows []row, err error) {
	const group = "Collection"
	f, err := newFleet(filepath.Join(temporary, "fleet"))
	if f != nil && f.source != nil {
		defer func() { err = errors.Join(err, f.source.Shutdown(context.Background())) }()
	}
	if err != nil {
		return nil, err
	}
	slice := flatten(f.collect())
	if err := same(f.collect(), slice.build()); err != nil {
		return nil, err
	}

	var collected, built, few, many measured
	for range p.Rounds {
		collected.add(func() { f.collect() })
		built.add(func() { slice.build() })
		f.update(1)
		few.add(func() { f.collect() })
		f.update(10)
		many.add(func() { f.collect() })
	}
	what := fmt.Sprintf("%d processes x %d series", processes, seriesPerProcess)
	rows = append(rows,
		newRow(group, what+", a point", "ns", collected.time).
			beside("the same pmetric from a Go slice", collected.time, built.time).within(budget{most: 2, ofRatio: true}),
		newRow(group, what+", a point", "allocations", collected.allocations).
			beside("the same pmetric from a Go slice", collected.allocations, built.allocations),
		newRow(group, "after 10 updates of each series, a point", "ns", many.time).
			beside("after one update of each", many.time, few.time).within(budget{most: 1.2, ofRatio: true}),
	)
	return rows, nil
}

// measured are figures for one point.
type measured struct{ time, allocations measure.Series }

// add measures one collection, which begins without garbage and pays for what it makes.
func (m *measured) add(do func()) {
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := measure.ProcessTime()
	do()
	took := measure.ProcessTime() - began
	runtime.ReadMemStats(&after)
	m.time = append(m.time, float64(took)/points)
	m.allocations = append(m.allocations, float64(after.Mallocs-before.Mallocs)/points)
}

func same(collected, built pmetric.Metrics) error {
	var marshaler pmetric.ProtoMarshaler
	a, err := marshaler.MarshalMetrics(collected)
	if err != nil {
		return fmt.Errorf("marshal metrics: %w", err)
	}
	b, err := marshaler.MarshalMetrics(built)
	if err != nil {
		return fmt.Errorf("marshal metrics: %w", err)
	}
	if !bytes.Equal(a, b) {
		return errors.New("what was built by hand is not what was collected")
	}
	return nil
}
