package otlp_test

import (
	"bytes"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pmetric"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/otlp"
	"github.com/hotpath-metrics/hotpath/internal/otlp/otlptest"
)

func TestRequestsOfOneMetricBecomeOneMetric(t *testing.T) {
	r := start(t, otlp.Config{})
	r.add(delta("1", 10, 20, 3), delta("2", 10, 20, 4), delta("1", 20, 30, 5))
	r.wantCollected(
		"{service.name=a}/shop{} n[] counter delta {worker=1} 10..20 3",
		"{service.name=a}/shop{} n[] counter delta {worker=2} 10..20 4",
		"{service.name=a}/shop{} n[] counter delta {worker=1} 20..30 5")
	rms := r.got.ResourceMetrics()
	if rms.Len() != 1 || rms.At(0).ScopeMetrics().Len() != 1 || rms.At(0).ScopeMetrics().At(0).Metrics().Len() != 1 {
		t.Error("they were not merged")
	}
	r.wantSkipped(map[string]int64{})
}

func TestWhatTellsMetricsApartIsNotMerged(t *testing.T) {
	r := start(t, otlp.Config{})
	for i, change := range []func(pmetric.ResourceMetrics, pmetric.ScopeMetrics, pmetric.Metric){
		func(pmetric.ResourceMetrics, pmetric.ScopeMetrics, pmetric.Metric) {},
		func(rm pmetric.ResourceMetrics, _ pmetric.ScopeMetrics, _ pmetric.Metric) {
			rm.Resource().Attributes().PutInt("service.name", 1)
		},
		func(rm pmetric.ResourceMetrics, _ pmetric.ScopeMetrics, _ pmetric.Metric) { rm.SetSchemaUrl("u") },
		func(_ pmetric.ResourceMetrics, sm pmetric.ScopeMetrics, _ pmetric.Metric) { sm.SetSchemaUrl("u") },
		func(_ pmetric.ResourceMetrics, sm pmetric.ScopeMetrics, _ pmetric.Metric) { sm.Scope().SetName("t") },
		func(_ pmetric.ResourceMetrics, sm pmetric.ScopeMetrics, _ pmetric.Metric) { sm.Scope().SetVersion("2") },
		func(_ pmetric.ResourceMetrics, sm pmetric.ScopeMetrics, _ pmetric.Metric) {
			sm.Scope().Attributes().PutBool("x", true)
		},
		func(_ pmetric.ResourceMetrics, _ pmetric.ScopeMetrics, m pmetric.Metric) { m.SetName("other") },
		func(_ pmetric.ResourceMetrics, _ pmetric.ScopeMetrics, m pmetric.Metric) { m.SetUnit("s") },
		func(_ pmetric.ResourceMetrics, _ pmetric.ScopeMetrics, m pmetric.Metric) { m.SetDescription("d") },
		func(_ pmetric.ResourceMetrics, _ pmetric.ScopeMetrics, m pmetric.Metric) {
			m.Metadata().PutStr("k", "v")
		},
		func(_ pmetric.ResourceMetrics, _ pmetric.ScopeMetrics, m pmetric.Metric) {
			m.Sum().SetIsMonotonic(false)
		},
		func(_ pmetric.ResourceMetrics, _ pmetric.ScopeMetrics, m pmetric.Metric) {
			m.Sum().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		},
		func(_ pmetric.ResourceMetrics, _ pmetric.ScopeMetrics, m pmetric.Metric) {
			m.SetEmptyGauge().DataPoints().AppendEmpty().SetIntValue(1)
		},
	} {
		var unmarshaler pmetric.ProtoUnmarshaler
		md, err := unmarshaler.UnmarshalMetrics(delta("1", 10, 20, int64(i)))
		if err != nil {
			t.Fatal(err)
		}
		rm := md.ResourceMetrics().At(0)
		change(rm, rm.ScopeMetrics().At(0), rm.ScopeMetrics().At(0).Metrics().At(0))
		for range 2 {
			r.add(marshal(md))
		}
	}
	got := r.collect()
	metrics := 0
	for _, rm := range r.got.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			metrics += sm.Metrics().Len()
		}
	}
	if len(got) != 28 || metrics != 14 || r.got.ResourceMetrics().Len() != 3 {
		t.Errorf("%d points in %d metrics of %d resources", len(got), metrics, r.got.ResourceMetrics().Len())
	}
}

