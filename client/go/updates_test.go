//go:build linux && (amd64 || arm64)

package hotpath

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/client/go/userevent"
)

// writing makes a client that takes a descriptor for user_events_data. Whether somebody listens is the test's word.
func writing(t testing.TB, fd int, environment map[string]string) *client {
	t.Helper()
	c := fresh(environment)
	if environment == nil {
		c = fresh(map[string]string{"HOTPATH_TRANSPORT": "off"})
	}
	c.once.Do(c.open)
	u := new(updates)
	if err := u.prepare(c); err != nil {
		t.Fatal(err)
	}
	d, err := newDescriptor(fd)
	if err != nil {
		t.Fatal(err)
	}
	u.descriptor.Store(d)
	c.teller, c.joints = u, newJoints()
	return c
}

func (c *client) listen(yes bool) {
	if yes {
		c.stripes.ready.Or(math.MinInt32)
	} else {
		c.stripes.ready.And(math.MaxInt32)
	}
}

// written is a file in which events follow each other.
type written struct {
	*os.File
	at int64
}

func newFileOfEvents(t testing.TB) *written {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(directoryOnTmpfs(t), "events"), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &written{File: f}
}

// events are those that were written since the last time.
func (w *written) events(t testing.TB) []*event {
	t.Helper()
	stat, err := w.Stat()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, stat.Size()-w.at)
	if len(b) == 0 {
		return nil
	}
	if _, err := w.ReadAt(b, w.at); err != nil {
		t.Fatal(err)
	}
	w.at = stat.Size()
	var all []*event
	for len(b) > 0 {
		e := parseEvent(t, b[userevent.IndexSize:])
		all = append(all, e)
		b = b[userevent.IndexSize+e.size:]
	}
	return all
}

func (w *written) only(t testing.TB) *event {
	t.Helper()
	all := w.events(t)
	if len(all) != 1 {
		t.Fatalf("%d events were written, want 1", len(all))
	}
	return all[0]
}

func TestTheFirstUpdateThatIsHeardCarriesTheTotal(t *testing.T) {
	w := newFileOfEvents(t)
	c := writing(t, int(w.Fd()), nil)
	counter := c.counter("adds", WithUnit("{add}"), WithDescription("Adds."), WithAttributes(String("to", "it"), Int("n", 3)))
	balance := UpDownCounter{c.series(segment.KindUpDownCounter, "balance", nil)}
	gauge := c.gauge("level")
	for range 10 {
		counter.Add(2)
		balance.Add(-1)
		gauge.Set(7)
	}
	if all := w.events(t); all != nil {
		t.Fatalf("%d events were written while nobody listened", len(all))
	}

	c.listen(true)
	counter.Add(1)
	e := w.only(t)
	h := c.header.Load()
	if e.value != 21 || e.number != 1 || e.name != "adds{n=3,to=it}" || e.record.Unit != "{add}" || e.record.Description != "Adds." || e.record.Kind != segment.KindCounter {
		t.Errorf("the first event is %+v", e)
	}
	if e.segment != h.load(segment.OffSegmentID) || e.start != h.load(segment.OffStartTime) || e.instance != instance() || e.pid != uint32(os.Getpid()) {
		t.Errorf("the first event is of %+v", e)
	}
	if e.resource["process.executable.name"] != filepath.Base(os.Args[0]) || e.flags != 0 || e.first != 0 || e.zero != 0 || e.buckets != nil {
		t.Errorf("the first event has %+v", e)
	}
	series := []uint32{e.series}
	balance.Add(-1)
	if e = w.only(t); int64(e.value) != -11 || e.number != 1 {
		t.Errorf("the updowncounter's event is %+v", e)
	}
	series = append(series, e.series)
	gauge.Set(-2.5)
	if e = w.only(t); math.Float64frombits(e.value) != -2.5 || e.number != 1 || e.record.Kind != segment.KindGauge {
		t.Errorf("the gauge's event is %+v", e)
	}
	gauge.Set(math.NaN())
	if e = w.only(t); !math.IsNaN(math.Float64frombits(e.value)) || e.value == segment.GaugeUnset || e.number != 2 {
		t.Errorf("the gauge's event of NaN is %+v", e)
	}
	series = append(series, e.series)
	if slices.Sort(series); len(slices.Compact(series)) != 3 {
		t.Errorf("the series have numbers %v", series)
	}

	c.listen(false)
	counter.Add(4)
	gauge.Set(1)
	if all := w.events(t); all != nil {
		t.Errorf("%d events were written after all had gone", len(all))
	}
	c.listen(true)
	counter.Add(0)
	if e = w.only(t); e.value != 25 || e.number != 2 {
		t.Errorf("the event for the next listener is %+v", e)
	}
}

