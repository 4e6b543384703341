package state

import "github.com/hotpath-metrics/hotpath/internal/process"

// reason is why an event is not used.
type reason int

const (
	skipTruncated     reason = iota // the event is shorter than its fields
	skipBounds                      // a part lies outside of the event
	skipNumber                      // the update has number 0, or the series one that is too high
	skipStart                       // a start time that is no time
	skipBuckets                     // buckets that a histogram has not, or of a series that is none
	skipUnset                       // a gauge that was never set
	skipRecord                      // a series record that is malformed
	skipResource                    // a resource record that is malformed
	skipRecordChanged               // another record under a series' number
	skipForeign                     // another process's segment
	skipConflict                    // the name has another kind or unit already
	skipDuplicate                   // the segment has the series under another number
	skipLimit                       // beyond a limit on series
	skipSegmentLimit                // beyond a limit on segments
	skipProcessLimit                // beyond the limit on processes
	reasons
)

var reasonNames = [reasons]string{
	"truncated", "bounds", "number", "start", "buckets", "unset", "record", "resource", "record_changed", "foreign_process",
	"conflict", "duplicate", "limit", "segment_limit", process.LimitReason,
}

// report counts what was skipped since the last report.
func (in *Ingest) report() {
	for r, n := range in.skipped {
		if n > 0 {
			in.tel.EventsSkipped(reasonNames[r], n)
			in.skipped[r] = 0
		}
	}
}
