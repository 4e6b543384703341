package c

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

// eachRingVariant is for the compilers, and for the code of shared libraries.
func eachRingVariant(t *testing.T, test func(t *testing.T, program string)) {
	for _, c := range append(slices.Clone(compilers), compiler{"gcc, library", []string{"gcc", "-std=c11", "-O2", "-fPIC"}}) {
		t.Run(c.name, func(t *testing.T) {
			test(t, c.compile(t, "testdata/ring.c", "-lm"))
		})
	}
}

func (c *client) rings() rings {
	c.t.Helper()
	all := ringsIn(c.t, c.dir)
	if len(all) != 1 {
		c.t.Fatalf("%d segments, status %q", len(all), c.status)
	}
	return all[uint64(c.cmd.Process.Pid)]
}

func TestMeasurementsOfEveryKindAreRecorded(t *testing.T) {
	eachRingVariant(t, func(t *testing.T, program string) {
		c := start(t, program, directory(t), "kinds")
		r := c.rings()
		var got []measurement
		for i := range r.used {
			got = append(got, r.read(t, i)...)
		}
		slices.SortStableFunc(got, func(a, b measurement) int { return int(a.kind) - int(b.kind) }) // threads may change rings
		long := strings.Repeat("x", 1022)
		var keys, longs, largest []string
		for i := range 64 {
			keys = append(keys, fmt.Sprintf("key=%d", i))
			largest = append(largest, fmt.Sprintf("48 bytes, so that its attribute has eight words =%d", i))
		}
		largest[63] = "24 bytes, and so 5 words=63"
		for range 3 {
			longs = append(longs, "long="+long)
		}
		counter := []measurement{
			{kind: segment.KindCounter, value: 3, attributes: []string{"s=text", "i=-5", "d=0.5", "b=true"}},
			{kind: segment.KindCounter, value: 4, attributes: []string{"null=", "long=" + long, "empty="}},
			{kind: segment.KindCounter, value: 5, attributes: keys},
			{kind: segment.KindCounter, value: 6, attributes: largest},
			{kind: segment.KindCounter, value: 7, attributes: longs},
		}
		seven := int64(-7)
		want := append(counter, measurement{kind: segment.KindUpDownCounter, value: uint64(seven), attributes: []string{"s=text"}},
			measurement{kind: segment.KindGauge, value: math.Float64bits(2.5), attributes: []string{"i=-5"}},
			measurement{kind: segment.KindHistogram, value: math.Float64bits(0.25), attributes: []string{"d=0.5", "b=true"}})
		if len(got) != len(want) {
			t.Fatalf("%d measurements: %+v", len(got), got)
		}
		for i, m := range got {
			if m.kind != want[i].kind || m.value != want[i].value || !slices.Equal(m.attributes, want[i].attributes) {
				t.Errorf("measurement %d is %+v", i, m)
			}
			if (m.time != 0) != (m.kind == segment.KindGauge) {
				t.Errorf("measurement %d has the time %d", i, m.time)
			}
		}
		if refused := word(t, r.file, segment.OffRefused); refused != 11 {
			t.Errorf("%d were refused", refused)
		}
		p := c.collect().Processes[0]
		if p.Counters["kinds.counter{own=yes}"] != 20 || p.UpDownCounters["kinds.updowncounter"] != -10 || p.Gauges["kinds.gauge"] != -1 ||
			p.Histograms["kinds.histogram"].Sum != 4 {
			t.Errorf("without attributes: %v %v %v %v", p.Counters, p.UpDownCounters, p.Gauges, p.Histograms)
		}
		c.finish()
	})
}

// Slots are the records' own.
func TestMeasurementsNameTheirSeries(t *testing.T) {
	c := start(t, compilers[0].compile(t, "testdata/ring.c", "-lm"), directory(t), "kinds")
	r := c.rings()
	at := int64(word(t, r.file, segment.OffCatalogueOffset))
	end := at + int64(word(t, r.file, segment.OffCatalogueUsed))
	slots := map[uint8]uint32{}
	for at < end {
		head := word(t, r.file, at)
		slots[uint8(head>>(8*segment.RecordKind))] = uint32(word(t, r.file, at+segment.RecordSlot))
		at += int64(uint32(head))
	}
	for _, m := range r.read(t, 0) {
		if m.slot != slots[m.kind] {
			t.Errorf("%+v is not of slot %d", m, slots[m.kind])
		}
	}
	c.finish()
}

