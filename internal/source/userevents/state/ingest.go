// Package state takes the state updates that hotpath's own clients write as the
// user_event hotpath_v1 (docs/wire-formats.md). Of each series it keeps the update with the
// highest number (handle.go, series.go), and merges the segments of a process (segment.go, resource.go).
package state

import (
	"fmt"

	"github.com/hotpath-metrics/hotpath/client/go/userevent"

	"github.com/hotpath-metrics/hotpath/internal/merge"
	"github.com/hotpath-metrics/hotpath/internal/process"
	"github.com/hotpath-metrics/hotpath/internal/quota"
	"github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/event"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/format"
)

// fieldsAt is where the event's own fields begin in a record, in bytes: the kernel's common ones come before them.
const fieldsAt = 8

// Ingest makes series of state updates. Calls come one at a time.
type Ingest struct {
	table   *process.Table
	tel     source.EventTelemetry
	started int64 // UNIX nanoseconds

	last     *segment
	segments map[uint64]*segment
	quota    *quota.Quota

	resources []*resource // in the order of appearance
	byKey     map[resourceKey]*resource

	asked   int            // since the last collection
	skipped [reasons]int64 // likewise
	scratch merge.Scratch
}

// New returns an ingest without series for a collector that started at a time in UNIX nanoseconds. Against the limits,
// a series counts as one more for each full KiB of its histogram's buckets, too.
func New(limits quota.Limits, table *process.Table, telemetry source.EventTelemetry, started int64) *Ingest {
	return &Ingest{
		table: table, tel: telemetry, started: started,
		segments: map[uint64]*segment{}, quota: quota.New(limits), byKey: map[resourceKey]*resource{},
	}
}

// Bind returns the handler of hotpath's own event, nil for any other. The error says which fields
// an event with its name has and which it should have.
func (in *Ingest) Bind(f *format.Format) (event.Handler, error) {
	if f.Name != userevent.Name {
		return nil, nil
	}
	_, want, err := format.ParseDeclaration(userevent.Declaration)
	if err != nil {
		return nil, err
	}
	right := f.Fields.Equal(want)
	for i := 0; right && i < len(want); i++ {
		right = f.Fields[i].Offset == want[i].Offset
	}
	if !right {
		return nil, fmt.Errorf("event %s has the fields %q and not %q: another program registered it before the Collector did",
			f.Name, f.Fields.String(), want.String())
	}
	return in, nil
}

// room is how much more a segment may be charged.
func (in *Ingest) room(s *segment) int { return in.quota.Room(s.process.UID, s.charged) }
