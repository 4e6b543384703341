package state

import (
	"encoding/binary"
	"reflect"
	"testing"

	"github.com/hotpath-metrics/hotpath/internal/aggregate"
	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
	"github.com/hotpath-metrics/hotpath/internal/process/processtest"
	"github.com/hotpath-metrics/hotpath/internal/quota"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/event"
)

// Steps of a fuzzed history, each a byte and, of an event, what follows.
const (
	stepEvent   = iota // by the thread of the next byte, with as many bytes as the two after it say
	stepCollect        // without an acceptance
	stepCommit
	stepEnd // of the process in the next byte
	steps
)

func history(steps ...[]byte) (b []byte) {
	for _, s := range steps {
		b = append(b, s...)
	}
	return b
}

func written(u update) []byte {
	record := u.bytes()
	b := []byte{stepEvent, byte(u.tid)}
	return append(binary.NativeEndian.AppendUint16(b, uint16(len(record))), record...)
}

// FuzzHandle plays histories of any events, collections and deaths. What is kept must stay within the limits, add up,
// and be gone when everybody is.
func FuzzHandle(f *testing.F) {
	histogram := segmenttest.Histogram(0, "h").Append(nil)
	f.Add(history(written(number(1)), written(number(2)), []byte{stepCollect, stepCommit}))
	f.Add(history(written(update{tid: 1, segment: 3, number: 1}), []byte{stepEnd, 0, stepCollect, stepCommit, stepCollect, stepCommit}))
	f.Add(history(written(update{tid: 9, number: 1}), written(update{tid: 0, number: 2}), []byte{stepCollect}, written(update{tid: 4, number: 3})))
	f.Add(history(
		written(update{number: 1, first: 3, buckets: []uint64{1, 2}, record: histogram}),
		written(update{number: 2, first: 300, buckets: []uint64{1, 2}, record: histogram, flags: 1}),
		written(update{segment: 2, number: 2, series: 1 << 19, record: segmenttest.Gauge(0, "g", segmenttest.Str("k", "v")).Append(nil)}),
	))
	const living = 8 // processes; further threads are gone from the beginning
	proc := processtest.New(f)
	start := func(i int32) { proc.Start(shop+i, uint32(i%3), "shop", 100) }
	for i := range int32(living) {
		start(i)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		limits := quota.Limits{Segments: 6, SegmentsPerUID: 4, Series: 12, SeriesPerUID: 10, SeriesPerSegment: 8}
		table := proc.Table(16)
		ended := map[int32]bool{}
		end := func(i int32) {
			proc.End(shop + i)
			ended[i] = true
		}
		defer func() {
			for i := range ended {
				start(i)
			}
		}()
		in := New(limits, table, &telemetry{skipped: map[string]int64{}}, 0)
		delta := aggregate.NewDelta(&emittest.Recorder{}, 0)
		fold := aggregate.NewFold(delta, 5, 0)
		collect := func() {
			table.Sweep()
			table.Release()
			var r emittest.Recorder
			in.Collect(&r)
			fold.Begin(1)
			delta.Begin(1)
			in.Collect(fold)
			fold.End()
			for _, p := range r.Processes {
				if len(p.Instruments) == 0 {
					t.Fatal("a process without series")
				}
			}
		}
		for len(b) > 1 {
			step, rest := b[0]%steps, b[1:]
			switch step {
			case stepEvent:
				if len(rest) < 3 {
					return
				}
				n := min(int(binary.NativeEndian.Uint16(rest[1:])), len(rest)-3)
				in.Handle(&event.Event{TID: shop + int32(rest[0]%(2*living)), Record: rest[3:][:n:n]})
				b = rest[3+n:]
			case stepCollect:
				collect()
				b = rest
			case stepCommit:
				in.Commit()
				b = rest
			case stepEnd:
				end(int32(rest[0] % living))
				b = rest[1:]
			}
			audit(t, in, limits)
		}
		for i := range int32(living) {
			end(i)
		}
		for range 3 {
			collect()
			in.Commit()
		}
		if len(in.resources)+len(in.segments)+len(in.byKey) > 0 || !reflect.DeepEqual(in.quota, quota.New(limits)) {
			t.Fatalf("left: %d resources, %d segments, %d keys, %v", len(in.resources), len(in.segments), len(in.byKey), in.quota)
		}
	})
}

// audit counts everything again. It returns what is charged in all against the limits on series.
func audit(t *testing.T, in *Ingest, limits quota.Limits) (total int) {
	t.Helper()
	held := quota.New(limits)
	for id, s := range in.segments {
		if s.id != id || in.byKey[s.resource.key] != s.resource && !s.resource.Ended() {
			t.Fatalf("segment %d is out of place", id)
		}
		kept := len(s.sparse)
		for _, x := range s.dense {
			if x != nil {
				kept++
			}
		}
		if kept != len(s.series) || len(s.ids) != kept || s.charged < kept || s.charged > limits.SeriesPerSegment {
			t.Fatalf("%d series, %d in order, %d identities, %d charged", kept, len(s.series), len(s.ids), s.charged)
		}
		for _, x := range s.series {
			if x.kind != emit.KindHistogram && len(x.counts) > 0 || x.low+len(x.counts) > 512 {
				t.Fatalf("%d buckets from %d on", len(x.counts), x.low)
			}
			if base := len(x.base.Buckets); base > len(x.counts) || base > 0 && (x.base.First < x.low || x.base.First+base > x.low+len(x.counts)) {
				t.Fatalf("a base of %d buckets from %d on, of %d from %d on", base, x.base.First, len(x.counts), x.low)
			}
		}
		held.Charge(s.process.UID, 1, s.charged)
		total += s.charged
	}
	if !reflect.DeepEqual(in.quota, held) || total > limits.Series || len(in.segments) > limits.Segments {
		t.Fatalf("%d series: %v is %v", total, in.quota, held)
	}
	return total
}
