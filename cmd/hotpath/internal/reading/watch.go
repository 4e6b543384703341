package reading

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/internal/source/bpf"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
	"github.com/hotpath-metrics/hotpath/internal/source/shm"
	"github.com/hotpath-metrics/hotpath/receiver/hotpathreceiver"
)

// Watch is the sources, running. It makes one reading at a time.
type Watch struct {
	choice Choice
	shm    shm.Observer
	bpf    source.Source // nil where it does not work
	notes  notes
	before *Reading
}

// maxSegments is more than a Collector reads by default: whoever looks is the one who can do something about it.
const maxSegments = 1 << 16

// Start begins to watch the segments in a directory and, where that is possible, in the memory of processes. What is not possible is told by each
// reading's notes.
func Start(ctx context.Context, directory string, choice Choice) (*Watch, error) {
	limits, logger := Limits(), zap.NewNop()
	limits.Segments, limits.SegmentsPerUID = maxSegments, maxSegments
	w := &Watch{choice: choice, shm: shm.NewObserver(directory, limits, logger, source.Ignored{})}
	if err := w.shm.Start(ctx, nil); err != nil {
		return nil, err
	}
	b := bpf.New(bpf.DefaultConfig(), limits, logger, source.Ignored{})
	if w.notes.bpf = b.Start(ctx, nil); w.notes.bpf == nil {
		w.bpf = b
	} else {
		_ = b.Shutdown(ctx)
	}
	return w, nil
}

// Limits are what the receiver has by default.
func Limits() segments.Limits {
	configured := hotpathreceiver.NewFactory().CreateDefaultConfig().(*hotpathreceiver.Config).Limits
	return segments.Limits{Limits: configured.Limits, SegmentSize: int64(configured.SegmentSize)}
}

// Read makes a reading.
func (w *Watch) Read(ctx context.Context) (*Reading, error) {
	s := newSink(w.choice, w.before)
	s.reading.Time = time.Now()
	if w.before != nil {
		s.reading.Interval = s.reading.Time.Sub(w.before.Time)
	}
	w.notes.shm = w.shm.Collect(ctx, s)
	var failed error
	if w.bpf != nil {
		failed = w.bpf.Collect(ctx, s)
		w.bpf.Commit() // of what has ended nothing is kept
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.reading.Notes = w.notes.lines(w.shm.Skipped(), failed)
	w.before = s.reading
	return w.before, nil
}

// Close lets go of everything.
func (w *Watch) Close(ctx context.Context) error {
	err := w.shm.Shutdown(ctx)
	if w.bpf != nil {
		err = errors.Join(err, w.bpf.Shutdown(ctx))
	}
	return err
}
