package segments

import (
	"encoding/binary"
	"iter"
	"maps"
	"math"
	"slices"

	"go.uber.org/zap"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/journal"
	"github.com/hotpath-metrics/hotpath/internal/segment"
)

// Words of a gauge in the journal. Those of other kinds are as in a segment.
const (
	journalGauge = iota
	journalGaugeTime
)

// keeper writes what is read out of rings to a journal.
type keeper struct {
	*journal.Journal
	known journal.State // by an earlier run, of segments that were not drained yet
	frame journal.Frame
	// begin says that a journal which was lost is to be begun again.
	begin  bool
	logged bool
}

// Keep makes the set write what it reads out of rings to a journal, and go on from what an earlier run has read. The set closes it.
func (s *Set) Keep(j *journal.Journal, known journal.State) {
	if s.keeper != nil {
		s.keeper.Close()
	}
	s.keeper = &keeper{Journal: j, known: known, begin: true}
	if len(s.ringed) > 0 {
		_ = s.compact()
	}
}

// keep appends what was read since the last time.
func (s *Set) keep() {
	k := s.keeper
	if k == nil {
		return
	}
	for _, seg := range s.ringed {
		seg.recorded.changes(keyOf(seg), &k.frame)
	}
	if k.frame.Empty() {
		return
	}
	if (!k.begin || !k.Lost()) && !k.Full() || s.compact() != nil {
		s.reportKept(k.Append(&k.frame)) // to what there is, if there is one
	}
	k.frame.Reset()
}

// compact writes the journal anew.
func (s *Set) compact() error {
	s.keeper.begin = false
	err := s.keeper.Compact(s.frames())
	s.reportKept(err)
	return err
}

func (s *Set) reportKept(err error) {
	if err != nil && !s.keeper.logged {
		s.keeper.logged = true
		s.logger.Warn("Cannot keep what was read out of measurement rings where the Collector's death does not reach: those series would begin anew", zap.Error(err))
	}
}

// frames are all that there is to be kept.
func (s *Set) frames() iter.Seq[*journal.Frame] {
	return func(yield func(*journal.Frame) bool) {
		for f := range s.keeper.known.Frames() {
			if !yield(f) {
				return
			}
		}
		var f journal.Frame
		for _, seg := range s.ringed {
			if seg.recorded.drained == 0 {
				continue
			}
			f.Reset()
			seg.recorded.all(keyOf(seg), &f)
			if !yield(&f) {
				return
			}
		}
	}
}

// unkeep forgets a segment.
func (s *Set) unkeep(seg *Segment) {
	if s.keeper != nil && seg.recorded.drained != 0 { // before, it may be a copy of one that is known
		delete(s.keeper.known, keyOf(seg))
		s.keeper.frame.SegmentGone(keyOf(seg))
	}
}

// FoundAll says whether all segments that there are were admitted, or refused for good. Until then what the journal knows of others is kept.
func (s *Set) FoundAll(all bool) { s.foundAll = all }

// keptDelivery is about a delivery that was accepted.
func (s *Set) keptDelivery() {
	if k := s.keeper; k != nil {
		k.begin = true
		if len(s.fresh) == 0 && s.foundAll {
			for key := range k.known {
				k.frame.SegmentGone(key)
			}
			clear(k.known)
		}
	}
}

func keyOf(seg *Segment) journal.Key { return journal.Key{UID: seg.UID, ID: seg.header.ID} }

// touch notes that a series is going to change.
func (d *drain) touch(x *recorded) {
	if !d.segment.recorded.keeping {
		return
	}
	if x.marks == nil && x.series.Instrument.Kind == emit.KindHistogram {
		x.marks = new(marks)
	}
	d.segment.recorded.change(x)
}

func (r *recordings) change(x *recorded) {
	if r.keeping && !x.changed {
		x.changed = true
		r.changed = append(r.changed, x)
	}
}

// changes writes what changed since the last time.
func (r *recordings) changes(key journal.Key, f *journal.Frame) {
	if !r.moved && len(r.changed) == 0 && len(r.ended) == 0 {
		return
	}
	r.moved = false
	f.Segment(key)
	f.Drained(r.drained)
	for i, at := range r.rings {
		if i >= len(r.written) || at != r.written[i] {
			keepRing(i, at, f)
		}
	}
	r.written = append(r.written[:0], r.rings...)
	for _, x := range r.changed {
		x.keep(f, !x.kept)
	}
	clear(r.changed)
	r.changed = r.changed[:0]
	for _, id := range r.ended {
		f.SeriesGone(id)
	}
	r.ended = r.ended[:0]
}

// all writes everything.
func (r *recordings) all(key journal.Key, f *journal.Frame) {
	f.Segment(key)
	f.Drained(r.drained)
	for i, at := range r.rings {
		keepRing(i, at, f)
	}
	r.written = append(r.written[:0], r.rings...)
	for _, x := range r.byID {
		x.keep(f, true)
	}
	clear(r.changed)
	r.changed, r.ended, r.moved = r.changed[:0], r.ended[:0], false
}

func keepRing(number int, at segment.Position, f *journal.Frame) {
	f.Ring(number, journal.Ring{Words: at.Words, End: at.End, Sequence: at.Sequence, Unnumbered: at.Unnumbered})
}

