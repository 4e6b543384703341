package hotpathreceiver

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/receiver/hotpathreceiver/internal/metadata"
)

// telemetry records what the receiver and its sources report about themselves.
type telemetry struct {
	*metadata.TelemetryBuilder
	receiver attribute.KeyValue // the Collector's other receivers report under the same names
}

// sourceTelemetry is what a source reports, under its name.
type sourceTelemetry struct {
	telemetry
	source attribute.KeyValue
}

var (
	_ source.Telemetry      = sourceTelemetry{}
	_ source.EventTelemetry = sourceTelemetry{}
)

func (t telemetry) of(name string) sourceTelemetry {
	return sourceTelemetry{t, attribute.String("source", name)}
}

func (t sourceTelemetry) Segments(state string, n int64) {
	t.ReceiverHotpathSegments.Record(context.Background(), n, t.with(t.source, attribute.String("state", state)))
}

func (t sourceTelemetry) SegmentSkipped(reason string) {
	t.ReceiverHotpathSegmentsSkipped.Add(context.Background(), 1, t.with(t.source, attribute.String("reason", reason)))
}

func (t sourceTelemetry) SeriesSkipped(reason string, n int64) {
	t.ReceiverHotpathSeriesSkipped.Add(context.Background(), n, t.with(t.source, attribute.String("reason", reason)))
}

func (t sourceTelemetry) BytesRead(n int64) {
	t.ReceiverHotpathBytesRead.Add(context.Background(), n, t.with(t.source))
}

func (t sourceTelemetry) ClientRefused(n int64) {
	t.ReceiverHotpathClientMeasurementsRefused.Add(context.Background(), n, t.with(t.source))
}

func (t sourceTelemetry) ClientFolded(n int64) {
	t.ReceiverHotpathClientSeriesFolded.Add(context.Background(), n, t.with(t.source))
}

func (t sourceTelemetry) ClientUnplaced(n int64) {
	t.ReceiverHotpathClientSeriesUnplaced.Add(context.Background(), n, t.with(t.source))
}

func (t sourceTelemetry) ClientRejected(n int64) {
	t.ReceiverHotpathClientSeriesRejected.Add(context.Background(), n, t.with(t.source))
}

func (t sourceTelemetry) ClientUnrecorded(n int64) {
	t.ReceiverHotpathClientMeasurementsUnrecorded.Add(context.Background(), n, t.with(t.source))
}

func (t sourceTelemetry) MeasurementsRead(n int64) {
	t.ReceiverHotpathMeasurementsRead.Add(context.Background(), n, t.with(t.source))
}

func (t sourceTelemetry) MeasurementsLost(n int64) {
	t.ReceiverHotpathMeasurementsLost.Add(context.Background(), n, t.with(t.source))
}

func (t sourceTelemetry) MeasurementsSkipped(reason string, n int64) {
	t.ReceiverHotpathMeasurementsSkipped.Add(context.Background(), n, t.with(t.source, attribute.String("reason", reason)))
}

func (t sourceTelemetry) EventsRead(n int64) {
	t.ReceiverHotpathEventsRead.Add(context.Background(), n, t.with(t.source))
}

func (t sourceTelemetry) EventsDropped(cpu int, n int64) {
	t.ReceiverHotpathEventsDropped.Add(context.Background(), n, t.with(t.source, attribute.Int("cpu", cpu)))
}

func (t sourceTelemetry) EventsSkipped(reason string, n int64) {
	t.ReceiverHotpathEventsSkipped.Add(context.Background(), n, t.with(t.source, attribute.String("reason", reason)))
}

func (t sourceTelemetry) EventsNearLimit(n int64) {
	t.ReceiverHotpathEventsNearLimit.Add(context.Background(), n, t.with(t.source))
}

func (t telemetry) pointsDropped(n int) {
	t.ReceiverHotpathPointsDropped.Add(context.Background(), int64(n), t.with())
}

func (t telemetry) collected(d time.Duration) {
	t.ReceiverHotpathCollectionDuration.Record(context.Background(), d.Seconds(), t.with())
}

func (t telemetry) with(more ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(append(more, t.receiver)...))
}
