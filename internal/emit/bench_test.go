package emit

import (
	"fmt"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

const benchProcesses, benchInstruments, benchSeries = 1000, 20, 5

// fleet is 1,000 processes with 100 series each: 20 counters of 5 series, with two attributes.
func fleet() ([]*Process, []*Series) {
	processes := make([]*Process, benchProcesses)
	for i := range processes {
		processes[i] = shop()
	}
	var series []*Series
	for i := range benchInstruments {
		instrument := &Instrument{Name: fmt.Sprintf("shop.requests.%d", i), Unit: "{request}", Kind: KindCounter}
		for j := range benchSeries {
			series = append(series, &Series{
				Instrument: instrument,
				Attributes: []Attribute{text("operation", "get"), {Key: "shard", Type: AttributeInt, Bits: uint64(j)}},
			})
		}
	}
	return processes, series
}

func BenchmarkBuilder(b *testing.B) {
	processes, series := fleet()
	builder := NewBuilder("1", cumulative)
	b.ReportAllocs()
	for b.Loop() {
		builder.Begin(1000)
		var sink Sink = builder
		for _, p := range processes {
			sink.Process(p)
			for i, s := range series {
				sink.Counter(s, uint64(i))
			}
		}
		if _, points := builder.Take(); points != benchProcesses*benchInstruments*benchSeries {
			b.Fatal(points)
		}
	}
	perPoint(b)
}

// BenchmarkByHand is what the budget of twice its time is about: the same batch from a slice, by whoever knows its shape.
func BenchmarkByHand(b *testing.B) {
	processes, series := fleet()
	b.ReportAllocs()
	for b.Loop() {
		batch := pmetric.NewMetrics()
		batch.ResourceMetrics().EnsureCapacity(len(processes))
		for range processes {
			rm := batch.ResourceMetrics().AppendEmpty()
			rm.Resource().Attributes().PutStr("service.name", "shop")
			sm := rm.ScopeMetrics().AppendEmpty()
			sm.Scope().SetName(ScopeName)
			sm.Scope().SetVersion("1")
			sm.Metrics().EnsureCapacity(benchInstruments)
			for i := range benchInstruments {
				m := sm.Metrics().AppendEmpty()
				m.SetName(series[i*benchSeries].Instrument.Name)
				m.SetUnit("{request}")
				sum := m.SetEmptySum()
				sum.SetIsMonotonic(true)
				sum.SetAggregationTemporality(cumulative)
				sum.DataPoints().EnsureCapacity(benchSeries)
				for j := range benchSeries {
					p := sum.DataPoints().AppendEmpty()
					p.SetStartTimestamp(pcommon.Timestamp(100))
					p.SetTimestamp(pcommon.Timestamp(1000))
					p.SetIntValue(int64(i*benchSeries + j))
					attributes := p.Attributes()
					attributes.EnsureCapacity(2)
					attributes.PutStr("operation", "get")
					attributes.PutInt("shard", int64(j))
				}
			}
		}
	}
	perPoint(b)
}

func perPoint(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(benchProcesses*benchInstruments*benchSeries), "ns/point")
}
