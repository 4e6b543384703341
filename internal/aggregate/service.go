package aggregate

import (
	"encoding/binary"
	"strings"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// ownerKey is OpenTelemetry's attribute for the user id of a process.
const ownerKey = "process.user.id"

// service is what the processes of one owner with the same resource have in common.
type service struct {
	key       string
	process   emit.Process // what the next sink gets to see
	ended     emit.Process // the same, for series that end while others go on
	members   int
	delivered bool // its start is known downstream

	totals   map[string]*total // by the series' ID
	families []*family
	byName   map[instrument]*family
}

// instrument is what tells instruments apart.
type instrument struct {
	name, unit string
	kind       emit.Kind
	double     bool
}

// family is the series of one instrument.
type family struct {
	key    instrument
	index  int // in service.families
	totals []*total
}

// total is a series of a service.
type total struct {
	service *service
	family  *family
	index   int // in family.totals
	series  emit.Series
	parts   []*part // of the members that still add to it
	value   uint64  // of a counter
	sum     float64 // of a counter with fractions
	hist    histogram

	over         uint64 // the batch in which it has to go, the limit being exceeded
	older, newer *total // while retired
}

// service returns the service that the process belongs to.
func (f *Fold) service(p *emit.Process) *service {
	resource := make([]emit.Attribute, 0, len(p.Resource)+1)
	for _, a := range p.Resource {
		if a.Key != "service.instance.id" && !strings.HasPrefix(a.Key, "process.") {
			resource = append(resource, a)
		}
	}
	resource = append(resource, emit.Attribute{Key: ownerKey, Type: emit.AttributeInt, Bits: uint64(p.Owner)})
	key := identity(resource)
	s := f.services[key]
	if s == nil {
		s = &service{
			key:     key,
			process: emit.Process{Resource: resource, Owner: p.Owner},
			ended:   emit.Process{Resource: resource, Owner: p.Owner, State: emit.Gone},
			totals:  make(map[string]*total),
			byName:  make(map[instrument]*family),
		}
		f.services[key] = s
		f.order = append(f.order, s)
	}
	return s
}

// identity encodes attributes so that only equal ones give equal strings.
func identity(attributes []emit.Attribute) string {
	var b []byte
	for _, a := range attributes {
		b = binary.AppendUvarint(b, uint64(len(a.Key)))
		b = append(b, a.Key...)
		b = append(b, byte(a.Type))
		b = binary.NativeEndian.AppendUint64(b, a.Bits)
		b = binary.AppendUvarint(b, uint64(len(a.Str)))
		b = append(b, a.Str...)
	}
	return string(b)
}

// total returns the service's series that is equal to the given one. Where the service's
// start stays though something ended since, a new series starts at that end.
func (s *service) total(of *emit.Series, ended int64) *total {
	t := s.totals[of.ID]
	if t != nil {
		return t
	}
	key := instrument{of.Instrument.Name, of.Instrument.Unit, of.Instrument.Kind, of.Instrument.Double}
	fam := s.byName[key]
	if fam == nil {
		fam = &family{key: key, index: len(s.families)}
		s.families = append(s.families, fam)
		s.byName[key] = fam
	}
	t = &total{service: s, family: fam, index: len(fam.totals), series: *of}
	t.series.Start, t.series.Bases = 0, nil // a process's own say nothing about the service
	if s.delivered && ended > s.process.Start {
		t.series.Start = ended
	}
	fam.totals = append(fam.totals, t)
	s.totals[of.ID] = t
	return t
}

// drop forgets a series.
func (s *service) drop(t *total) {
	delete(s.totals, t.series.ID)
	fam := t.family
	last := len(fam.totals) - 1
	fam.totals[t.index] = fam.totals[last]
	fam.totals[t.index].index = t.index
	fam.totals[last] = nil
	fam.totals = fam.totals[:last]
	if last > 0 {
		return
	}
	delete(s.byName, fam.key)
	last = len(s.families) - 1
	s.families[fam.index] = s.families[last]
	s.families[fam.index].index = fam.index
	s.families[last] = nil
	s.families = s.families[:last]
}

// detach takes away what a member added.
func (t *total) detach(p *part) {
	last := len(t.parts) - 1
	t.parts[p.index] = t.parts[last]
	t.parts[p.index].index = p.index
	t.parts[last] = nil
	t.parts = t.parts[:last]
}
