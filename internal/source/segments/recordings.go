package segments

import (
	"math"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/segment"
)

// Why a measurement is not taken.
const (
	skipSeries     = iota // it is of no series of the segment
	skipAttributes        // they are malformed
	skipValue             // a histogram has no bucket for it
	skips
)

// What that is counted under, and rings whose words make no sense.
var skipNames = [skips]string{"series", "attributes", "value"}

const skipMalformed = "malformed"

// histogramCharge is what a histogram takes of a limit on series beside the one that it is: its buckets.
const histogramCharge = layout.HistogramBuckets * 8 / 1024

var overflowAttributes = []emit.Attribute{{Key: "otel.metric.overflow", Type: emit.AttributeBool, Bits: 1}}

// recordings are what was recorded into the rings of a segment.
type recordings struct {
	rings   []segment.Position // those in use
	drained int64              // when the last drain began, in UNIX nanoseconds
	expired bool               // some of its series were dropped

	forms map[string]*recorded // by slot, kind and attributes as they lie in a ring: many forms may be one series
	byID  map[string]*recorded
	fresh []*recorded // no part of the process yet

	sources     map[slot]*recordable
	indexed     int // how many of the catalogue's series are in sources
	instruments map[string]*recordedInstrument
	// reserved is what the overflow series would take of the instruments that have none yet.
	reserved int

	// For the journal, if there is one.
	keeping bool
	ids     uint64
	written []segment.Position // of rings
	moved   bool               // one of them, since then
	changed []*recorded
	ended   []uint64
	resumed int // how many of byID

	charged    int // against the limits on series
	lost       int64
	lossLogged int64 // by Set.clock
}

// slot is what tells the series of a segment apart in measurements.
type slot struct {
	at   uint32
	kind uint8
}

// recordable is a series of the catalogue, of which there are measurements.
type recordable struct {
	segment.Series
	in *recordedInstrument
}

// recordedInstrument is an instrument of which something was recorded.
type recordedInstrument struct {
	charge   int       // of each of its series
	overflow *recorded // nil if there is none
}

// take adds a measurement to its series.
func (d *drain) take(words []uint64) {
	d.read++
	m, ok := segment.ParseMeasurement(words)
	if !ok {
		d.skipped[skipSeries]++
		return
	}
	if m.Kind == layout.KindHistogram {
		if v := math.Float64frombits(m.Value); !(v >= 0 && v <= math.MaxFloat64) {
			d.skipped[skipValue]++
			return
		}
	}
	x := d.segment.recorded.forms[string(m.Key)]
	if x == nil || x.ended {
		if x = d.find(&m); x == nil {
			return
		}
	}
	d.touch(x)
	x.add(m.Value, m.Time, d.now)
}

// find finds or begins the series of a measurement whose form was not seen before, or had no room. It returns nil if there is
// something wrong with it.
func (d *drain) find(m *segment.Measurement) *recorded {
	r := &d.segment.recorded
	of := d.source(slot{m.Slot, m.Kind})
	if of == nil {
		d.skipped[skipSeries]++
		return nil
	}
	if of.Overflow {
		return d.overflow(of, of.Attributes)
	}
	charge := of.in.charge + (len(m.Key)+len(of.ID))/1024 // what is kept has the attributes of both
	d.known(of, m)
	if d.quota.Room(d.segment.UID, d.segment.charged()) < charge+r.reserved {
		return d.overflow(of, overflowAttributes)
	}
	attributes, ok := m.Attributes(of.Attributes)
	if !ok {
		d.skipped[skipAttributes]++
		return nil
	}
	x := d.begin(of, attributes)
	form := string(m.Key)
	x.forms = append(x.forms, form)
	if r.forms == nil {
		r.forms = map[string]*recorded{}
	}
	r.forms[form] = x
	d.charge(x, charge)
	return x
}

// source returns the series of the catalogue at a slot, or nil. It may have been added since the catalogue was read.
func (d *drain) source(at slot) *recordable {
	r := &d.segment.recorded
	r.index(d.segment.catalogue)
	of := r.sources[at]
	if of == nil && !d.again {
		d.again = true
		if d.err = d.extendCatalogue(d.segment); d.err != nil {
			return nil
		}
		r.index(d.segment.catalogue)
		of = r.sources[at]
	}
	if of != nil && of.in == nil {
		of.in = r.instrument(of.Instrument)
	}
	return of
}

func (r *recordings) index(c *segment.Catalogue) {
	if r.sources == nil {
		r.sources, r.instruments = map[slot]*recordable{}, map[string]*recordedInstrument{}
	}
	for ; r.indexed < len(c.Series); r.indexed++ {
		s := c.Series[r.indexed]
		r.sources[slot{uint32(s.Slot), uint8(s.Instrument.Kind)}] = &recordable{Series: s}
	}
}

func (r *recordings) instrument(of *emit.Instrument) *recordedInstrument {
	in := r.instruments[of.Name]
	if in == nil {
		in = &recordedInstrument{charge: 1}
		if of.Kind == emit.KindHistogram {
			in.charge += histogramCharge
		}
		r.instruments[of.Name] = in
		r.reserved += in.charge
	}
	return in
}

// overflow returns the instrument's series that measurements go to for which there is no room. There is always room for that one.
func (d *drain) overflow(of *recordable, attributes []emit.Attribute) *recorded {
	if x := of.in.overflow; x != nil && !x.ended {
		return x
	}
	if of.in.overflow == nil {
		d.segment.recorded.reserved -= of.in.charge
	}
	x := d.begin(of, attributes)
	of.in.overflow = x
	d.charge(x, of.in.charge)
	return x
}

// begin returns the series with these attributes.
func (d *drain) begin(of *recordable, attributes []emit.Attribute) *recorded {
	r, in := &d.segment.recorded, of.Instrument
	id := in.ID(attributes)
	x := r.byID[id]
	ended := x != nil && x.ended
	if x != nil && !ended {
		return x
	}
	r.ids++
	x = &recorded{series: emit.Series{Instrument: in, Attributes: attributes, ID: id}, id: r.ids, of: slot{uint32(of.Slot), uint8(in.Kind)}}
	if d.segment.Seen {
		x.series.Bases = []*emit.Base{} // nothing of it was delivered before
	}
	if d.segment.Seen || r.expired || ended {
		// The last time at which nothing of it was there for certain.
		x.series.Start = r.drained
	}
	if r.byID == nil {
		r.byID = map[string]*recorded{}
	}
	r.byID[id] = x
	r.fresh = append(r.fresh, x)
	return x
}

func (d *drain) charge(x *recorded, n int) {
	x.charged += n
	d.segment.recorded.charged += n
	d.quota.Charge(d.segment.UID, 0, n)
}

// drop forgets a series whose end was told, and returns what it took of a limit on series.
func (r *recordings) drop(x *recorded) (charged int) {
	for _, form := range x.forms {
		if r.forms[form] == x { // not begun again
			delete(r.forms, form)
		}
	}
	if r.byID[x.series.ID] == x {
		delete(r.byID, x.series.ID)
	}
	if x.resumed {
		r.resumed--
	}
	if x.kept {
		r.ended = append(r.ended, x.id)
	}
	r.expired = true
	r.charged -= x.charged
	return x.charged
}