func TestAHistogramsUpdateCarriesEveryBucketInUse(t *testing.T) {
	w := newFileOfEvents(t)
	c := writing(t, int(w.Fd()), nil)
	h := c.histogram("values")
	bucket := func(value float64) int { i, _ := segment.BucketIndex(value); return i }

	c.listen(true)
	h.Record(0)
	if e := w.only(t); e.zero != 1 || e.buckets != nil || e.first != 0 || e.flags != 0 || e.value != 0 {
		t.Errorf("the event of zero is %+v", e)
	}
	h.Record(1.5)
	if e := w.only(t); int(e.first) != bucket(1.5) || !slices.Equal(e.buckets, []uint64{1}) || e.zero != 1 || e.number != 2 {
		t.Errorf("the event of one value is %+v", e)
	}
	h.Record(-1)
	h.Record(math.NaN())
	if all := w.events(t); all != nil {
		t.Errorf("refused values made %d events", len(all))
	}
	c.listen(false)
	for _, v := range []float64{1, 2, 4, 4, 0} { // in the P's own stripe but for the first
		h.Record(v)
	}
	c.listen(true)
	h.Record(3)
	e := w.only(t)
	want := make([]uint64, bucket(4)-bucket(1)+1)
	for _, v := range []float64{1, 1.5, 2, 3, 4, 4} {
		want[bucket(v)-bucket(1)]++
	}
	if int(e.first) != bucket(1) || !slices.Equal(e.buckets, want) || e.zero != 2 || math.Float64frombits(e.value) != 15.5 {
		t.Errorf("the event of a range is %+v, want %v from %d", e, want, bucket(1))
	}

	h.Record(1e300)
	h.Record(1e-300)
	all := w.events(t)
	if len(all) != 7 { // 3 from the bucket of 1 to the last one, 4 for all of them
		t.Fatalf("%d events for a wide range", len(all))
	}
	s := collector{}
	for i, e := range all[len(all)-4:] {
		more := uint16(userevent.FlagMore)
		if i == 3 {
			more = 0
		}
		if int(e.first) != 128*i || len(e.buckets) != 128 || e.flags != more || e.number != all[len(all)-1].number || e.size > userevent.MaxSize {
			t.Errorf("event %d of 4 has %d buckets from %d, number %d, flags %d and %d bytes", i, len(e.buckets), e.first, e.number, e.flags, e.size)
		}
		s.take(e)
	}
	if got := s["values"]; got.count() != 10 || got.sum() != 1e300 || got.buckets[511] != 1 || got.buckets[0] != 1 {
		t.Errorf("the Collector has %+v", got)
	}
}

// TestTheHighestNumberCarriesAllThatWasAddedBefore is the promise by which loss and reordering do no harm.
func TestTheHighestNumberCarriesAllThatWasAddedBefore(t *testing.T) {
	w := newFileOfEvents(t)
	c := writing(t, int(w.Fd()), nil)
	counter, histogram := c.counter("adds"), c.histogram("values")
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))

	const goroutines, each = 8, 3_000
	var added atomic.Uint64
	var group sync.WaitGroup
	for g := range goroutines {
		group.Go(func() {
			for i := range each {
				counter.Add(1)
				added.Add(1)
				histogram.Record(float64(i % 4))
				if i%100 == 0 {
					runtime.Gosched()
				}
				if g == 0 && i%50 == 0 {
					c.listen(i%100 == 0)
					runtime.GOMAXPROCS(i%7 + 1)
				}
			}
		})
	}
	group.Wait()
	c.listen(true)
	got := collector{}
	for _, e := range w.events(t) {
		got.take(e)
	}
	if len(got) != 2 {
		t.Fatalf("%d series were heard of", len(got))
	}
	counter.Add(1)
	histogram.Record(0)
	for _, e := range w.events(t) {
		got.take(e)
	}
	if n := got["adds"].value; n != goroutines*each+1 {
		t.Errorf("the counter is %d, want %d", n, goroutines*each+1)
	}
	if h := got["values"]; h.count() != goroutines*each+1 || h.zero != goroutines*each/4+1 || h.sum() != goroutines*each/4*6 {
		t.Errorf("the histogram has count %d, %d zeros and sum %v", h.count(), h.zero, h.sum())
	}
	if c.stripes.copies() < 2 {
		t.Error("no P got a stripe")
	}
}

