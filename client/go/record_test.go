//go:build linux && (amd64 || arm64)

package hotpath

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

func (c *client) upDownCounter(name string, o ...Option) UpDownCounter {
	return UpDownCounter{c.series(segment.KindUpDownCounter, name, o)}
}

// onOneP has what follows recorded in one ring.
func onOneP(t testing.TB) {
	before := runtime.GOMAXPROCS(1)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

func monotonic(t *testing.T) uint64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	return uint64(now.Nano())
}

func TestAMeasurementIsAsTheFormatSays(t *testing.T) {
	onOneP(t)
	inBothPlaces(t, func(t *testing.T, environment map[string]string) {
		c := fresh(environment)
		other, counter := c.counter("other"), c.counter("adds", WithAttributes(String("own", "o"), String("to", "outweighed")))
		balance, histogram := c.upDownCounter("balance"), c.histogram("values")
		c.gauge("another.level")
		gauge := c.gauge("level")
		p := c.read(t)
		r := newRingReader(t, p.path)
		if r.word(segment.OffRingsUsed) != 0 {
			t.Error("a ring is in use before anything was recorded")
		}

		began := monotonic(t)
		counter.AddWith(3, String("to", "it"), Int("n", -7))
		balance.AddWith(-2, Bool("yes", true), Bool("no", false))
		histogram.RecordWith(1.5, Float64("load", 0.25), String("", "refused"))
		histogram.RecordWith(1.5, Float64("load", 0.25), String("empty", ""))
		gauge.SetWith(-2.5, String("b", "1"), String("a", "2"), String("b", "3"), String("exact", "12345678"))
		gauge.SetWith(math.Float64frombits(segment.GaugeUnset), Int("n", 1))
		other.AddWith(9)
		ended := monotonic(t)

		slot := func(name string) uint64 { return p.series[name].record.Slot }
		all := r.all()
		want := []struct {
			kind   uint8
			slot   uint64
			value  uint64
			values map[string]any
			keys   string
		}{
			{segment.KindCounter, slot("adds{own=o,to=outweighed}"), 3, map[string]any{"to": "it", "n": int64(-7)}, "[to n]"},
			{segment.KindUpDownCounter, slot("balance"), math.MaxUint64 - 1, map[string]any{"yes": true, "no": false}, "[yes no]"},
			{segment.KindHistogram, slot("values"), math.Float64bits(1.5), map[string]any{"load": 0.25, "empty": ""}, "[load empty]"},
			{segment.KindGauge, slot("level"), math.Float64bits(-2.5), map[string]any{"b": "3", "a": "2", "exact": "12345678"}, "[b a b exact]"},
			{segment.KindGauge, slot("level"), math.Float64bits(math.NaN()), map[string]any{"n": int64(1)}, "[n]"},
		}
		if len(all) != len(want) {
			t.Fatalf("%d measurements were recorded, want %d", len(all), len(want))
		}
		for i, w := range want {
			m := all[i]
			var keys []string
			for _, a := range m.order {
				keys = append(keys, a.Key)
			}
			if m.number != uint64(i+1) || m.kind != w.kind || m.slot != w.slot || m.value != w.value || !maps.Equal(m.values, w.values) || fmt.Sprint(keys) != w.keys {
				t.Errorf("measurement %d is %+v, want %+v", i+1, m, w)
			}
			if gauge := m.kind == segment.KindGauge; gauge && (m.time < began || m.time > ended) || !gauge && m.time != 0 {
				t.Errorf("measurement %d has time %d, not %d to %d", i+1, m.time, began, ended)
			}
		}
		p = c.read(t)
		if n := p.series["other"].words[0]; n != 9 {
			t.Errorf("without attributes, the counter is %d", n)
		}
		if p.field(segment.OffRingsUsed) != 1 || p.field(segment.OffRefused) != 1 || p.field(segment.OffUnrecorded) != 0 {
			t.Errorf("%d rings, %d refused, %d unrecorded", p.field(segment.OffRingsUsed), p.field(segment.OffRefused), p.field(segment.OffUnrecorded))
		}
		if lock := r.word(p.field(segment.OffRingsOffset) + segment.RingLock); lock != 0 {
			t.Errorf("the lock is %d", lock)
		}
		if p.series["adds{own=o,to=outweighed}"].words[0] != 0 {
			t.Error("a measurement in a ring was counted as well")
		}
	})
}

