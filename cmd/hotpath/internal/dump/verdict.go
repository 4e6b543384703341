package dump

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/reading"
	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/internal/source/bpf/procfile"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
	"github.com/hotpath-metrics/hotpath/internal/source/shm"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"
)

// Reasons against a memfd. The first is what the source bpf counts it under.
const (
	errSeals     segment.Reason = "seals"
	errMemfdName segment.Reason = "memfd_name"
)

// Verdict is what the Collector would do with the file, were it in its directory or a process's memfd.
type Verdict struct {
	Reads  bool   `json:"reads"`
	Reason string `json:"reason,omitempty"` // why not
	Series int    `json:"series"`           // that it would deliver
	Does   string `json:"does"`
}

// ask has the receiver's own code read the file. What that finds wrong and the decoder did not becomes a fault.
func (d *Dump) ask() Verdict {
	live := d.Writer != nil && d.Writer.Live
	unfit := d.unfit()
	t, cause := trial{}, unfit
	if cause == nil {
		cause = t.read(d.file)
	}
	if cause == nil {
		return Verdict{Reads: true, Series: t.series, Does: delivers(t.series, live, d.file.memo != "")}
	}
	reason := segment.ReasonOf(cause, segments.ErrUnreadable)
	if len(d.Faults) == 0 {
		d.Faults = append(d.Faults, Fault{Reason: string(reason), Field: "file", Read: cause.Error(), Want: "a segment that can be read"})
	}
	removes := unfit == nil && d.file.memo == "" && segment.HasMagic(d.Head) && shm.Litter(reason)
	return Verdict{Reason: string(reason), Does: refuses(reason, live, removes)}
}

// unfit is the reason against the kind of file that it is.
func (d *Dump) unfit() error {
	if d.file.memo == "" {
		if reason := shm.Unfit(&d.file.stat); reason != "" {
			return fmt.Errorf("%w: %d links", reason, d.file.stat.Nlink)
		}
		if d.file.stat.Size < int64(len(layout.Magic)) {
			return fmt.Errorf("%w: %d bytes", segment.ErrTruncated, d.file.stat.Size)
		}
		return nil
	}
	missing, err := d.file.seals()
	if err == nil && missing != 0 {
		err = fmt.Errorf("%w: %#x are missing", errSeals, missing)
	}
	if d.file.memo != layout.MemfdName {
		err = fmt.Errorf("%w: %q, not %q", errMemfdName, d.file.memo, layout.MemfdName)
	}
	return err
}

func delivers(series int, live, memfd bool) string {
	switch {
	case series == 0 && !live:
		return "deliver nothing, since it has no series, and remove the file"
	case live:
		return fmt.Sprintf("deliver %d series at each collection", series)
	case memfd:
		return fmt.Sprintf("deliver %d series once more: nobody holds the lock, so the process has ended", series)
	}
	return fmt.Sprintf("deliver %d series once more, and remove the file: nobody holds the lock, so the process has ended", series)
}

func refuses(reason segment.Reason, live, removes bool) string {
	if reason == errMemfdName {
		return "not find it: a client's memfd is known by its name"
	}
	text := fmt.Sprintf("skip it, count it under the reason %q, and log it once", string(reason))
	switch {
	case !removes:
		return text
	case live:
		return text + "; remove it when its process has ended"
	}
	return text + "; remove it, since nobody holds the lock"
}

// trial is one collection from one segment. It is the segment's origin and the sink.
type trial struct {
	series int
	cause  error
}

// read returns why the receiver does not read a file.
func (t *trial) read(f *file) error {
	fd, err := procfile.Reopen(int(f.Fd()))
	if err != nil {
		return fmt.Errorf("%w: %w", segments.ErrUnreadable, err)
	}
	set := segments.New(reading.Limits(), zap.NewNop(), source.Ignored{})
	defer set.Close()
	if _, err := set.Admit(fd, &f.stat, f.stat.Uid, t); err != nil {
		unix.Close(fd)
		return err
	}
	set.Refresh()
	if t.cause == nil {
		if err := set.Deliver(context.Background(), t, time.Now()); err != nil {
			return err
		}
	}
	return t.cause
}

// Name implements [segments.Origin].
func (t *trial) Name() string { return "file" }

// Refused implements [segments.Origin].
func (t *trial) Refused(_ *segments.Segment, _ segment.Reason, cause error) { t.cause = cause }

// Delivered implements [segments.Origin].
func (t *trial) Delivered(*segments.Segment) {}

// Closed implements [segments.Origin].
func (t *trial) Closed() {}

// Process implements [emit.Sink].
func (t *trial) Process(*emit.Process) {}

// Counter implements [emit.Sink].
func (t *trial) Counter(*emit.Series, uint64) { t.series++ }

// UpDownCounter implements [emit.Sink].
func (t *trial) UpDownCounter(*emit.Series, int64) { t.series++ }

// Sum implements [emit.Sink].
func (t *trial) Sum(*emit.Series, float64) { t.series++ }

// Gauge implements [emit.Sink].
func (t *trial) Gauge(*emit.Series, float64) { t.series++ }

// Histogram implements [emit.Sink].
func (t *trial) Histogram(*emit.Series, *emit.HistogramValue) { t.series++ }

// Metrics implements [emit.Sink].
func (t *trial) Metrics(pmetric.ResourceMetrics) {}