// field writes a field with tag and length in more bytes than they need.
func field(number protowire.Number, value []byte) []byte {
	b := []byte{byte(number)<<3 | byte(protowire.BytesType) | 0x80, 0x80, 0}
	b = append(b, byte(len(value)&0x7f|0x80), byte(len(value)>>7|0x80), 0x80, 0)
	return append(b, value...)
}

func TestEncodingsOfOneMeaningAreMerged(t *testing.T) {
	text := func(s string) []byte { return []byte(s) }
	join := func(parts ...[]byte) (all []byte) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	attribute := join(field(2, field(1, text("1"))), field(1, text("worker"))) // value before key
	point := join(field(7, attribute),
		protowire.AppendFixed64(protowire.AppendTag(nil, 6, protowire.Fixed64Type), 9),
		protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 5), // unknown
		protowire.AppendFixed64(protowire.AppendTag(nil, 3, protowire.Fixed64Type), 40),
		protowire.AppendFixed64(protowire.AppendTag(nil, 2, protowire.Fixed64Type), 30))
	sum := join([]byte{3 << 3, 0x81, 0x80, 0}, field(1, point), []byte{2 << 3, 0x81, 0}) // both 1, in more bytes than needed
	metric := join(field(7, sum), field(3, nil), field(1, text("other")), field(1, text("n")))
	name := join(field(2, field(1, text("a"))), field(1, text("service.name")))
	resource := join(protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 0), field(1, name))
	scoped := join(field(2, metric), field(1, field(1, text("shop"))))
	reordered := join(field(1, join(field(3, nil), field(2, scoped), field(1, resource))), field(77, text("unknown")))

	r := start(t, otlp.Config{})
	r.add(delta("1", 10, 20, 3), reordered, delta("1", 20, 30, 4))
	r.wantCollected(
		"{service.name=a}/shop{} n[] counter delta {worker=1} 10..20 3",
		"{service.name=a}/shop{} n[] counter delta {worker=1} 30..40 9",
		"{service.name=a}/shop{} n[] counter delta {worker=1} 20..30 4")
	if n := r.got.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().Len(); n != 1 {
		t.Errorf("%d metrics", n)
	}
}

func TestAttributesAreASet(t *testing.T) {
	r := start(t, otlp.Config{})
	for _, keys := range []string{"ab", "ba"} {
		md := pmetric.NewMetrics()
		rm := md.ResourceMetrics().AppendEmpty()
		for _, k := range keys {
			nested := rm.Resource().Attributes().PutEmptyMap(string(k))
			for _, l := range keys {
				nested.PutEmptySlice(string(l)).AppendEmpty().SetBool(true)
			}
		}
		fillDelta(rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty(), "1", 1, 2, 3)
		r.add(marshal(md))
	}
	if got := r.collect(); len(got) != 2 || r.got.ResourceMetrics().Len() != 1 {
		t.Errorf("collected %q", got)
	}
}

func TestEveryKindOfPointPassesUnchanged(t *testing.T) {
	md := pmetric.NewMetrics()
	for i, service := range []string{"a", "b"} {
		rm := md.ResourceMetrics().AppendEmpty()
		rm.Resource().Attributes().PutStr("service.name", service)
		rm.SetSchemaUrl("https://opentelemetry.io/schemas/1.30.0")
		sm := rm.ScopeMetrics().AppendEmpty()
		sm.Scope().SetName("shop")
		sm.Scope().SetVersion("1")
		sm.SetSchemaUrl("scope schema")
		fillDelta(sm.Metrics().AppendEmpty(), "1", 1, 2, int64(i))
		fillEveryKind(sm.Metrics())
	}
	r := start(t, otlp.Config{})
	r.add(marshal(md))
	r.collect()
	if want := marshal(md); string(marshal(r.got)) != string(want) {
		t.Errorf("collected\n%s\nwant\n%s", strings.Join(lines(r.got), "\n"), strings.Join(lines(md), "\n"))
	}
	if len(lines(md)) != 12 {
		t.Errorf("%d points were written", len(lines(md)))
	}
}