func TestWhatIsTooLargeForARingIsRefused(t *testing.T) {
	onOneP(t)
	c := fresh(in(directoryOnTmpfs(t)))
	counter, histogram := c.counter("adds"), c.histogram("values")
	long := strings.Repeat("é", 600)
	r := c.ringReader(t, counter)

	exactly := []Attribute{String("rest", strings.Repeat("r", 1012))} // 128 words
	for i := range 3 {                                                // 127 words each, then 2 + 1 for the rest of the measurement
		exactly = append(exactly, String(fmt.Sprint("long", i), strings.Repeat("r", 1003)))
	}
	var many []Attribute
	for i := range segment.MaxAttributes {
		many = append(many, Int(fmt.Sprint("k", i), 0))
	}
	for _, accepted := range [][]Attribute{
		exactly, many,
		{String(strings.Repeat("k", segment.MaxKey), "")},
		{String("at", strings.Repeat("a", segment.MaxString))},
	} {
		counter.AddWith(1, accepted...)
		if all := r.all(); len(all) != 1 || len(all[0].order) != len(accepted) {
			t.Errorf("%d measurements with %d attributes were recorded", len(all), len(accepted))
		}
	}
	for value, want := range map[string]string{
		"-" + long:                  "-" + long[:segment.MaxString-1],
		long:                        long[:segment.MaxString-1],
		strings.Repeat("a", 1024):   strings.Repeat("a", segment.MaxString),
		strings.Repeat("\xbf", 2e3): strings.Repeat("\xbf", segment.MaxString),
		"\xff":                      "\xff",
	} {
		counter.AddWith(1, String("k", value))
		if all := r.all(); len(all) != 1 || all[0].values["k"] != want {
			t.Errorf("%d bytes became %d", len(value), len(fmt.Sprint(all[0].values["k"])))
		}
	}

	refused := c.header.Load().load(segment.OffRefused)
	counter.AddWith(1, append(exactly, Bool("b", true))...)
	counter.AddWith(1, append(exactly[1:], String("rest", strings.Repeat("r", 1013)))...)
	counter.AddWith(1, String(strings.Repeat("k", segment.MaxKey+1), ""))
	counter.AddWith(1, String("", "x"))
	counter.AddWith(1, Attribute{})
	counter.AddWith(1, append(many, Int("one.more", 0))...)
	for _, value := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1} {
		histogram.RecordWith(value, Int("n", 1))
	}
	if n := c.header.Load().load(segment.OffRefused) - refused; n != 10 {
		t.Errorf("%d measurements were refused, want 10", n)
	}
	if all := r.all(); len(all) != 0 {
		t.Errorf("%d of them were recorded", len(all))
	}
}

// ringReader has the P's ring reserved, and read so far.
func (c *client) ringReader(t testing.TB, counter Counter) *ringReader {
	t.Helper()
	counter.AddWith(0, Int("first", 1))
	r := newRingReader(t, c.path)
	if all := r.all(); len(all) != 1 {
		t.Fatalf("%d measurements were recorded: %s", len(all), c.status())
	}
	return r
}

func TestZeroHandlesRefuseAttributesToo(t *testing.T) {
	NewCounter("some.counter")
	before := process.header.Load().load(segment.OffRefused)
	Counter{}.AddWith(1, Int("n", 1))
	UpDownCounter{}.AddWith(1, Int("n", 1))
	Gauge{}.SetWith(1, Int("n", 1))
	Histogram{}.RecordWith(1, Int("n", 1))
	Histogram{}.RecordWith(-1, Int("n", 1))
	Counter{}.AddWith(1)
	if n := process.header.Load().load(segment.OffRefused) - before; n != 6 {
		t.Errorf("%d measurements were refused, want 6", n)
	}
}

