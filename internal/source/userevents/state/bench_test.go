package state

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/hotpath-metrics/hotpath/client/go/userevent"

	"github.com/hotpath-metrics/hotpath/internal/quota"
	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/event"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/page"
)

const formatID = 1500

// pages are sub-buffers of 4 KiB full of updates, as the kernel writes them.
func pages(updates []update) (subs [][]byte) {
	var sub []byte
	finish := func() {
		if sub != nil {
			binary.NativeEndian.PutUint64(sub[8:], uint64(len(sub)-16))
			subs = append(subs, append(sub, make([]byte, 4096-len(sub))...))
		}
		sub = append(make([]byte, 0, 4096), make([]byte, 16)...)
	}
	finish()
	for _, u := range updates {
		record := u.bytes()
		binary.NativeEndian.PutUint16(record, formatID)
		binary.NativeEndian.PutUint32(record[4:], uint32(u.tid))
		if len(sub)+8+len(record) > 4096 {
			finish()
		}
		if words := len(record) / 4; words <= 28 {
			sub = binary.NativeEndian.AppendUint32(sub, 300<<5|uint32(words))
		} else {
			sub = binary.NativeEndian.AppendUint32(sub, 300<<5)
			sub = binary.NativeEndian.AppendUint32(sub, uint32(len(record)+4))
		}
		sub = append(sub, record...)
	}
	finish()
	return subs
}

// stream is updates of some processes, threads, segments and series in turn, with growing numbers.
func stream(processes, series, n int, at func(i int) update) (updates []update) {
	for i := range n {
		u := at(i)
		process := i / 16 % processes // 16 in a row, as a CPU has them
		u.tid = shop + 1000 + int32(process)
		u.segment = uint64(process + 1)
		u.number = uint64(i + 1)
		u.series = uint32(i % series)
		updates = append(updates, u)
	}
	return updates
}

// BenchmarkUpdates parses pages and handles their events.
func BenchmarkUpdates(b *testing.B) {
	resource := segmenttest.Resource(segmenttest.Str("process.executable.name", "shop"), segmenttest.Str("service.name", "shop")).Append(nil)
	requests := func(i int) update {
		return update{value: uint64(i), resource: resource, record: counter(fmt.Sprintf("shop.requests%d", i%100), segmenttest.Int("code", 200), segmenttest.Str("method", "GET"))}
	}
	latency := func(i int) update {
		return update{
			value: bits(float64(i)), resource: resource, first: 200, buckets: make([]uint64, 24),
			record: segmenttest.Histogram(0, fmt.Sprintf("shop.latency%d", i%100), segmenttest.Str("method", "GET")).Append(nil),
		}
	}
	for _, c := range []struct {
		name              string
		processes, series int
		at                func(int) update
	}{
		{"one-counter", 1, 1, func(int) update { return requests(0) }},
		{"100-counters", 1, 100, requests},
		{"64-processes-of-100-counters", 64, 100, requests},
		{"100-histograms", 1, 100, latency},
	} {
		b.Run(c.name, func(b *testing.B) {
			limits := quota.Limits{Segments: 1000, SegmentsPerUID: 1000, Series: 1e6, SeriesPerUID: 1e6, SeriesPerSegment: 1e6}
			f := setUp(b, limits)
			for i := range int32(c.processes) {
				f.proc.Start(shop+1000+i, 1000, "shop", 100)
			}
			f.table = f.proc.Table(1000)
			f.in = New(limits, f.table, f.tel, 0)
			n := c.processes * 16 * 8
			for n%c.series != 0 {
				n += c.processes * 16
			}
			subs := pages(stream(c.processes, c.series, n, c.at))
			events, bump := 0, uint64(0)
			var p page.Page
			e := event.Event{}
			round := func() {
				bump += uint64(n) // so that every update is newer than those before
				for _, sub := range subs {
					p.Reset(sub)
					for p.Next() {
						if p.ID != formatID {
							b.Fatal(p.ID)
						}
						number := p.Record[fieldsAt+userevent.OffNumber:]
						binary.NativeEndian.PutUint64(number, binary.NativeEndian.Uint64(number)+uint64(n))
						e.Time, e.TID, e.Record = int64(p.Time), p.TID, p.Record
						f.in.Handle(&e)
						events++
					}
				}
			}
			round()
			events = 0
			b.ReportAllocs()
			for b.Loop() {
				round()
			}
			if skipped := f.skips(); len(skipped) > 0 || p.Err() != nil {
				b.Fatal(skipped, p.Err())
			}
			if x := f.in.segments[1].find(0); x.update <= bump {
				b.Fatalf("update %d after %d", x.update, bump)
			}
			b.ReportMetric(float64(events)/b.Elapsed().Seconds()/1e6, "Mevents/s")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(events), "ns/event")
		})
	}
}
