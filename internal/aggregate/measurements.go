package aggregate

import (
	"encoding/binary"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// overflowAttributes are those of the series into which others are folded.
var overflowAttributes = []emit.Attribute{{Key: "otel.metric.overflow", Type: emit.AttributeBool, Bits: 1}}

// Measurements is a table that turns measurements, which say what was added or observed at one instant, into running totals
// by process and series. A series begins with its first measurement.
//
// What exceeds the limits is not lost: it goes into one more series for each instrument of each process,
// with the attribute otel.metric.overflow=true.
type Measurements struct {
	limits      MeasurementLimits
	instruments map[instrument]*emit.Instrument
	streams     uint32
	processes   []*Measured // in the order of appearance
	series      int         // as far as they are charged
	owners      map[uint32]int
	folded      bool
	scratch     emit.HistogramValue
}

// MeasurementLimits bound what measurements can make a table hold. A series counts as one more for each full KiB of its
// attributes, and a histogram as four more, for its buckets.
type MeasurementLimits struct {
	// Processes is how many there are at most. One that ended is kept until its end is accepted.
	Processes int
	// Series is how many there are at most, SeriesPerUID of one [emit.Process.Owner].
	Series, SeriesPerUID int
}

// NewMeasurements returns an empty table.
func NewMeasurements(limits MeasurementLimits) *Measurements {
	return &Measurements{
		limits:      limits,
		instruments: make(map[instrument]*emit.Instrument),
		owners:      make(map[uint32]int),
		scratch:     emit.HistogramValue{Buckets: new([segment.HistogramBuckets]uint64)},
	}
}

// Stream returns a way in for measurements of an instrument with attributes of these keys, no two of them equal. Where
// values are doubles, or the scale leaves fractions, an instrument that sums has to be [emit.Instrument.Double].
func (m *Measurements) Stream(in emit.Instrument, keys []string, scale Scale) *Stream {
	key := instrument{in.Name, in.Unit, in.Kind, in.Double}
	shared := m.instruments[key]
	if shared == nil {
		shared = &in
		m.instruments[key] = shared
	}
	m.streams++
	return &Stream{
		instrument: shared,
		keys:       keys,
		scale:      scale,
		set:        binary.NativeEndian.AppendUint32(nil, m.streams),
	}
}

// Full says whether there is no room for another process.
func (m *Measurements) Full() bool { return len(m.processes) >= m.limits.Processes }

// Process begins a process, and returns nil if there is no room for one. Of what is given, Resource, Owner and Start matter.
func (m *Measurements) Process(p emit.Process) *Measured {
	if m.Full() {
		return nil
	}
	d := &Measured{
		life:   emit.Life{Process: p},
		table:  m,
		bySet:  make(map[string]*measured),
		byID:   make(map[string]*measured),
		byName: make(map[*emit.Instrument]*gathered),
	}
	m.processes = append(m.processes, d)
	return d
}

// Collect hands over every series, process by process, at a time in UNIX nanoseconds. Without Commit, the next Collect
// does so again.
func (m *Measurements) Collect(sink emit.Sink, now int64) {
	for _, p := range m.processes {
		p.tell(sink, &m.scratch, now)
	}
}

// Commit says that what the last Collect handed over was accepted. Of processes that ended it was the last, and
// their end is next; then they are forgotten.
func (m *Measurements) Commit() {
	kept := m.processes[:0]
	for _, p := range m.processes {
		if p.life.Commit() {
			m.charge(p.life.Owner, -p.charged)
			continue
		}
		kept = append(kept, p)
	}
	clear(m.processes[len(kept):])
	m.processes = kept
}

// Folded reports whether measurements went into overflow series since it was last asked.
func (m *Measurements) Folded() bool {
	folded := m.folded
	m.folded = false
	return folded
}

// room reports whether an owner may have something that is charged as much.
func (m *Measurements) room(owner uint32, charge int) bool {
	return m.series+charge <= m.limits.Series && m.owners[owner]+charge <= m.limits.SeriesPerUID
}

func (m *Measurements) charge(owner uint32, charge int) {
	m.series += charge
	if m.owners[owner] += charge; m.owners[owner] == 0 {
		delete(m.owners, owner)
	}
}