// signed makes attributes that carry a checksum of themselves and of n.
func signed(random *rand.Rand, n uint64) []Attribute {
	var attributes []Attribute
	sum := fnv.New64a()
	fmt.Fprint(sum, n)
	for i := range random.IntN(6) {
		text := strings.Repeat(string(rune('a'+random.IntN(26))), random.IntN(40))
		if random.IntN(50) == 0 {
			text = strings.Repeat(text, 20)
		}
		attributes = append(attributes, String(fmt.Sprint("k", i), text[:min(len(text), segment.MaxString)]))
		fmt.Fprint(sum, text[:min(len(text), segment.MaxString)])
	}
	return append(attributes, Int("sum", int64(sum.Sum64())))
}

// verify compares a measurement with its checksum.
func verify(t testing.TB, m *recorded) {
	t.Helper()
	sum := fnv.New64a()
	fmt.Fprint(sum, m.value)
	for _, a := range m.order[:len(m.order)-1] {
		fmt.Fprint(sum, m.values[a.Key])
	}
	if m.values["sum"] != int64(sum.Sum64()) {
		t.Fatalf("the checksum of %+v is wrong", m)
	}
}

func TestARingGoesRoundWithMeasurementsOfManySizes(t *testing.T) {
	onOneP(t)
	c := fresh(in(directoryOnTmpfs(t)))
	counter := c.counter("adds")
	r := c.ringReader(t, counter)
	random := rand.New(rand.NewPCG(1, 2))
	n := uint64(1)
	for r.word(r.word(segment.OffRingsOffset)) < 5*r.word(segment.OffRingWords) {
		batch := 1 + random.IntN(1000)
		for range batch {
			n++
			counter.AddWith(n, signed(random, n)...)
		}
		all := r.all()
		if len(all) != batch || r.lost != 0 || all[0].number != n-uint64(batch)+1 {
			t.Fatalf("of %d measurements %d came, %d were lost", batch, len(all), r.lost)
		}
		for i := range all {
			if verify(t, &all[i]); all[i].value != all[i].number {
				t.Fatalf("measurement %d has %d", all[i].number, all[i].value)
			}
		}
	}

	for range 50_000 { // what nobody reads is overwritten
		n++
		counter.AddWith(n, signed(random, n)...)
	}
	all := r.all()
	if uint64(len(all))+r.lost != 50_000 || len(all) < 1000 || all[len(all)-1].number != n {
		t.Errorf("%d measurements came and %d were lost", len(all), r.lost)
	}
	for i := range all {
		verify(t, &all[i])
	}
}

func TestMeasurementsAreWholeWhileGOMAXPROCSChanges(t *testing.T) {
	c := fresh(in(directoryOnTmpfs(t)))
	counter := c.counter("adds")
	counter.AddWith(0, Int("sum", 0))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))

	goroutines, each := 8, 100_000
	var writers, others sync.WaitGroup
	for g := range goroutines {
		writers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(g), 0))
			var sets [][]Attribute
			for n := range uint64(64) {
				sets = append(sets, signed(random, n))
			}
			for i := range each {
				counter.AddWith(uint64(i%64), sets[i%64]...)
				if g < 2 && i%20 == 0 { // others are preempted, wherever they are
					runtime.GOMAXPROCS(i/20%13 + 1)
				}
			}
		})
	}
	stop := make(chan struct{})
	r := newRingReader(t, c.path)
	came := uint64(0)
	read := func() {
		for _, m := range r.all() {
			if came++; len(m.order) > 1 || m.value != 0 || m.values["sum"] != int64(0) {
				verify(t, &m)
			}
		}
	}
	others.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				read()
			}
		}
	})
	writers.Wait()
	close(stop)
	others.Wait()
	read()
	if want := uint64(goroutines*each + 1); r.total() != want || came+r.lost != want || came < 1000 {
		t.Errorf("%d measurements were recorded, %d came and %d were lost, want %d", r.total(), came, r.lost, want)
	}
	if used := r.word(segment.OffRingsUsed); used < 2 || r.word(segment.OffUnrecorded) != 0 {
		t.Errorf("%d rings, %d unrecorded", used, r.word(segment.OffUnrecorded))
	}
}

