package reading

// Ignored is what sources report about themselves. It implements their telemetry.
type Ignored struct{}

// Segments implements the telemetry of sources.
func (Ignored) Segments(string, int64) {}

// SegmentSkipped implements the telemetry of sources.
func (Ignored) SegmentSkipped(string) {}

// SeriesSkipped implements the telemetry of sources.
func (Ignored) SeriesSkipped(string, int64) {}

// BytesRead implements the telemetry of sources.
func (Ignored) BytesRead(int64) {}

// ClientRefused implements the telemetry of sources.
func (Ignored) ClientRefused(int64) {}

// ClientFolded implements the telemetry of sources.
func (Ignored) ClientFolded(int64) {}

// ClientUnplaced implements the telemetry of sources.
func (Ignored) ClientUnplaced(int64) {}

// ClientRejected implements the telemetry of sources.
func (Ignored) ClientRejected(int64) {}

// EventsRead implements the telemetry of sources.
func (Ignored) EventsRead(int64) {}

// EventsDropped implements the telemetry of sources.
func (Ignored) EventsDropped(int, int64) {}

// EventsSkipped implements the telemetry of sources.
func (Ignored) EventsSkipped(string, int64) {}

// EventsNearLimit implements the telemetry of sources.
func (Ignored) EventsNearLimit(int64) {}
