//go:build linux && (amd64 || arm64)

package hotpath

import (
	"strings"
	"unsafe"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

// teller tells Collectors of what is counted in private memory: by user_events, or by io_uring.
type teller interface {
	// begin prepares for the series of a client that has none yet.
	begin(*client) error
	// add is told of a series whose record is the next to be appended, and may take the record's description.
	add(r *segment.Record, made cell, series int)
	// noted is told when the catalogue or the header's counters have changed.
	noted()

	// total, gauge and histogram are told of an update, which was made by an atomic operation, while the client's
	// sign bit is set. They are given the series' first word in the stripe of P 0, or the gauge's word, and
	// histogram the word that was counted in: a bucket's, or segment.HistogramZero.
	total(word unsafe.Pointer)
	gauge(word unsafe.Pointer)
	histogram(word unsafe.Pointer, counted int)

	// flush returns once everything is told that there is, or it can't be within a moment.
	flush()
	// status says who hears of the series. The caller holds the client's lock.
	status(*strings.Builder)
}
