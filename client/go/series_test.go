//go:build linux && (amd64 || arm64)

package hotpath

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

func TestEqualSeriesAreOne(t *testing.T) {
	dir := directoryOnTmpfs(t)
	c := fresh(in(dir))
	a := c.counter("requests", WithUnit("1"), WithDescription("first"), WithAttributes(String("zone", "a"), Int("code", 200)))
	b := c.counter("requests", WithDescription("second"), WithAttributes(Int("code", 1)), WithAttributes(Int("code", 200), String("zone", "a")), WithUnit("1"), Option{})
	other := c.counter("requests", WithUnit("1"), WithAttributes(Float64("ratio", 0.5), Bool("ok", true), Bool("no", false)))
	if a != b || a == other {
		t.Error("handles differ where series are equal, or the other way round")
	}
	a.Add(1)
	b.Add(2)
	other.Add(4)
	p := readOnly(t, dir)
	v := p.series["requests{code=200,zone=a}"]
	if len(p.series) != 2 || v == nil || v.words[0] != 3 || v.record.Description != "first" || v.record.Unit != "1" {
		t.Fatalf("series are %v", p.series)
	}
	if v := p.series["requests{no=false,ok=true,ratio=0.5}"]; v == nil || v.words[0] != 4 || v.record.Kind != segment.KindCounter {
		t.Errorf("series are %v", p.series)
	}
}

func TestTextsAreMadeToFit(t *testing.T) {
	dir := directoryOnTmpfs(t)
	c := fresh(in(dir))
	c.gauge("g", WithDescription(strings.Repeat("é", 600)), WithAttributes(String("long", strings.Repeat("€", 500)), String("bad", "a\xffb")))
	p := readOnly(t, dir)
	v := p.series["g{bad=a\uFFFDb,long="+strings.Repeat("€", 341)+"}"]
	if v == nil || v.record.Description != strings.Repeat("é", 511) {
		t.Errorf("series are %v", p.series)
	}
}

func TestBadSeriesAreRejectedWithAReason(t *testing.T) {
	dir := directoryOnTmpfs(t)
	c := fresh(in(dir))
	c.counter("taken", WithUnit("s"))
	many := make([]Attribute, 65)
	for i := range many {
		many[i] = Int(fmt.Sprint("key", i), 1)
	}
	bad := []struct {
		made   Counter
		reason string
	}{
		{c.counter(""), `the name ""`},
		{c.counter("2fast"), `the name "2fast"`},
		{c.counter("x", WithUnit("µs")), `the unit "µs" of "x"`},
		{c.counter("x", WithAttributes(String("", "v"))), `the key "" of "x"`},
		{c.counter("x", WithAttributes(Attribute{})), `the key "" of "x"`},
		{c.counter("x", WithAttributes(Int("a\xff", 1))), `the key "a\xff" of "x"`},
		{c.counter("x", WithAttributes(many...)), `"x" has 65 attributes`},
		{c.counter("taken"), `"taken" is a counter in "s" already`},
		{Counter{c.histogram("taken", WithUnit("s")).cell}, `"taken" is a counter in "s" already`},
	}
	for _, b := range bad {
		if b.made != (Counter{}) {
			t.Errorf("a series with %s got a handle", b.reason)
		}
	}
	// Status tells of the last one only.
	for i, make := range []func(){func() { c.counter("") }, func() { c.counter("x", WithUnit("µs")) }, func() { c.gauge("taken", WithUnit("s")) }} {
		make()
		if want := []string{bad[0].reason, bad[2].reason, bad[7].reason}[i]; !strings.Contains(c.status(), want) {
			t.Errorf("status %q does not say %s", c.status(), want)
		}
	}
	p := readOnly(t, dir)
	if n := p.field(segment.OffRejected); n != uint64(len(bad)+3) || len(p.series) != 1 {
		t.Errorf("%d rejected of %d, %d series published", n, len(bad)+3, len(p.series))
	}
}

