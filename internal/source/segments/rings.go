package segments

import (
	"slices"
	"time"

	"go.uber.org/zap"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/segment"
)

const (
	// maxLost bounds what one segment can have counted as lost: beyond it its numbers are lies.
	maxLost = 1 << 48
	// lossEvery is how often a segment's losses are logged at most.
	lossEvery = time.Minute
	// drainEvery is how long rings that were found filling are left alone at most while processes are handed over.
	drainEvery = time.Millisecond
	// drainAtLeast is the part of a ring which has to be waiting for that.
	drainAtLeast = 4
)

// DrainRings reads all measurement rings once. It says whether there was much in one of them, so that it should be called again soon.
func (s *Set) DrainRings() (more bool) {
	began := time.Now()
	s.filling = false
	for i := 0; i < len(s.ringed); {
		seg := s.ringed[i]
		if s.reread(seg) && s.drain(seg) {
			s.filling = true
		}
		if i < len(s.ringed) && s.ringed[i] == seg { // it may have been dropped
			i++
		}
	}
	s.keep()
	s.drained = time.Now()
	s.draining = s.drained.Sub(began)
	return s.filling
}

// Ringed says whether there are measurement rings in use.
func (s *Set) Ringed() bool {
	return slices.ContainsFunc(s.ringed, func(seg *Segment) bool { return seg.header.RingsUsed > 0 })
}

// keepUp drains rings that would overflow while many processes are handed over.
func (s *Set) keepUp() {
	if s.filling && time.Since(s.drained) >= max(drainEvery, s.draining) {
		s.DrainRings()
	}
}

// drain reads the rings of a segment, unless its values are final or it waits for room. It says whether there was much in one of them.
func (s *Set) drain(seg *Segment) (much bool) {
	if seg.final || seg.catalogue.Parsed == 0 {
		return false
	}
	now := time.Now()
	d := drain{Set: s, segment: seg, now: s.clock(now)}
	seg.recorded.keeping = s.keeper != nil
	if seg.recorded.drained == 0 {
		seg.recorded.moved = true // from here on the journal knows it
		if !d.resume() && seg.Seen {
			seg.recorded.drained = now.UnixNano()
			d.err = d.skipSeen()
		}
	}
	if d.err == nil {
		d.err = d.rings(&much)
	}
	s.tel.BytesRead(d.bytes)
	d.report()
	if d.err != nil {
		s.drop(seg, d.err)
		return false
	}
	seg.recorded.drained = now.UnixNano()
	return much
}

// clock is a time that nobody sets.
func (s *Set) clock(t time.Time) int64 { return int64(t.Sub(s.made)) }

// drain is one reading of the rings of a segment.
type drain struct {
	*Set
	segment *Segment
	now     int64 // by Set.clock
	again   bool  // the catalogue was read once more, since a measurement's series was not in it
	err     error // against the segment

	bytes, read, lost, malformed int64
	skipped                      [skips]int64
}

// skipSeen passes over what an earlier run of the collector may have read.
func (d *drain) skipSeen() error {
	r := &d.segment.recorded
	for i := range d.segment.header.RingsUsed {
		at, err := d.end(i)
		if err != nil {
			return err
		}
		r.rings = append(r.rings, at)
	}
	return nil
}

func (d *drain) rings(much *bool) error {
	seg := d.segment
	r := &seg.recorded
	for i := range seg.header.RingsUsed {
		if int64(len(r.rings)) <= i {
			r.rings = append(r.rings, segment.Position{})
		}
		waiting, err := d.ring(i)
		if err != nil {
			return err
		}
		*much = *much || waiting >= uint64(seg.header.RingWords)/drainAtLeast
	}
	return nil
}

// head reads a ring's head.
func (d *drain) head(i int64) (uint64, error) {
	line := d.buffers.chunk[:8]
	if err := pread(d.segment.fd, bytesOf(line), d.segment.header.Ring(i)+layout.RingHead); err != nil {
		return 0, err
	}
	d.bytes += 64
	return line[0], nil
}

// end is a ring's end, where whatever it holds was read.
func (d *drain) end(i int64) (at segment.Position, err error) {
	head, err := d.head(i)
	if err != nil || head == 0 {
		return at, err
	}
	words, err := d.copy(i, head-1, head)
	if err != nil {
		return at, err
	}
	at = segment.Position{Words: head, End: head, Sequence: words[0] >> layout.TrailerWordsBits}
	later, err := d.head(i)
	at.Unnumbered = later-head >= uint64(d.segment.header.RingWords)-layout.MaxMeasurement
	return at, err
}

// ring takes what is new in a ring. It returns how many words of it were waiting.
func (d *drain) ring(i int64) (waiting uint64, err error) {
	at := &d.segment.recorded.rings[i]
	w := segment.Window{RingWords: uint64(d.segment.header.RingWords)}
	if w.Head, err = d.head(i); err != nil || w.Head == at.Words {
		return 0, err
	}
	if from := at.Oldest(w.Head, w.RingWords); from < w.Head {
		if w.Words, err = d.copy(i, from, w.Head); err != nil {
			return 0, err
		}
	}
	waiting = w.Head - at.Words
	if w.Later, err = d.head(i); err != nil {
		return 0, err
	}
	d.segment.recorded.moved = true
	lost, malformed := d.buffers.measurements.Read(at, &w)
	d.lost += int64(lost)
	if malformed {
		d.malformed++
	}
	for words := d.buffers.measurements.Next(); words != nil; words = d.buffers.measurements.Next() {
		d.take(words)
	}
	return waiting, d.err
}

// copy copies words of a ring, at most as many as it has, to where they are aligned as they are there.
func (d *drain) copy(i int64, from, to uint64) ([]uint64, error) {
	ringWords := uint64(d.segment.header.RingWords)
	first := d.segment.header.Ring(i) + layout.RingFirst
	at := from % ringWords
	before := at % 8
	n := to - from
	buffer := d.buffers.ring(int(before + n))[before:]
	whole := min(n, ringWords-at)
	if err := pread(d.segment.fd, bytesOf(buffer[:whole]), first+int64(at)*8); err != nil {
		return nil, err
	}
	if err := pread(d.segment.fd, bytesOf(buffer[whole:]), first); err != nil {
		return nil, err
	}
	d.bytes += int64(n) * 8
	return buffer, nil
}

func (d *drain) report() {
	if d.read > 0 {
		d.tel.MeasurementsRead(d.read)
	}
	for i, n := range d.skipped {
		if n > 0 {
			d.tel.MeasurementsSkipped(skipNames[i], n)
		}
	}
	if d.malformed > 0 {
		d.tel.MeasurementsSkipped(skipMalformed, d.malformed)
	}
	r := &d.segment.recorded
	lost := min(max(d.lost, 0), maxLost-r.lost)
	if lost == 0 {
		return
	}
	r.lost += lost
	d.tel.MeasurementsLost(lost)
	if r.lossLogged == 0 || d.now-r.lossLogged >= int64(lossEvery) {
		r.lossLogged = d.now
		d.logger.Warn("A segment's rings overwrote measurements before they were read",
			zap.String("name", d.segment.Origin.Name()), zap.Uint32("uid", d.segment.UID), zap.Int64("lost", r.lost))
	}
}