func fillEveryKind(to pmetric.MetricSlice) {
	m := to.AppendEmpty()
	m.SetName("gauge")
	m.SetDescription("with NaN")
	m.Metadata().PutStr("source", "sensor")
	p := m.SetEmptyGauge().DataPoints().AppendEmpty()
	p.SetDoubleValue(math.NaN())
	p.SetTimestamp(5)
	e := p.Exemplars().AppendEmpty()
	e.SetIntValue(-1)
	e.SetTraceID([16]byte{1})
	e.SetSpanID([8]byte{2})
	e.FilteredAttributes().PutEmptyBytes("raw").FromRaw([]byte{0xff})
	m.Gauge().DataPoints().AppendEmpty().SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))

	m = to.AppendEmpty()
	m.SetName("histogram")
	m.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	h := m.Histogram().DataPoints().AppendEmpty()
	h.SetCount(3)
	h.SetSum(1.5)
	h.SetMin(0.1)
	h.SetMax(1)
	h.ExplicitBounds().FromRaw([]float64{1})
	h.BucketCounts().FromRaw([]uint64{2, 1})
	h.Attributes().PutDouble("d", math.Inf(-1))

	m = to.AppendEmpty()
	m.SetName("exponential")
	m.SetEmptyExponentialHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	x := m.ExponentialHistogram().DataPoints().AppendEmpty()
	x.SetCount(7)
	x.SetScale(-3)
	x.SetZeroCount(1)
	x.SetZeroThreshold(0.5)
	x.Positive().SetOffset(-2)
	x.Positive().BucketCounts().FromRaw([]uint64{1, 300, 1 << 60})
	x.Negative().SetOffset(5)
	x.Negative().BucketCounts().FromRaw([]uint64{4})

	m = to.AppendEmpty()
	m.SetName("summary")
	s := m.SetEmptySummary().DataPoints().AppendEmpty()
	s.SetCount(2)
	s.SetSum(3)
	q := s.QuantileValues().AppendEmpty()
	q.SetQuantile(0.5)
	q.SetValue(1)
}

func TestPointsWaitForTheCommitOfTheCollectionThatHandedThemOver(t *testing.T) {
	r := start(t, otlp.Config{})
	one := "{service.name=a}/shop{} n[] counter delta {worker=1} 1..2 1"
	two := "{service.name=a}/shop{} n[] counter delta {worker=1} 2..3 2"
	r.add(delta("1", 1, 2, 1))
	r.wantCollected(one)
	r.wantCollected(one)
	r.add(delta("1", 2, 3, 2))
	r.in.Commit()
	r.wantCollected(two)
	r.add(delta("1", 1, 2, 1))
	r.wantCollected(two, one)
	r.in.Commit()
	r.wantCollected()
	r.in.Commit()
	r.add(delta("1", 2, 3, 2))
	r.in.Commit() // of a collection before it came
	r.wantCollected(two)
	r.add(delta("1", 1, 2, 1))
	r.in.Commit()
	r.in.Commit() // of the same
	r.wantCollected(one)
}

func TestWhatStaysBesideWhatWasDroppedTakesMore(t *testing.T) {
	in := func(resource, scope, metric string, value int64) []byte {
		md := pmetric.NewMetrics()
		rm := md.ResourceMetrics().AppendEmpty()
		rm.Resource().Attributes().PutStr("service.name", resource)
		sm := rm.ScopeMetrics().AppendEmpty()
		sm.Scope().SetName(scope)
		fillDelta(sm.Metrics().AppendEmpty(), "1", 1, 2, value)
		sm.Metrics().At(0).SetName(metric)
		return marshal(md)
	}
	for _, other := range [][]byte{in("b", "s", "m", 2), in("a", "t", "m", 2), in("a", "s", "n", 2), in("a", "s", "m", 2)} {
		r := start(t, otlp.Config{})
		r.add(in("a", "s", "m", 1))
		r.collect()
		r.add(other)
		r.in.Commit()
		r.add(in("a", "s", "m", 1))
		if got := r.collect(); len(got) != 2 {
			t.Errorf("collected %q", got)
		}
	}
}

