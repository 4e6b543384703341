// Package otlpevent takes the event otlp_metrics, which exporters of OpenTelemetry write with a
// serialised request each, in both layouts that are found in the wild (docs/wire-formats.md).
package otlpevent

import (
	"fmt"
	"strings"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/otlp"
	"github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/event"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/format"
)

// Name is the event's. One of several formats of it has a suffix, as in "otlp_metrics.1f".
const Name = "otlp_metrics"

// skipProtocol is the reason for events that hold something else than OTLP in protobuf.
const skipProtocol = "otlp_protocol"

// Ingest merges the requests of all processes. Calls come one at a time.
type Ingest struct {
	metrics *otlp.Ingest
	tel     source.EventTelemetry
	skipped map[string]int64 // by reason, since the last collection
}

// New returns an ingest without metrics.
func New(cfg otlp.Config, telemetry source.EventTelemetry) *Ingest {
	in := &Ingest{tel: telemetry, skipped: map[string]int64{}}
	in.metrics = otlp.New(cfg, in.skip)
	return in
}

func (in *Ingest) skip(reason string, n int64) { in.skipped[reason] += n }

// Bind returns the handler for a format of the event, nil for any other. The error says which fields
// one has that is in neither layout.
func (in *Ingest) Bind(f *format.Format) (event.Handler, error) {
	if name, _, _ := strings.Cut(f.Name, "."); name != Name {
		return nil, nil
	}
	if len(f.Fields) == 0 {
		return &sized{in, f.Size}, nil
	}
	protocol, buffer := f.Fields.Lookup("protocol"), f.Fields.Lookup("buffer")
	if protocol == nil || protocol.Kind != format.Integer || buffer == nil || buffer.Location == format.Inline {
		return nil, fmt.Errorf("event %s has the fields %q: those of OTLP are %q, or none", f.Name, f.Fields, fields)
	}
	return &declared{in, protocol, buffer}, nil
}

// Collect hands over what came since the last Commit.
func (in *Ingest) Collect(sink emit.Sink) {
	in.metrics.Collect(sink)
	for reason, n := range in.skipped {
		in.tel.EventsSkipped(reason, n)
	}
	clear(in.skipped)
}

// Commit says that what the last Collect handed over was accepted downstream.
func (in *Ingest) Commit() { in.metrics.Commit() }
