package source

// Ignored is telemetry that nobody heeds. It implements all that sources ask for.
type Ignored struct{}

var _ SegmentEventTelemetry = Ignored{}

func (Ignored) Segments(string, int64)            {}
func (Ignored) SegmentSkipped(string)             {}
func (Ignored) SeriesSkipped(string, int64)       {}
func (Ignored) BytesRead(int64)                   {}
func (Ignored) ClientRefused(int64)               {}
func (Ignored) ClientFolded(int64)                {}
func (Ignored) ClientUnplaced(int64)              {}
func (Ignored) ClientRejected(int64)              {}
func (Ignored) ClientUnrecorded(int64)            {}
func (Ignored) MeasurementsRead(int64)            {}
func (Ignored) MeasurementsLost(int64)            {}
func (Ignored) MeasurementsSkipped(string, int64) {}
func (Ignored) EventsRead(int64)                  {}
func (Ignored) EventsDropped(int, int64)          {}
func (Ignored) EventsSkipped(string, int64)       {}
func (Ignored) EventsNearLimit(int64)             {}