func TestWithoutARingMeasurementsAreCountedAsUnrecorded(t *testing.T) {
	onOneP(t)
	for _, c := range []*client{
		fresh(map[string]string{"HOTPATH_TRANSPORT": "off"}),
		func() *client { // a P that is beyond all rings
			c := fresh(in(directoryOnTmpfs(t)))
			c.counter("adds")
			c.stripes.rings.of = nil
			return c
		}(),
	} {
		counter := c.counter("adds")
		for range 5 {
			counter.AddWith(1, Int("n", 1))
		}
		counter.AddWith(7)
		h := c.header.Load()
		if n := h.load(segment.OffUnrecorded); n != 5 || h.load(segment.OffRefused) != 0 || total(c, counter.cell) != 7 {
			t.Errorf("%d unrecorded, %d refused, the counter is %d", n, h.load(segment.OffRefused), total(c, counter.cell))
		}
		if s := c.status(); !strings.Contains(s, "; 5 measurements with attributes were not recorded, for want of a ring.") {
			t.Errorf("status is %q", s)
		}
	}
}

func TestARingThatATmpfsHasNoRoomForIsGivenBack(t *testing.T) {
	onOneP(t)
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	dir := mountTmpfs(t, 0, "size=4m")
	c := fresh(in(dir))
	counter := c.counter("adds")
	var fs unix.Statfs_t
	free := func() int64 {
		if err := unix.Statfs(dir, &fs); err != nil {
			t.Fatal(err)
		}
		return int64(fs.Bavail) * fs.Bsize
	}
	if err := ballast(dir+"/ballast", free()-512<<10); err != nil {
		t.Fatal(err)
	}
	left := free()
	for range 5 {
		counter.AddWith(1, Int("n", 1))
	}
	h := c.header.Load()
	if h.load(segment.OffUnrecorded) != 5 || h.load(segment.OffRingsUsed) != 0 || free() != left {
		t.Errorf("%d unrecorded, %d rings in use, %d bytes free, %d before", h.load(segment.OffUnrecorded), h.load(segment.OffRingsUsed), free(), left)
	}
	if err := os.Remove(dir + "/ballast"); err != nil {
		t.Fatal(err)
	}
	if counter.AddWith(1, Int("n", 1)); h.load(segment.OffUnrecorded) != 6 {
		t.Error("it is tried again and again")
	}
	time.Sleep(tryAfter)
	if counter.AddWith(1, Int("n", 1)); h.load(segment.OffUnrecorded) != 6 || h.load(segment.OffRingsUsed) != 1 {
		t.Error("it is not tried again")
	}
}

func TestNoMeasurementWithAttributesAllocates(t *testing.T) {
	c := fresh(in(directoryOnTmpfs(t)))
	counter, balance, gauge, histogram := c.counter("a"), c.upDownCounter("d"), c.gauge("b"), c.histogram("c")
	for environment, c := range map[string]*client{"shm": c, "off": fresh(map[string]string{"HOTPATH_TRANSPORT": "off"})} {
		if environment == "off" {
			counter, balance, gauge, histogram = c.counter("a"), c.upDownCounter("d"), c.gauge("b"), c.histogram("c")
		}
		n := int64(0)
		if n := testing.AllocsPerRun(20_000, func() { // several times round
			n++
			text := []byte("a text that is made for the call")
			text[0] = byte(n)
			counter.AddWith(1, String("method", "GET"), Int("n", n), String("text", string(text)))
			balance.AddWith(-1, Bool("even", n&1 == 0))
			gauge.SetWith(1, Float64("load", 0.5))
			histogram.RecordWith(1, String("method", "GET"))
			histogram.RecordWith(-1, String("method", "GET"))
			Counter{}.AddWith(1, String("", ""))
		}); n != 0 {
			t.Errorf("%s: %v allocations", environment, n)
		}
	}
}