func TestMalformedRequestsHarmNothingElse(t *testing.T) {
	good := delta("1", 1, 2, 3)
	bad := [][]byte{
		good[:len(good)-1],
		append(append([]byte(nil), good...), 0x0a),
		append(append([]byte(nil), good...), 0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01),
		{0x0b, 0x0c},             // a group
		{0x00, 0x00},             // field 0
		{0x08, 0x01},             // resource_metrics as a number
		{0x0a, 0x03, 0x12, 0x09}, // a scope that ends behind its resource
		{0x78, 0x80, 0x80},       // an unfinished varint
		[]byte("plain text is no protobuf"),
		build(func(m pmetric.Metric) { fillDelta(m, "\xff", 1, 2, 3) }), // not UTF-8
		build(func(m pmetric.Metric) {
			fillDelta(m, "1", 1, 2, 3)
			v := m.Sum().DataPoints().At(0).Attributes().PutEmptySlice("deep")
			for range 100 {
				v = v.AppendEmpty().SetEmptySlice()
			}
		}),
	}
	r := start(t, otlp.Config{})
	for _, b := range bad {
		r.add(b, good)
	}
	if got := r.collect(); len(got) != len(bad) {
		t.Errorf("%d points collected", len(got))
	}
	r.wantSkipped(map[string]int64{otlp.ReasonMalformed: int64(len(bad))})
}

func TestBytesThatAreAResourceNeedNotBeAScope(t *testing.T) {
	// As an attribute it has no key and an unknown field; as a scope's name it is not UTF-8.
	shared := protowire.AppendBytes([]byte{0x0a}, []byte{0x0a, 0x00, 0x7a, 0x01, 0xff})
	r := start(t, otlp.Config{})
	r.add(wrap(shared, 1, 1))
	r.wantSkipped(map[string]int64{})
	r.add(wrap(shared, 1, 2, 1))
	r.wantSkipped(map[string]int64{otlp.ReasonMalformed: 1})
}

// wrap puts data into fields of these numbers, from the innermost to the outermost.
func wrap(data []byte, numbers ...byte) []byte {
	for _, n := range numbers {
		data = protowire.AppendBytes([]byte{n<<3 | 2}, data)
	}
	return data
}

func TestOldestStayWhenThereIsNoRoom(t *testing.T) {
	r := start(t, otlp.Config{PendingBytes: 20_000})
	for i := range 1000 {
		r.add(delta("1", 1, 2, int64(i)))
	}
	got := r.collect()
	if len(got) < 20 || len(got) > 200 || !strings.HasSuffix(got[0], " 0") || !strings.HasSuffix(got[len(got)-1], fmt.Sprint(" ", len(got)-1)) {
		t.Errorf("%d points collected", len(got))
	}
	r.wantSkipped(map[string]int64{otlp.ReasonPendingLimit: int64(1000 - len(got))})
	r.in.Commit()
	r.add(delta("1", 1, 2, 7))
	r.wantCollected("{service.name=a}/shop{} n[] counter delta {worker=1} 1..2 7")
}

