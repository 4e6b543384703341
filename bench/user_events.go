package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/hotpath-metrics/hotpath/client/go/userevent"

	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
	"github.com/hotpath-metrics/hotpath/internal/measure"
	"github.com/hotpath-metrics/hotpath/internal/otlp"
	"github.com/hotpath-metrics/hotpath/internal/otlp/otlptest"
	proc "github.com/hotpath-metrics/hotpath/internal/process"
	"github.com/hotpath-metrics/hotpath/internal/quota"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/event"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/page"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/state"
)

// benchUserEvents times what the Collector makes of a trace buffer, from captured pages.
func benchUserEvents(p measure.Plan, root string) ([]row, error) {
	const group = "Collector, user_events"
	var rows []row
	for _, kind := range []string{"counters", "histograms"} {
		c, err := readCapture(filepath.Join(root, "testdata", "user_events", kind+".pages"))
		if err != nil {
			return nil, err
		}
		times := measure.TimeInTurn(p, []measure.Subject{{Name: "take", Do: c.take}, {Name: "walk", Do: c.walk}})
		if c.counts.skipped > 0 {
			return nil, fmt.Errorf("%d events of the captured %s were not taken", c.counts.skipped, kind)
		}
		rows = append(rows, newRow(group, "update of 100 "+kind+", from the page to its series", "ns", times[0]).
			beside("finding it on the page", times[0], times[1]).within(budget{most: 50}))
	}
	e := newEnvelopes()
	times := measure.TimeInTurn(p, []measure.Subject{{Name: "take", Do: e.take}, {Name: "take, cumulative", Do: e.takeCumulative}, {Name: "unmarshal", Do: e.unmarshal}})
	if e.err != nil {
		return nil, e.err
	}
	const alone = "pdata's unmarshalling alone"
	rows = append(rows,
		newRow(group, "otlp_metrics envelope of one point", "ns", times[0]).beside(alone, times[0], times[2]).within(budget{most: 1000}),
		newRow(group, "the same, deltas to running totals", "ns", times[1]).beside(alone, times[1], times[2]))
	return rows, nil
}

// capture is what a kernel gave out of one CPU's buffer: sub-buffers full of hotpath_v1.
type capture struct {
	pages  [][]byte
	events int
	in     *state.Ingest
	counts eventCounts
}

const subBufferSize = 4096

// numberAt is where a record has an update's number, after the 8 bytes of the fields that all events have.
const numberAt = 8 + userevent.OffNumber

func readCapture(path string) (*capture, error) {
	b, err := os.ReadFile(path) // #nosec G304 -- it is this repository's.
	if err != nil {
		return nil, fmt.Errorf("read captured events: %w", err)
	}
	c := &capture{}
	for ; len(b) >= subBufferSize; b = b[subBufferSize:] {
		c.pages = append(c.pages, b[:subBufferSize])
	}
	// This process is their writer now: the one of then is no more.
	var parsed page.Page
	for _, sub := range c.pages {
		parsed.Reset(sub)
		for ; parsed.Next(); c.events++ {
			binary.NativeEndian.PutUint32(parsed.Record[4:], uint32(os.Getpid()))
		}
	}
	if err := parsed.Err(); err != nil || c.events == 0 {
		return nil, fmt.Errorf("captured events in %s: %d, %w", path, c.events, err)
	}
	c.in = state.New(quota.Limits{Segments: 1000, SegmentsPerUID: 1000, Series: 100_000, SeriesPerUID: 100_000, SeriesPerSegment: 10_000},
		proc.At("/proc", 1000), &c.counts, time.Now().UnixNano())
	return c, nil
}

// take hands events to those who keep the newest value of each series. Each round's are newer than those before.
func (c *capture) take(n int) {
	var parsed page.Page
	var e event.Event
	for done := 0; done < n; done += c.events {
		for _, sub := range c.pages {
			parsed.Reset(sub)
			for parsed.Next() {
				number := parsed.Record[numberAt:]
				binary.NativeEndian.PutUint64(number, binary.NativeEndian.Uint64(number)+1)
				e.Time, e.TID, e.Record = int64(parsed.Time), parsed.TID, parsed.Record
				c.in.Handle(&e)
			}
		}
	}
	c.in.Collect(emittest.Discard{})
	c.in.Commit()
}

func (c *capture) walk(n int) {
	var parsed page.Page
	for done := 0; done < n; done += c.events {
		for _, sub := range c.pages {
			for parsed.Reset(sub); parsed.Next(); {
			}
		}
	}
}

// envelopes are requests of one delta point each, and who takes them.
type envelopes struct {
	requests         [][]byte
	deltas, running  *otlp.Ingest
	added            int
	protoUnmarshaler pmetric.ProtoUnmarshaler
	err              error
}

func newEnvelopes() *envelopes {
	const streams, pending, idle = 1000, 1 << 30, time.Hour
	e := &envelopes{requests: otlptest.Envelopes(streams)}
	skip := func(reason string, n int64) { e.err = fmt.Errorf("%d envelopes were not taken: %s", n, reason) }
	e.deltas = otlp.New(otlp.Config{PendingBytes: pending, MaxSeries: 2 * streams, Idle: idle}, skip)
	e.running = otlp.New(otlp.Config{PendingBytes: pending, MaxSeries: 2 * streams, Idle: idle, Cumulative: true}, skip)
	return e
}

func (e *envelopes) into(in *otlp.Ingest, n int) {
	const eachCollection = 100_000
	for i := range n {
		in.Add(e.requests[i%len(e.requests)])
		if e.added++; e.added%eachCollection == 0 {
			in.Collect(emittest.Discard{})
			in.Commit()
		}
	}
}

func (e *envelopes) take(n int)           { e.into(e.deltas, n) }
func (e *envelopes) takeCumulative(n int) { e.into(e.running, n) }

func (e *envelopes) unmarshal(n int) {
	for i := range n {
		if _, err := e.protoUnmarshaler.UnmarshalMetrics(e.requests[i%len(e.requests)]); err != nil {
			e.err = fmt.Errorf("unmarshal envelope: %w", err)
		}
	}
}