func TestThreadsRecordEveryMeasurement(t *testing.T) {
	const each = 200_000
	eachRingVariant(t, func(t *testing.T, program string) {
		for _, threads := range []int{1, 8} {
			for _, env := range []string{"", "GLIBC_TUNABLES=glibc.pthread.rseq=0"} {
				c := startWith(t, []string{env}, program, directory(t), "threads", strconv.Itoa(threads), strconv.Itoa(each))
				r := c.rings()
				unrecorded := word(t, r.file, segment.OffUnrecorded)
				if got := r.whole(t) + unrecorded; got != uint64(threads)*each {
					t.Errorf("%s: %d threads recorded %d of %d", env, threads, got, threads*each)
				}
				if unrecorded > 0 {
					t.Logf("%s: for %d there was no ring", env, unrecorded)
				}
				c.finish()
			}
		}
	})
}

func TestFilesCompiledInDifferentWaysMayRecordTogether(t *testing.T) {
	kinds := map[string][]string{
		"rseq":    {"gcc", "-std=c11", "-O2", "-fPIE"},
		"library": {"gcc", "-std=c11", "-O2", "-fPIC"},
		"no rseq": {"gcc", "-std=c11", "-O2", "-DHOTPATH_NO_RSEQ"},
	}
	for a, first := range kinds {
		for b, second := range kinds {
			t.Run(a+" and "+b, func(t *testing.T) {
				c := start(t, twoFiles(t, "testdata/mixed.c", first, second), directory(t), "")
				r := c.rings()
				var total uint64
				for i := range r.used {
					if got := r.read(t, i); len(got) > 0 {
						total += got[len(got)-1].number
					}
				}
				if total != 800000 {
					t.Errorf("recorded %d of 800000", total)
				}
			})
		}
	}
}

func TestSignalHandlersMayRecord(t *testing.T) {
	eachRingVariant(t, func(t *testing.T, program string) {
		for _, env := range []string{"", "GLIBC_TUNABLES=glibc.pthread.rseq=0"} {
			c := startWith(t, []string{env}, program, directory(t), "signals", "5000000")
			r := c.rings()
			if got := strconv.FormatUint(r.whole(t)+word(t, r.file, segment.OffUnrecorded), 10); got != c.before[0] {
				t.Errorf("%s: recorded %s of %s", env, got, c.before[0])
			}
			c.finish()
		}
	})
}

func TestSignalHandlersMayForkWhileTheirThreadRecords(t *testing.T) {
	eachRingVariant(t, func(t *testing.T, program string) {
		for _, env := range []string{"", "GLIBC_TUNABLES=glibc.pthread.rseq=0"} {
			c := startWith(t, []string{env}, program, directory(t), "forks", "15")
			for pid, r := range ringsIn(t, c.dir) {
				got := r.whole(t)
				if own := pid == uint64(c.cmd.Process.Pid); own && strconv.FormatUint(got, 10) != c.before[0] || !own && got > 100000 {
					t.Errorf("%s: recorded %d of %s, parent: %v", env, got, c.before[0], own)
				}
			}
			c.finish()
		}
	})
}

// What the Collector makes of them.
func TestMeasurementsBecomeSeries(t *testing.T) {
	eachRingVariant(t, func(t *testing.T, program string) {
		c := start(t, program, directory(t), "sets", "100", "20")
		p := c.collect().Processes[0]
		for i := range 100 {
			if got := p.Counters[fmt.Sprintf("sets.counter{own=yes,s=text,set=%d}", i)]; got != 20 {
				t.Fatalf("set %d has come to %d of 20: %v", i, got, p.Counters)
			}
			if i >= 10 {
				continue
			}
			of := fmt.Sprintf("{set=%d}", i)
			if h := p.Histograms["sets.histogram"+of]; p.UpDownCounters["sets.updowncounter"+of] != -20 || p.Gauges["sets.gauge"+of] != 0.5+float64(i) || h.Count != 20 || h.Sum != 40 {
				t.Fatalf("set %d: %v %v %v", i, p.UpDownCounters, p.Gauges, h)
			}
		}
		c.finish()
	})
}
