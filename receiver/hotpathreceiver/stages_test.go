package hotpathreceiver

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// Whatever processes do and however often batches are refused, backends get what OTLP allows: no metric
// without points, no series twice, intervals that follow each other, and totals that only fall with a new start.
func TestEveryBatchIsValid(t *testing.T) {
	for _, temporality := range []Temporality{TemporalityCumulative, TemporalityDelta} {
		for _, per := range []Per{PerProcess, PerService} {
			for seed := range uint64(4) {
				t.Run(fmt.Sprintf("%s per %s, seed %d", temporality, per, seed), func(t *testing.T) {
					cfg := createDefaultConfig().(*Config)
					cfg.Temporality, cfg.Resource.Per, cfg.Limits.Series = temporality, per, 2
					liveThrough(t, cfg, seed)
				})
			}
		}
	}
}

func liveThrough(t *testing.T, cfg *Config, seed uint64) {
	host, backend := crowd{Rand: rand.New(rand.NewPCG(seed, 0)), now: 1000}, ledger{}
	st := newStages(cfg, "1", host.now)
	for range 100 {
		host.now += 100
		st.begin(host.now)
		host.collect(st.head)
		batch, points := st.end()
		require.Equal(t, points, batch.DataPointCount())
		told := backend.check(t, batch)
		if host.IntN(4) == 0 {
			continue // refused
		}
		st.commit()
		host.commit()
		maps.Copy(backend, told)
	}
	require.NotEmpty(t, backend)
}

// crowd is a host on which processes come and go.
type crowd struct {
	*rand.Rand
	now       int64
	count     int64
	processes []*life
}

type life struct {
	emit.Process
	series []*emit.Series
	values []uint64
}

var crowdInstruments = []*emit.Instrument{
	{Name: "requests", Kind: emit.KindCounter},
	{Name: "queue", Kind: emit.KindUpDownCounter},
	{Name: "heat", Kind: emit.KindGauge},
	{Name: "latency", Kind: emit.KindHistogram},
}

// collect lets everybody live for a while, and hands over what they have.
func (c *crowd) collect(sink emit.Sink) {
	if c.IntN(2) == 0 {
		c.count++
		c.processes = append(c.processes, &life{Process: emit.Process{
			Resource: []emit.Attribute{
				{Key: "process.pid", Type: emit.AttributeInt, Bits: uint64(c.count)},
				{Key: "service.name", Type: emit.AttributeString, Str: fmt.Sprint("shop", c.IntN(3))},
			},
			Start: c.now - c.Int64N(200), // some are found late
			Seen:  c.IntN(4) == 0,
			State: emit.State(c.IntN(2)), // Live, or found dead
		}})
	}
	for _, p := range c.processes {
		if p.State == emit.Live && len(p.series) > 0 && c.IntN(6) == 0 {
			p.State = emit.State(1 + c.IntN(2)) // it ends, or turns unreadable
		}
		if p.State == emit.Live || len(p.series) == 0 {
			for _, in := range crowdInstruments {
				if op := fmt.Sprint(c.IntN(3)); c.IntN(3) == 0 || len(p.series) == 0 {
					p.add(in, op)
				}
			}
		}
		sink.Process(&p.Process)
		for _, in := range crowdInstruments {
			for i, s := range p.series {
				if s.Instrument != in {
					continue
				}
				if p.State == emit.Live {
					p.values[i] += c.Uint64N(3)
				}
				hand(sink, s, p.values[i])
			}
		}
	}
}

func (p *life) add(in *emit.Instrument, op string) {
	id := in.Name + op
	for _, s := range p.series {
		if s.ID == id {
			return
		}
	}
	p.series = append(p.series, &emit.Series{
		Instrument: in, ID: id, Attributes: []emit.Attribute{{Key: "op", Type: emit.AttributeString, Str: op}},
	})
	p.values = append(p.values, 0)
}

