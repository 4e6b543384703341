package segment

import (
	"encoding/binary"
	"fmt"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// ParseSeries parses the record of one series that stands alone; its slot means nothing. Nothing that
// it returns refers to b. The error wraps ErrCatalogue or one of the reasons against a series.
func ParseSeries(b []byte) (*emit.Series, error) {
	r, err := alone(b)
	if err != nil {
		return nil, err
	}
	words := layout.Words(r.kind)
	if words == 0 {
		return nil, fmt.Errorf("%w: kind %d is no series", ErrCatalogue, r.kind)
	}
	r.slot = 0
	c := Catalogue{instruments: map[string]*emit.Instrument{}, ids: map[string]struct{}{}}
	fault, err := c.addRecord(&r, words, true)
	if err != nil {
		return nil, err
	}
	if fault.Reason != "" {
		return nil, fault.Reason
	}
	return c.Series[0].Series, nil
}

// Resource is what a resource record says.
type Resource struct {
	Attributes []emit.Attribute // sorted by key
	ID         string           // equal for equal resources
	Faults     int              // attributes that were left out
}

// ParseResource parses a resource record that stands alone. Nothing that it returns refers to b. The error wraps ErrCatalogue.
func ParseResource(b []byte) (Resource, error) {
	r, err := alone(b)
	if err != nil {
		return Resource{}, err
	}
	if r.kind != layout.KindResource {
		return Resource{}, fmt.Errorf("%w: kind %d is no resource", ErrCatalogue, r.kind)
	}
	var c Catalogue
	if _, err := c.addResource(&r); err != nil {
		return Resource{}, err
	}
	return Resource{c.Resource, c.ResourceID, c.ResourceFaults}, nil
}

// alone splits a record that is all of b.
func alone(b []byte) (record, error) {
	if len(b) < layout.RecordHeaderSize || len(b)%8 != 0 || int64(binary.NativeEndian.Uint32(b[layout.RecordSize:])) != int64(len(b)) {
		return record{}, fmt.Errorf("%w: record of %d bytes", ErrCatalogue, len(b))
	}
	return split(b, 0)
}