func TestAMillionSeriesFoldIntoOverflowSeries(t *testing.T) {
	const total = 1_000_000
	dir := directoryOnTmpfs(t)
	c := fresh(in(dir))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	for i := range total {
		c.counter("requests", WithUnit("1"), WithAttributes(Int("user", int64(i)))).Add(1)
	}
	took := time.Since(began)
	runtime.GC()
	runtime.ReadMemStats(&after)
	p := readOnly(t, dir)
	o := p.series["requests{otel.metric.overflow=true}"]
	if len(p.series) != maxSeries+1 || o == nil || o.record.Flags != segment.FlagOverflow || o.record.Unit != "1" {
		t.Fatalf("%d series are published, overflow is %v", len(p.series), o)
	}
	if o.words[0] != total-maxSeries || p.field(segment.OffFolded) != total-maxSeries {
		t.Errorf("overflow series counts %d, %d folded, want %d", o.words[0], p.field(segment.OffFolded), total-maxSeries)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	t.Logf("%v a series, the segment takes %d bytes", took/total, p.blocks)
}

func TestManyInstrumentsFoldIntoTheLastSeriesOfEachKind(t *testing.T) {
	dir := directoryOnTmpfs(t)
	c := fresh(in(dir))
	for i := range 100_000 {
		name := fmt.Sprint("n", i)
		switch i % 4 {
		case 0:
			c.counter(name).Add(1)
		case 1:
			UpDownCounter{c.series(segment.KindUpDownCounter, name, nil)}.Add(-1)
		case 2:
			c.gauge(name).Set(1)
		case 3:
			c.histogram(name).Record(1)
		}
	}
	p := readOnly(t, dir)
	overflows, last := 0, 0
	var adds, values uint64
	var balance int64
	for _, v := range p.series {
		switch v.record.Kind {
		case segment.KindCounter:
			adds += v.words[0]
		case segment.KindUpDownCounter:
			balance += int64(v.words[0])
		case segment.KindHistogram:
			values += v.count()
		}
		if v.record.Flags == segment.FlagOverflow && strings.HasPrefix(v.record.Name, "hotpath.overflow.") {
			last++
		} else if v.record.Flags == segment.FlagOverflow {
			overflows++
		}
	}
	if overflows != 256 || last != kinds || p.field(segment.OffUnplaced) != 0 {
		t.Errorf("%d overflow series, %d last ones, %d unplaced", overflows, last, p.field(segment.OffUnplaced))
	}
	if adds != 25_000 || balance != -25_000 || values != 25_000 {
		t.Errorf("%d added, balance %d, %d values, want 25000 each", adds, balance, values)
	}
	if used := len(c.made); used > maxSeries+256+kinds || len(c.instruments) > maxSeries+256+kinds {
		t.Errorf("the client keeps %d series and %d instruments", used, len(c.instruments))
	}
	if c.ordinary+c.overflows+kinds != len(c.made) {
		t.Errorf("%d series, %d overflow series, %d in all", c.ordinary, c.overflows, len(c.made))
	}
}

func TestALargeOverflowRecordFitsItsRoom(t *testing.T) {
	r := segment.Record{
		Kind: segment.KindCounter, Name: strings.Repeat("n", segment.MaxName), Unit: strings.Repeat("u", segment.MaxUnit),
		Description: strings.Repeat("d", segment.MaxDescription), Attributes: []segment.Attribute{{Key: overflowKey, Type: segment.AttributeBool, Bits: 1}},
	}
	if r.Size() != maxOverflowRecord {
		t.Errorf("an overflow record takes up to %d bytes, not %d", r.Size(), maxOverflowRecord)
	}
}

func TestLargeRecordsFillTheCatalogueButNotTheOverflowsRoom(t *testing.T) {
	dir := directoryOnTmpfs(t)
	c := fresh(in(dir))
	attributes := make([]Attribute, 64)
	for i := range attributes {
		attributes[i] = String(fmt.Sprint("key", i), strings.Repeat("v", 1000))
	}
	for i := range 1000 {
		attributes[0] = Int("key0", int64(i))
		c.counter("fat", WithAttributes(attributes...)).Add(1)
	}
	p := readOnly(t, dir)
	o := p.series["fat{otel.metric.overflow=true}"]
	if o == nil || o.words[0] != p.field(segment.OffFolded) || p.field(segment.OffUnplaced) != 0 || o.words[0]+uint64(len(p.series))-1 != 1000 {
		t.Errorf("%d series, overflow %+v, %d unplaced", len(p.series), o, p.field(segment.OffUnplaced))
	}
}

func TestAFullCatalogueHasRoomForEveryOverflowSeries(t *testing.T) {
	dir := directoryOnTmpfs(t)
	c := fresh(in(dir))
	description := strings.Repeat("d", segment.MaxDescription)
	const total = 10_000
	for i := range total {
		c.counter(fmt.Sprint("n", i), WithDescription(description)).Add(1)
	}
	p := readOnly(t, dir)
	if c.ordinary == maxSeries || c.overflows != 256 || p.field(segment.OffCatalogueUsed) > p.field(segment.OffCatalogueSize) {
		t.Errorf("%d series and %d overflow series in %d bytes", c.ordinary, c.overflows, p.field(segment.OffCatalogueUsed))
	}
	var adds uint64
	for _, v := range p.series {
		adds += v.words[0]
	}
	if adds != total || len(p.series) != c.ordinary+c.overflows+1 {
		t.Errorf("%d series count %d, want %d", len(p.series), adds, total)
	}
}

func TestGoroutinesMayMakeSeriesAtOnce(t *testing.T) {
	dir := directoryOnTmpfs(t)
	c := fresh(in(dir))
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := range 500 {
				c.counter("shared", WithAttributes(Int("i", int64(i)))).Add(1)
				c.histogram("values", WithAttributes(Int("i", int64(i%20)))).Record(1)
			}
		})
	}
	group.Wait()
	p := readOnly(t, dir)
	for i := range 500 {
		if v := p.series[fmt.Sprintf("shared{i=%d}", i)]; v == nil || v.words[0] != 8 {
			t.Fatalf("series %d is %+v", i, v)
		}
	}
	for i := range 20 {
		if v := p.series[fmt.Sprintf("values{i=%d}", i)]; v == nil || v.count() != 200 {
			t.Fatalf("histogram %d is %+v", i, v)
		}
	}
}