// TestANumberIsTakenBeforeTheSum makes the sum take its time, so that many updates come between, if they can.
func TestANumberIsTakenBeforeTheSum(t *testing.T) {
	w := newFileOfEvents(t)
	c := writing(t, int(w.Fd()), nil)
	counter := c.counter("adds")
	c.wantStripe(63)
	c.listen(true)
	const goroutines, each = 4, 10_000
	var group sync.WaitGroup
	for range goroutines {
		group.Go(func() {
			for range each {
				counter.Add(1)
			}
		})
	}
	group.Wait()
	all := w.events(t)
	slices.SortFunc(all, func(a, b *event) int { return cmp.Compare(a.number, b.number) })
	for i, e := range all {
		// One that was delayed after its number may have more than the next one: it read later.
		if e.number != uint64(i+1) || e.value < e.number {
			t.Fatalf("update %d, in place %d, has %d", e.number, i+1, e.value)
		}
	}
	if len(all) != goroutines*each || all[len(all)-1].value != goroutines*each {
		t.Errorf("%d updates, the last one has %d", len(all), all[len(all)-1].value)
	}
}

func TestNoTwoUpdatesHaveTheSameNumber(t *testing.T) {
	c := writing(t, int(newFileOfEvents(t).Fd()), nil)
	s := c.teller.(*updates).ofStripes(c.counter("adds").cell.word)
	const goroutines, each = 4, 1_000_000
	var group sync.WaitGroup
	for range goroutines {
		group.Go(func() {
			for range each {
				c.teller.(*updates).next(s)
			}
		})
	}
	group.Wait()
	if u := c.teller.(*updates).next(s); u.Number != goroutines*each+1 {
		t.Errorf("update %d has the number %d", goroutines*each+1, u.Number)
	}
}

func TestAStripeThatIsAddedKeepsTheKernelsBit(t *testing.T) {
	w := newFileOfEvents(t)
	c := writing(t, int(w.Fd()), nil)
	counter := c.counter("adds")
	c.listen(true) // at the worst time: another goroutine is about to ask for a stripe
	before := c.stripes.copies()
	c.wantStripe(before - 1)
	if !c.stripes.heard() || c.stripes.copies() != before+1 {
		t.Errorf("of %d stripes there are %d, heard: %v", before, c.stripes.copies(), c.stripes.heard())
	}
	counter.Add(1)
	w.only(t)
}

