package segmentstest

import (
	"maps"
	"sync"
)

// Telemetry is a source's telemetry that remembers. Its fields may be read while the source is not busy.
type Telemetry struct {
	mu      sync.Mutex
	States  map[string]int64 // segments
	skipped map[string]int64
	Series  map[string]int64 // skipped, by reason
	Client  map[string]int64
	Bytes   int64
	// Measurements from rings: "read", "lost" and, of those that were skipped, the reason.
	Measurements map[string]int64
}

// NewTelemetry returns one that has heard of nothing.
func NewTelemetry() *Telemetry {
	return &Telemetry{States: map[string]int64{}, skipped: map[string]int64{}, Series: map[string]int64{}, Client: map[string]int64{}, Measurements: map[string]int64{}}
}

func (t *Telemetry) add(m map[string]int64, key string, n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m[key] += n
}

func (t *Telemetry) Segments(state string, n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.States[state] = n
}
func (t *Telemetry) SegmentSkipped(reason string)         { t.add(t.skipped, reason, 1) }
func (t *Telemetry) SeriesSkipped(reason string, n int64) { t.add(t.Series, reason, n) }
func (t *Telemetry) ClientRefused(n int64)                { t.add(t.Client, "refused", n) }
func (t *Telemetry) ClientFolded(n int64)                 { t.add(t.Client, "folded", n) }
func (t *Telemetry) ClientUnplaced(n int64)               { t.add(t.Client, "unplaced", n) }
func (t *Telemetry) ClientRejected(n int64)               { t.add(t.Client, "rejected", n) }
func (t *Telemetry) ClientUnrecorded(n int64)             { t.add(t.Client, "unrecorded", n) }
func (t *Telemetry) MeasurementsRead(n int64)             { t.add(t.Measurements, "read", n) }
func (t *Telemetry) MeasurementsLost(n int64)             { t.add(t.Measurements, "lost", n) }
func (t *Telemetry) MeasurementsSkipped(reason string, n int64) {
	t.add(t.Measurements, reason, n)
}

func (t *Telemetry) BytesRead(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.Bytes += n
}

// Skipped is how many segments were skipped, by reason. It may be called at any time.
func (t *Telemetry) Skipped() map[string]int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.skipped)
}

// Measured is one of Measurements. It may be called at any time.
func (t *Telemetry) Measured(which string) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.Measurements[which]
}