func hand(sink emit.Sink, s *emit.Series, value uint64) {
	switch s.Instrument.Kind {
	case emit.KindCounter:
		sink.Counter(s, value)
	case emit.KindUpDownCounter:
		sink.UpDownCounter(s, -int64(value))
	case emit.KindGauge:
		sink.Gauge(s, float64(value))
	case emit.KindHistogram:
		buckets := [segment.HistogramBuckets]uint64{100: value, 200: value / 2}
		sink.Histogram(s, &emit.HistogramValue{Sum: float64(value), Buckets: &buckets})
	}
}

// commit moves the dead on.
func (c *crowd) commit() {
	kept := c.processes[:0]
	for _, p := range c.processes {
		if p.State == emit.Gone {
			continue
		}
		if p.State == emit.Final {
			p.State = emit.Gone
		}
		kept = append(kept, p)
	}
	c.processes = kept
}

// ledger is what a backend knows of each series: the last point that it accepted.
type ledger map[string]lastPoint

type lastPoint struct {
	start, time pcommon.Timestamp
	value       uint64
	monotonic   bool // or a histogram
	temporality pmetric.AggregationTemporality
	ended       bool
}

// check returns the points of a batch.
func (l ledger) check(t *testing.T, batch pmetric.Metrics) ledger {
	told := ledger{}
	for _, rm := range batch.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			require.NotZero(t, sm.Metrics().Len())
			for _, m := range sm.Metrics().All() {
				add := func(attributes pcommon.Map, p lastPoint) {
					id := fmt.Sprint(rm.Resource().Attributes().AsRaw(), m.Name(), attributes.AsRaw())
					_, twice := told[id]
					require.False(t, twice, "%s is twice in a batch", id)
					told[id] = p
					l.follows(t, id, p, m.Type() != pmetric.MetricTypeGauge)
				}
				switch m.Type() {
				case pmetric.MetricTypeSum:
					require.NotZero(t, m.Sum().DataPoints().Len())
					for _, p := range m.Sum().DataPoints().All() {
						add(p.Attributes(), lastPoint{
							p.StartTimestamp(), p.Timestamp(), uint64(p.IntValue()),
							m.Sum().IsMonotonic(), m.Sum().AggregationTemporality(), p.Flags().NoRecordedValue(),
						})
					}
				case pmetric.MetricTypeGauge:
					require.NotZero(t, m.Gauge().DataPoints().Len())
					for _, p := range m.Gauge().DataPoints().All() {
						add(p.Attributes(), lastPoint{time: p.Timestamp(), ended: p.Flags().NoRecordedValue()})
					}
				case pmetric.MetricTypeExponentialHistogram:
					require.NotZero(t, m.ExponentialHistogram().DataPoints().Len())
					for _, p := range m.ExponentialHistogram().DataPoints().All() {
						count := p.ZeroCount()
						for _, n := range p.Positive().BucketCounts().All() {
							count += n
						}
						require.Equal(t, p.Count(), count)
						add(p.Attributes(), lastPoint{
							p.StartTimestamp(), p.Timestamp(), p.Count(),
							true, m.ExponentialHistogram().AggregationTemporality(), p.Flags().NoRecordedValue(),
						})
					}
				default:
					t.Fatal("no such type: ", m.Type())
				}
			}
		}
	}
	return told
}

// follows checks a point against the one before.
func (l ledger) follows(t *testing.T, id string, p lastPoint, started bool) {
	require.LessOrEqual(t, p.start, p.time)
	require.Equal(t, started, p.start != 0)
	last, known := l[id]
	if !known {
		return
	}
	require.Greater(t, p.time, last.time)
	if !p.monotonic || p.ended {
		return
	}
	if p.temporality == pmetric.AggregationTemporalityCumulative && p.start == last.start {
		require.False(t, last.ended, "%s goes on after its end", id)
		require.GreaterOrEqual(t, p.value, last.value, id)
		return
	}
	require.GreaterOrEqual(t, p.start, last.time, "%s begins before it ended", id)
}