// keep writes a series, or only those of its values that changed.
func (x *recorded) keep(f *journal.Frame, whole bool) {
	x.kept, x.changed = true, false
	if whole {
		f.Series(x.id, &journal.Series{Slot: x.of.at, Kind: x.of.kind, Start: x.series.Start, Attributes: form(x.series.Attributes)})
	}
	switch x.series.Instrument.Kind {
	case emit.KindGauge:
		f.Value(x.id, journal.Word{Index: journalGauge, Value: x.value})
		f.Value(x.id, journal.Word{Index: journalGaugeTime, Value: x.time})
	case emit.KindHistogram:
		f.Value(x.id, journal.Word{Index: layout.HistogramSum, Value: math.Float64bits(x.sum)})
		f.Value(x.id, journal.Word{Index: layout.HistogramZero, Value: x.zero})
		for i, n := range x.buckets {
			if whole && n > 0 || !whole && x.marks.has(x.low+i) {
				f.Value(x.id, journal.Word{Index: uint16(layout.HistogramFirstBucket + x.low + i), Value: n})
			}
		}
		if x.marks != nil {
			*x.marks = marks{}
		}
	default:
		f.Value(x.id, journal.Word{Value: x.value})
	}
}

// restore takes what the journal says of a word.
func (x *recorded) restore(w journal.Word) {
	switch kind := x.series.Instrument.Kind; {
	case kind == emit.KindGauge && w.Index == journalGauge:
		x.value = w.Value
	case kind == emit.KindGauge && w.Index == journalGaugeTime:
		x.time = w.Value
	case kind == emit.KindHistogram && w.Index == layout.HistogramSum:
		x.sum = math.Float64frombits(w.Value)
	case kind == emit.KindHistogram && w.Index == layout.HistogramZero:
		x.zero = w.Value
	case kind == emit.KindHistogram && w.Index >= layout.HistogramFirstBucket && w.Index < layout.HistogramWords:
		bucket := int(w.Index) - layout.HistogramFirstBucket
		x.cover(bucket)
		x.buckets[bucket-x.low] = w.Value
	case kind != emit.KindGauge && kind != emit.KindHistogram && w.Index == 0:
		x.value = w.Value
	}
}

// marks are the buckets of a histogram that changed.
type marks [layout.HistogramBuckets / 64]uint64

func (m *marks) mark(bucket int)     { m[bucket/64] |= 1 << (bucket % 64) }
func (m *marks) has(bucket int) bool { return m[bucket/64]&(1<<(bucket%64)) != 0 }

// form is attributes as they lie in a ring, behind the first word of a measurement.
func form(attributes []emit.Attribute) []byte {
	b := make([]byte, 8)
	binary.NativeEndian.PutUint16(b[layout.MeasurementAttributes:], uint16(len(attributes)))
	for _, a := range attributes {
		value := []byte(a.Str)
		if a.Type != emit.AttributeString {
			value = binary.NativeEndian.AppendUint64(nil, a.Bits)
		}
		b = binary.NativeEndian.AppendUint16(b, uint16(len(a.Key)))
		b = append(b, byte(a.Type), 0)
		b = binary.NativeEndian.AppendUint32(b, uint32(len(value)))
		b = append(append(b, a.Key...), value...)
		b = append(b, make([]byte, -len(b)&7)...)
	}
	return b
}

// resume goes on from where an earlier run was, if it is known. It returns whether it is.
func (d *drain) resume() bool {
	if d.keeper == nil {
		return false
	}
	known := d.keeper.known[keyOf(d.segment)]
	if known == nil {
		return false
	}
	delete(d.keeper.known, keyOf(d.segment))
	r := &d.segment.recorded
	r.drained = known.Drained
	for number, at := range known.Rings {
		if int64(number) >= d.segment.header.RingCount {
			continue
		}
		for len(r.rings) <= number {
			r.rings = append(r.rings, segment.Position{})
		}
		r.rings[number] = segment.Position{Words: at.Words, End: at.End, Sequence: at.Sequence, Unnumbered: at.Unnumbered}
	}
	// Of two equal series the one that began later goes on: the end of the other was told, if not accepted.
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(known.Series))) {
		d.resumeSeries(id, known.Series[id])
	}
	return true
}

func (d *drain) resumeSeries(id uint64, known *journal.Series) {
	r := &d.segment.recorded
	r.ids = max(r.ids, id)
	of := d.source(slot{known.Slot, known.Kind})
	if of == nil || len(known.Attributes) < 8 {
		return
	}
	m := segment.Measurement{Key: known.Attributes}
	attributes, ok := m.Attributes(nil)
	if !ok || r.byID[of.Instrument.ID(attributes)] != nil {
		r.ended = append(r.ended, id)
		return
	}
	x := d.begin(of, attributes)
	x.id, x.kept, x.measured = id, true, d.now
	x.series.Start, x.series.Bases = known.Start, nil // an earlier run may have delivered it
	for _, w := range known.Values {
		x.restore(w)
	}
	charge := of.in.charge
	if of.Overflow || slices.Equal(attributes, overflowAttributes) {
		of.in.overflow = x
		r.reserved -= charge
	} else {
		charge += segment.Charge(known.Attributes)
		x.resumed = true
		r.resumed++
	}
	d.charge(x, charge)
}

// known gives back what a series of an earlier run was charged of which no form was seen yet, if the measurement is its first: the form is charged now.
func (d *drain) known(of *recordable, m *segment.Measurement) {
	r := &d.segment.recorded
	if r.resumed == 0 {
		return
	}
	attributes, ok := m.Attributes(of.Attributes)
	if !ok {
		return
	}
	if x := r.byID[of.Instrument.ID(attributes)]; x != nil && x.resumed && !x.ended {
		x.resumed = false
		r.resumed--
		d.charge(x, -x.charged)
	}
}
