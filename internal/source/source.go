// Package source defines what the receiver asks of an ingestion path. A new
// one is a folder beside this file, a block in the receiver's config and a line in its factory.
package source

import (
	"context"

	"go.opentelemetry.io/collector/component"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// Source is one ingestion path. The receiver calls Collect and Commit from one
// goroutine, after Start and before Shutdown.
type Source interface {
	// Start makes the source ready, quickly. An error says in one sentence what is
	// missing and how to get it. Of a source that is optional, the first Collect says so,
	// and each tries again.
	Start(context.Context, component.Host) error
	// Collect hands what there is now to the sink. An error is about the source as a
	// whole; what could be read was handed over all the same.
	Collect(context.Context, emit.Sink) error
	// Commit says that everything the last Collect handed over was accepted downstream.
	// Without it, the next Collect hands over the same again, or its later state.
	Commit()
	// Shutdown releases everything. It is safe without Start, and twice.
	Shutdown(context.Context) error
}

// Telemetry is what a source reports about itself. The receiver implements it.
type Telemetry interface {
	// Segments sets how many segments are in a state: "live", "dead" or "skipped".
	Segments(state string, n int64)
	// SegmentSkipped counts a segment that is not read, once, by reason.
	SegmentSkipped(reason string)
	// SeriesSkipped counts series of an otherwise good segment that are not delivered, once each, by reason.
	SeriesSkipped(reason string, n int64)
	// BytesRead counts bytes copied from clients.
	BytesRead(n int64)
	// ClientRefused counts measurements that clients refused to record.
	ClientRefused(n int64)
	// ClientFolded counts series that clients folded into an overflow series.
	ClientFolded(n int64)
	// ClientUnplaced counts series that clients count but could not publish.
	ClientUnplaced(n int64)
	// ClientRejected counts series that clients refused to make.
	ClientRejected(n int64)
	// ClientUnrecorded counts measurements for which clients had no ring.
	ClientUnrecorded(n int64)
	// MeasurementsRead counts measurements taken from rings.
	MeasurementsRead(n int64)
	// MeasurementsLost counts measurements that rings overwrote before they were read.
	MeasurementsLost(n int64)
	// MeasurementsSkipped counts measurements that were read and not used, by reason.
	MeasurementsSkipped(reason string, n int64)
}

// EventTelemetry is what a source of events reports about itself. The receiver implements it.
type EventTelemetry interface {
	// EventsRead counts events taken from the kernel.
	EventsRead(n int64)
	// EventsDropped counts events of a CPU that the kernel had no room for, by its own count.
	EventsDropped(cpu int, n int64)
	// EventsSkipped counts events that were read and not used, by reason.
	EventsSkipped(reason string, n int64)
	// EventsNearLimit counts events that came near the size beyond which the kernel drops them without a word.
	EventsNearLimit(n int64)
}

// SegmentEventTelemetry is what a source reports that has segments and is told of them by events.
type SegmentEventTelemetry interface {
	Telemetry
	EventTelemetry
}
