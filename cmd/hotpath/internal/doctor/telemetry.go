package doctor

import (
	"fmt"
	"sync"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
)

// tally is the sink that waits for the count of doctor's own process.
type tally struct {
	emittest.Discard
	total uint64
}

func (t *tally) Counter(s *emit.Series, value uint64) {
	if s.Instrument.Name == counterName {
		t.total += value
	}
}

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
