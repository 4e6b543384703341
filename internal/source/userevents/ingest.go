package userevents

import (
	"time"

	"github.com/hotpath-metrics/hotpath/client/go/userevent"

	"github.com/hotpath-metrics/hotpath/internal/aggregate"
	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/otlp"
	"github.com/hotpath-metrics/hotpath/internal/process"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/event"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/format"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/mapping"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/otlpevent"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/state"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/tracefs"
)

// ingest makes metrics of some events.
type ingest interface {
	binder
	// Matches says whether an event of a name is worth the reading of its format.
	Matches(name string) bool
}

type binder interface {
	// Bind returns the handler of a format's events, nil if they are none of the ingest's. An error says why a
	// format that is meant for it can't be used.
	Bind(*format.Format) (event.Handler, error)
	// Collect hands over what there is. The next one does so again unless Commit came between.
	Collect(emit.Sink)
	// Commit says that what the last Collect handed over was accepted.
	Commit()
}

// one is an ingest that is about the event of one name.
type one struct {
	binder
	name string
}

func (o one) Matches(name string) bool {
	base, _ := tracefs.Base(name)
	return base == o.name
}

// idle is how long a total made of deltas is kept without change.
const idle = time.Hour

func (s *source) makeIngests(table *process.Table) []ingest {
	l := s.limits
	ingests := []ingest{one{state.New(l.Limits, table, s.tel, time.Now().UnixNano()), userevent.Name}}
	if len(s.cfg.Events) > 0 {
		// As many again may have ended without having been delivered.
		limits := aggregate.MeasurementLimits{Processes: 2 * l.Processes, Series: l.Series, SeriesPerUID: l.SeriesPerUID}
		ingests = append(ingests, mapping.New(s.cfg.Events, table, limits, s.tel, s.logger))
	}
	if s.cfg.OTLP {
		ingests = append(ingests, one{otlpevent.New(otlp.Config{
			PendingBytes: l.PendingBytes, Cumulative: s.cfg.OTLPCumulative, MaxSeries: l.Series, Idle: idle,
		}, s.tel), otlpevent.Name})
	}
	return ingests
}
