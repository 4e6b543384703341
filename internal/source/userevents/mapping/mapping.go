package mapping

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/aggregate"
	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/process"
	"github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/event"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/eventheader"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/format"
)

// Mapping is the ingest of events that the configuration maps to metrics. It counts for each process
// what it measured since the first event that was heard of it.
type Mapping struct {
	entries   []*entry
	resources []map[string]string // of the entries, each once
	table     *aggregate.Measurements
	processes *process.Table
	measured  map[*process.Process][]*aggregate.Measured // by number of the resource; nil where nothing came yet
	tel       source.EventTelemetry
	logger    *zap.Logger
	skipped   map[string]int64 // by reason, since the last collection
	folding   bool             // was logged

	last         *process.Process
	lastMeasured []*aggregate.Measured
}

// New returns the ingest for a valid configuration.
func New(
	events Events, processes *process.Table, limits aggregate.MeasurementLimits, tel source.EventTelemetry, logger *zap.Logger,
) *Mapping {
	m := &Mapping{
		table:     aggregate.NewMeasurements(limits),
		processes: processes,
		measured:  map[*process.Process][]*aggregate.Measured{},
		tel:       tel,
		logger:    logger,
		skipped:   map[string]int64{},
	}
	for i := range events {
		m.entries = append(m.entries, m.entry(&events[i]))
	}
	return m
}

// Matches says whether an event of that name is worth a Bind.
func (m *Mapping) Matches(name string) bool {
	for _, e := range m.entries {
		if e.matches(name) {
			return true
		}
	}
	return false
}

// Bind returns the handler for the events of a format, nil if no entry of the configuration takes them. The
// error names the entries that are about the event and cannot take it; there may be a handler for the others beside it.
func (m *Mapping) Bind(f *format.Format) (event.Handler, error) {
	h := &handler{mapping: m}
	var errs []error
	for i, e := range m.entries {
		if !e.matches(f.Name) {
			continue
		}
		c, wrong := e.choose(f)
		for _, err := range wrong {
			errs = append(errs, fmt.Errorf("events::%d::%w", i, err))
		}
		switch {
		case len(wrong) > 0:
		case eventheader.Is(f):
			h.takers = append(h.takers, m.described(e, f))
		default:
			h.takers = append(h.takers, &typed{e, c})
		}
	}
	var err error
	if len(errs) > 0 {
		err = fmt.Errorf("map event %q: %w", f.Name, errors.Join(errs...))
	}
	if len(h.takers) == 0 {
		return nil, err
	}
	return h, err
}

// Collect hands over all series, process by process. The next one does so again unless Commit came between.
func (m *Mapping) Collect(sink emit.Sink) {
	for p, measured := range m.measured {
		if !p.Dead() {
			continue
		}
		for _, d := range measured {
			if d != nil {
				d.End()
			}
		}
		delete(m.measured, p)
	}
	m.last, m.lastMeasured = nil, nil
	m.table.Collect(sink, time.Now().UnixNano())
	for reason, n := range m.skipped {
		m.tel.EventsSkipped(reason, n)
	}
	clear(m.skipped)
	if m.table.Folded() && !m.folding {
		m.folding = true
		m.logger.Warn("Events have more series than the limits allow; the rest goes into series with otel.metric.overflow")
	}
}

// Commit says that everything the last Collect handed over was accepted downstream.
func (m *Mapping) Commit() { m.table.Commit() }
