package doctor

import (
	"fmt"
	"sync"

	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// deaf is the telemetry of a source that is only tried.
type deaf struct{}

func (deaf) Segments(string, int64)      {}
func (deaf) SegmentSkipped(string)       {}
func (deaf) SeriesSkipped(string, int64) {}
func (deaf) BytesRead(int64)             {}
func (deaf) ClientRefused(int64)         {}
func (deaf) ClientFolded(int64)          {}
func (deaf) ClientUnplaced(int64)        {}
func (deaf) ClientRejected(int64)        {}
func (deaf) EventsRead(int64)            {}
func (deaf) EventsDropped(int, int64)    {}
func (deaf) EventsSkipped(string, int64) {}
func (deaf) EventsNearLimit(int64)       {}

// tally is the sink that waits for the count of doctor's own process.
type tally struct{ total uint64 }

func (t *tally) Counter(s *emit.Series, value uint64) {
	if s.Instrument.Name == counterName {
		t.total += value
	}
}

func (*tally) Process(*emit.Process)                        {}
func (*tally) UpDownCounter(*emit.Series, int64)            {}
func (*tally) Sum(*emit.Series, float64)                    {}
func (*tally) Gauge(*emit.Series, float64)                  {}
func (*tally) Histogram(*emit.Series, *emit.HistogramValue) {}
func (*tally) Metrics(pmetric.ResourceMetrics)              {}

// complaints are what a source logs of trouble.
type complaints struct {
	zapcore.LevelEnabler
	mu   *sync.Mutex
	said *[]string
}

// newComplaints returns a logger, and where its warnings and errors end.
func newComplaints() (*zap.Logger, complaints) {
	c := complaints{zap.WarnLevel, new(sync.Mutex), new([]string)}
	return zap.New(c), c
}

// take returns the complaints since it was last called, with their causes after a colon.
func (c complaints) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	said := *c.said
	*c.said = nil
	return said
}

func (c complaints) With([]zapcore.Field) zapcore.Core { return c }

func (c complaints) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

func (c complaints) Write(e zapcore.Entry, fields []zapcore.Field) error {
	text := e.Message
	for _, f := range fields {
		if err, ok := f.Interface.(error); ok {
			text = fmt.Sprintf("%s: %v", text, err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	*c.said = append(*c.said, text)
	return nil
}

func (complaints) Sync() error { return nil }
