package otlp

import (
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// Reasons that requests and points are counted under when they are left out.
const (
	// ReasonMalformed counts requests that are no protobuf, or not of OTLP's messages, or not UTF-8.
	ReasonMalformed = "otlp_malformed"
	// ReasonPendingLimit counts requests for which there was no room until the next delivery.
	ReasonPendingLimit = "otlp_pending_limit"
	// ReasonSeriesLimit counts delta points of streams for which there was no room.
	ReasonSeriesLimit = "otlp_series_limit"
	// ReasonOutOfOrder counts delta points that begin before what was handed over of their stream began.
	ReasonOutOfOrder = "otlp_out_of_order"
	// ReasonValue counts delta points that no running total can take: infinities, NaN, falling monotonic
	// sums, impossible buckets.
	ReasonValue = "otlp_value"
)

// Config says what an [Ingest] does, and how much it may hold.
type Config struct {
	// PendingBytes bounds what waits for its delivery, in bytes of about what it takes once it is decoded.
	PendingBytes int
	// Cumulative makes running totals of sums and histograms that come as deltas.
	Cumulative bool
	// MaxSeries bounds how many of those totals are kept, if each is small: one takes another place
	// for each full KiB of its attributes and buckets.
	MaxSeries int
	// Idle is how long a total is kept without change. One that comes back later starts from zero.
	Idle time.Duration
}

// foldSize is how many bytes of delta points are gathered before they are added to their totals: enough
// that what their metrics share is decoded once for many.
const foldSize = 1 << 20

// Ingest merges OTLP requests. It is for one goroutine at a time.
type Ingest struct {
	cfg     Config
	skipped func(reason string, n int64)
	checker checker
	table   table
	totals  *totals // nil without Config.Cumulative
}

// New returns an ingest without requests. It calls skipped with what it leaves out.
func New(cfg Config, skipped func(reason string, n int64)) *Ingest {
	in := &Ingest{cfg: cfg, skipped: skipped}
	if cfg.Cumulative {
		in.table.apart = true
		in.totals = newTotals(cfg.MaxSeries, cfg.Idle, skipped)
	}
	return in
}

// Add takes a serialised ExportMetricsServiceRequest, wholly or not at all. It keeps nothing of request.
func (in *Ingest) Add(request []byte) {
	if !in.checker.request(request) {
		in.skipped(ReasonMalformed, 1)
		return
	}
	if in.full() && in.table.deltas > 0 && in.totals != nil {
		in.fold()
		in.table.compact()
	}
	if in.full() {
		in.skipped(ReasonPendingLimit, 1)
		return
	}
	if err := in.table.add(request, in.checker.metrics); err != nil {
		in.skipped(ReasonMalformed, 1)
		return
	}
	if in.totals != nil && in.table.deltas >= foldSize {
		in.fold()
	}
}

func (in *Ingest) full() bool { return in.table.size+in.checker.size > in.cfg.PendingBytes }

// fold adds the delta points that are pending to their totals.
func (in *Ingest) fold() {
	if in.table.deltas == 0 {
		return
	}
	in.each(true, in.totals.add)
	for m := range in.table.metrics() {
		if m.delta {
			in.table.forget(m, len(m.points), m.pointsSize)
		}
	}
}

// each makes pdata of the delta points that are kept apart, or of all others, a resource at a time.
func (in *Ingest) each(delta bool, take func(pmetric.ResourceMetrics)) {
	var request []byte
	for _, r := range in.table.resources.list {
		request = r.appendRequest(slices.Grow(request[:0], r.len(delta)+16), delta)
		if len(request) == 0 {
			continue
		}
		rm, err := decode(request)
		if err != nil {
			// What was checked can be decoded. If not, then at least the other resources are unharmed.
			in.skipped(ReasonMalformed, 1)
			continue
		}
		take(rm)
	}
}

// Collect hands over all points since the last Commit, and the totals that changed.
func (in *Ingest) Collect(sink emit.Sink) {
	if in.totals != nil {
		in.fold()
	}
	in.each(false, sink.Metrics)
	if in.totals != nil {
		in.totals.collect(sink)
	}
	for m := range in.table.metrics() {
		m.handed, m.handedSize = len(m.points), m.pointsSize
	}
}

// Commit says that what the last Collect handed over was accepted.
func (in *Ingest) Commit() {
	for m := range in.table.metrics() {
		in.table.forget(m, m.handed, m.handedSize)
	}
	in.table.compact()
	if in.totals != nil {
		in.totals.commit()
	}
}
