package hotpathreceiver

import (
	"fmt"
	"time"

	"github.com/hotpath-metrics/hotpath/internal/bytesize"
	"github.com/hotpath-metrics/hotpath/internal/quota"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents"
)

// Limits on what clients can make the receiver hold. What exceeds them is skipped and counted.
type Limits struct {
	// Per service, its series are also those of the dead that are kept.
	quota.Limits `mapstructure:",squash"`
	// SegmentSize is the size of the largest segment that is read.
	SegmentSize Size `mapstructure:"segment_size"`
	// PendingSize is how much OTLP that came as events may wait for its delivery.
	PendingSize Size `mapstructure:"pending_size"`
	// SeriesIdleTime is how long a series to which calls give the attributes goes on without one. Zero is forever.
	SeriesIdleTime time.Duration `mapstructure:"series_idle_time"`

	// prevent unkeyed literal initialization
	_ struct{}
}

var defaultLimits = Limits{
	Limits: quota.Limits{
		Segments:         16384,
		SegmentsPerUID:   8192,
		Series:           1_000_000,
		SeriesPerUID:     500_000,
		SeriesPerSegment: 20_000,
	},
	SegmentSize:    64 << 20,
	PendingSize:    64 << 20,
	SeriesIdleTime: time.Hour,
}

func (l *Limits) check() []error {
	var errs []error
	for _, limit := range []struct {
		key   string
		value int64
	}{
		{"segments", int64(l.Segments)},
		{"segments_per_uid", int64(l.SegmentsPerUID)},
		{"series", int64(l.Series)},
		{"series_per_uid", int64(l.SeriesPerUID)},
		{"series_per_segment", int64(l.SeriesPerSegment)},
		{"segment_size", int64(l.SegmentSize)},
		{"pending_size", int64(l.PendingSize)},
	} {
		if limit.value <= 0 {
			errs = append(errs, fmt.Errorf("limits::%s: must be positive, is %d", limit.key, limit.value))
		}
	}
	if l.SeriesIdleTime < 0 {
		errs = append(errs, fmt.Errorf("limits::series_idle_time: must be 0s, for never, or more, is %v", l.SeriesIdleTime))
	}
	return errs
}

func (l *Limits) segments() segments.Limits {
	return segments.Limits{Limits: l.Limits, SegmentSize: int64(l.SegmentSize), UnboundExpiry: l.SeriesIdleTime}
}

func (l *Limits) userEvents() userevents.Limits {
	return userevents.Limits{Limits: l.Limits, Processes: l.Segments, PendingBytes: int(l.PendingSize)}
}

// Size is a number of bytes: a bare number, or one with B, KiB, MiB or GiB.
type Size = bytesize.Size