// TestPendingBytesBoundWhatIsHeld floods with what takes the most memory for its length.
func TestPendingBytesBoundWhatIsHeld(t *testing.T) {
	const limit = 4 << 20
	unlike := func(i int) []byte { return []byte(fmt.Sprintf("%08d", i)) }
	point := []byte{0x0a, 0}
	for name, request := range map[string]func(i int) []byte{
		"empty points":     func(int) []byte { return wrap(bytes.Repeat(point, 1000), 7, 2, 2, 1) },
		"empty histograms": func(int) []byte { return wrap(bytes.Repeat(point, 1000), 10, 2, 2, 1) },
		"empty attributes": func(int) []byte { return wrap(bytes.Repeat([]byte{7<<3 | 2, 0}, 1000), 1, 7, 2, 2, 1) },
		"empty exemplars":  func(int) []byte { return wrap(bytes.Repeat([]byte{5<<3 | 2, 0}, 1000), 1, 7, 2, 2, 1) },
		"packed buckets": func(int) []byte {
			return wrap(make([]byte, 4000), 2, 8, 1, 10, 2, 2, 1)
		},
		"resources": func(i int) []byte {
			name := wrap(append(wrap([]byte("k"), 1), wrap(wrap(unlike(i), 1), 2)...), 1, 1)
			return wrap(append(name, wrap(point, 7, 2, 2)...), 1)
		},
		"empty resources": func(i int) []byte {
			return wrap(append(wrap(wrap(unlike(i), 1), 1, 1), wrap(nil, 2)...), 1)
		},
		"encodings": func(i int) []byte { return wrap(append(wrap(unlike(i), 15), wrap(point, 7, 2, 2)...), 1) },
		"scopes":    func(i int) []byte { return wrap(append(wrap(unlike(i), 1, 1), wrap(point, 7, 2)...), 2, 1) },
		"metrics":   func(i int) []byte { return wrap(append(wrap(unlike(i), 1), wrap(point, 7)...), 2, 2, 1) },
		"metadata": func(i int) []byte {
			return wrap(append(bytes.Repeat([]byte{12<<3 | 2, 0}, 500+i%1000), wrap(point, 7)...), 2, 2, 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, otlp.Config{PendingBytes: limit})
			before := heap()
			for i := 0; r.skipped[otlp.ReasonPendingLimit] < 10 && i < 1<<20; i++ {
				r.add(request(i))
			}
			r.got = pmetric.NewMetrics()
			r.in.Collect(sink{to: r.got.ResourceMetrics()})
			held := heap() - before
			if held > limit+limit/2 {
				t.Errorf("%d bytes are held", held)
			}
			if r.skipped[otlp.ReasonPendingLimit] == 0 || r.skipped[otlp.ReasonMalformed] > 0 {
				t.Errorf("skipped %v", r.skipped)
			}
			runtime.KeepAlive(r)
		})
	}
}

// TestDeliveredResourcesAreForgotten goes through more resources than may be held at once.
func TestDeliveredResourcesAreForgotten(t *testing.T) {
	r := start(t, otlp.Config{})
	before := heap()
	for i := range 20_000 {
		name := wrap(append(wrap([]byte("k"), 1), wrap(wrap(fmt.Appendf(nil, "%01000d", i), 1), 2)...), 1, 1)
		r.add(wrap(append(name, wrap([]byte{0x0a, 0}, 7, 2, 2)...), 1))
		if i%100 == 0 {
			r.collect()
			r.in.Commit()
		}
	}
	r.collect()
	r.in.Commit()
	r.collect()
	if held := heap() - before; held > 3<<20 {
		t.Errorf("%d bytes are held", held)
	}
	r.wantSkipped(map[string]int64{})
	runtime.KeepAlive(r)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestBatchThatWasRefusedIsMadeAgainThoughItWasChanged(t *testing.T) {
	for _, cumulative := range []bool{false, true} {
		in := otlp.New(otlp.Config{PendingBytes: 1 << 20, Cumulative: cumulative, MaxSeries: 100, Idle: 1 << 40},
			func(reason string, _ int64) { t.Fatal(reason) })
		for _, r := range otlptest.Envelopes(20) {
			in.Add(r)
		}
		builder := emit.NewBuilder("", pmetric.AggregationTemporalityCumulative)
		batch := func() (pmetric.Metrics, string) {
			builder.Begin(1)
			in.Collect(builder)
			md, points := builder.Take()
			if points != 20 {
				t.Errorf("%d points", points)
			}
			return md, string(marshal(md))
		}
		first, text := batch()
		first.ResourceMetrics().RemoveIf(func(rm pmetric.ResourceMetrics) bool { // as a processor might
			rm.Resource().Attributes().Clear()
			rm.ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().At(0).SetIntValue(99)
			return true
		})
		_, again := batch()
		if again != text {
			t.Errorf("another batch, cumulative: %v", cumulative)
		}
		in.Commit()
		builder.Begin(1)
		in.Collect(builder)
		if _, points := builder.Take(); points > 0 {
			t.Errorf("%d points are left", points)
		}
	}
}