func TestOneUpdateAfterLossMakesASeriesExact(t *testing.T) {
	w := newFileOfEvents(t)
	c := writing(t, int(w.Fd()), nil)
	counter, histogram := c.counter("adds"), c.histogram("values")
	got := collector{}
	receive := func() (n int) {
		for _, e := range w.events(t) {
			got.take(e)
			n++
		}
		return n
	}
	count := func(n int) {
		for i := range n {
			counter.Add(1)
			histogram.Record(math.Ldexp(1, i%40))
		}
	}
	c.listen(true)
	count(1000)
	if n := receive(); n < 2000 {
		t.Fatalf("%d events of 2000 updates came", n)
	}
	full, err := unix.MemfdCreate("full", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(full)
	if _, err := unix.FcntlInt(uintptr(full), unix.F_ADD_SEALS, unix.F_SEAL_GROW); err != nil {
		t.Fatal(err)
	}
	lossy, err := newDescriptor(full)
	if err != nil {
		t.Fatal(err)
	}
	whole := c.teller.(*updates).descriptor.Swap(lossy)
	count(4000)
	if n := receive(); n != 0 {
		t.Fatalf("%d events came nevertheless", n)
	}
	if s := c.status(); !strings.Contains(s, "updates could not be written, the last because of operation not permitted") {
		t.Errorf("status is %q", s)
	}
	c.teller.(*updates).descriptor.Store(whole)
	counter.Add(1)
	histogram.Record(1)
	receive()
	if n := got["adds"].value; n != 5001 {
		t.Errorf("the counter is %d, want 5001", n)
	}
	if n := got["values"].count(); n != 5001 {
		t.Errorf("the histogram has %d values, want 5001", n)
	}
}

func TestAPipeUnderTheNumberGetsNothing(t *testing.T) {
	pipe := make([]int, 2)
	if err := unix.Pipe2(pipe, unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	c := writing(t, pipe[1], nil) // as if it had got there since the client looked
	counter := c.counter("adds")
	c.listen(true)
	counter.Add(1)
	if n, err := unix.Read(pipe[0], make([]byte, 1)); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("read %d bytes: %v", n, err)
	}
}

func TestAnotherFileUnderTheNumberGetsNothing(t *testing.T) {
	w := newFileOfEvents(t)
	fd, err := unix.Dup(int(w.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	c := writing(t, fd, nil)
	counter, histogram := c.counter("adds"), c.histogram("values")
	c.listen(true)
	counter.Add(1)
	w.only(t)

	other := newFileOfEvents(t)
	if err := unix.Dup2(int(other.Fd()), fd); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	counter.Add(1)
	histogram.Record(1)
	if all := other.events(t); all != nil {
		t.Errorf("another file got %d events", len(all))
	}
	if _, err := userevent.Open(); err == nil {
		return // a new descriptor was had: what becomes of that, the kernel's own tests show
	}
	if c.stripes.heard() {
		t.Error("all calls go on asking for a descriptor that can't be had")
	}
	if s := c.status(); !strings.Contains(s, "the program closed the descriptor and no other can be had (") {
		t.Errorf("status is %q", s)
	}
	c.listen(true) // as the kernel does when the next one comes
	counter.Add(1)
	if c.stripes.heard() || other.events(t) != nil {
		t.Error("the next listener changes something")
	}
	if n := total(c, counter.cell); n != 3 {
		t.Errorf("the counter is %d, want 3", n)
	}
}

// total is what a counter has in all stripes.
func total(c *client, made cell) (n uint64) {
	for stripe := range c.stripes.copies() {
		n += *(*uint64)((&updates{client: c}).in(stripe, made.word))
	}
	return n
}

func TestTheDescriptionGoesWhereAnEventHasNoRoom(t *testing.T) {
	w := newFileOfEvents(t)
	c := writing(t, int(w.Fd()), map[string]string{"HOTPATH_TRANSPORT": "off", "OTEL_RESOURCE_ATTRIBUTES": "long=" + strings.Repeat("r", 1000)})
	c.listen(true)
	long := func(n int) Option {
		var attributes []Attribute
		for i := range n {
			attributes = append(attributes, String(fmt.Sprint("k", i), strings.Repeat("v", 1000)))
		}
		return WithAttributes(attributes...)
	}
	description := WithDescription(strings.Repeat("d", segment.MaxDescription))

	c.counter("short", description, long(1)).Add(1)
	if e := w.only(t); len(e.record.Description) != segment.MaxDescription || e.size > userevent.MaxSize {
		t.Errorf("an event of %d bytes has a description of %d", e.size, len(e.record.Description))
	}
	c.counter("fits", description, long(2)).Add(1)
	if e := w.only(t); e.record.Description != "" || len(e.record.Attributes) != 2 || e.size > userevent.MaxSize {
		t.Errorf("an event of %d bytes has a description of %d", e.size, len(e.record.Description))
	}
	c.histogram("buckets", description, long(1)).Record(1)
	if e := w.only(t); e.record.Description != "" || e.size > userevent.MaxSize-(userevent.MaxBuckets-1)*8 {
		t.Errorf("a histogram's event of %d bytes has a description of %d", e.size, len(e.record.Description))
	}
	tooLong := c.counter("long", long(3))
	tooLong.Add(1)
	c.histogram("long.too", long(2)).Record(1)
	if all := w.events(t); all != nil {
		t.Errorf("%d events were written of series that are too long", len(all))
	}
	if n := total(c, tooLong.cell); n != 1 {
		t.Errorf("the counter is %d, want 1", n)
	}
	want := "hotpath counts 3 series in private memory and writes user_events of them while a Collector listens, as one does now; 2 series are too long for an event and stay in private memory."
	if s := c.status(); s != want {
		t.Errorf("status is %q, want %q", s, want)
	}
	c.listen(false)
	if s := c.status(); !strings.Contains(s, "as none does now;") {
		t.Errorf("status is %q", s)
	}
}

func TestNoUpdateAllocates(t *testing.T) {
	fd, err := unix.Open("/dev/null", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	c := writing(t, fd, nil)
	counter, gauge, histogram := c.counter("a"), c.gauge("b"), c.histogram("c")
	c.listen(true)
	if n := testing.AllocsPerRun(100, func() {
		counter.Add(1)
		gauge.Set(1)
		histogram.Record(1)
		histogram.Record(1e-300)
		histogram.Record(0)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if n := c.teller.(*updates).failed.Load(); n != 0 {
		t.Errorf("%d updates failed", n)
	}
}

func TestWithoutUserEventsCountingIsPrivateAndStatusSaysWhy(t *testing.T) {
	c := fresh(map[string]string{"HOTPATH_TRANSPORT": "user_events"})
	counter, gauge := c.counter("adds"), c.gauge("level")
	counter.Add(1)
	counter.Add(1)
	gauge.Set(2)
	if n := total(c, counter.cell); n != 2 || *(*float64)(gauge.cell.word) != 2 {
		t.Errorf("the counter is %d, want 2", n)
	}
	_, missing := userevent.Open()
	want := "hotpath counts 2 series in private memory and writes user_events of them while a Collector listens"
	if missing != nil {
		want = fmt.Sprintf("hotpath counts 2 series in private memory, where no Collector sees them (user_events: %s).", missing)
	}
	if s := c.status(); !strings.HasPrefix(s, want) {
		t.Errorf("status is %q, want %q", s, want)
	}
}
