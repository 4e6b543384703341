package top

import (
	"fmt"
	"math"
	"time"

	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/reading"
	"github.com/hotpath-metrics/hotpath/internal/emit"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func text(key, value string) emit.Attribute {
	return emit.Attribute{Key: key, Type: emit.AttributeString, Str: value}
}

func process(service, command string, pid int64, series ...reading.Series) reading.Process {
	return reading.Process{
		Key: &emit.Process{}, Service: service, Command: command, PID: pid, Start: now.Add(-90 * time.Second), Series: series,
		Resource: []emit.Attribute{text("service.name", service)},
	}
}

func series(kind emit.Kind, name, unit string, attributes ...emit.Attribute) reading.Series {
	in := &emit.Instrument{Name: name, Kind: kind, Unit: unit}
	s := reading.Series{Series: &emit.Series{Instrument: in, Attributes: attributes, ID: in.ID(attributes)}, Start: now.Add(-90 * time.Second)}
	for i := range s.Trend {
		s.Trend[i] = float32(math.NaN())
	}
	return s
}

func counter(name string, total uint64, rate float64, attributes ...emit.Attribute) reading.Series {
	s := series(emit.KindCounter, name, "{request}", attributes...)
	s.Counter, s.Rate, s.HasRate = total, rate, true
	s.Trend[reading.History-1] = float32(rate)
	return s
}

func gauge(name string, value float64) reading.Series {
	s := series(emit.KindGauge, name, "1")
	s.Number = value
	return s
}

func histogram(name string, count uint64, rate float64) reading.Series {
	s := series(emit.KindHistogram, name, "s")
	s.Counter, s.Rate, s.HasRate = count, rate, true
	s.Records = reading.Histogram{Sum: 0.5, Offset: -80, Buckets: []uint64{count}, Percentiles: reading.Percentiles{P50: 0.0012, P90: 0.025, P99: 1.5}}
	return s
}

// shops is a reading of two services, one of which has two processes.
func shops() *reading.Reading {
	return &reading.Reading{Time: now, Interval: time.Second, Processes: []reading.Process{
		process("shop", "shopd", 100,
			counter("requests", 1000, 50, text("op", "get")), counter("requests", 9_000, 2, text("op", "put")),
			histogram("latency", 10_000, 52), gauge("queue", 3)),
		process("shop", "shopd", 101, counter("requests", 10, 500, text("op", "get"))),
		process("bank", "ledger", 50, counter("transfers", 1_000_000, 10)),
	}}
}

// many is a reading of so many processes with so many series each.
func many(processes, each int) *reading.Reading {
	r := &reading.Reading{Time: now, Interval: time.Second}
	for i := range processes {
		var all []reading.Series
		for j := range each {
			all = append(all, counter("http.server.requests", uint64(i*j), float64((i*7919+j*104729)%100_003),
				text("http.request.method", "GET"), text("http.route", fmt.Sprintf("/orders/%d", j))))
		}
		r.Processes = append(r.Processes, process(fmt.Sprintf("service-%d", i%20), "server", int64(1000+i), all...))
	}
	return r
}
