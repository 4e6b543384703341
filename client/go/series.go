//go:build linux && (amd64 || arm64)

package hotpath

import (
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

const (
	// maxSeries is how many series a process has room for, beside overflow series.
	maxSeries = 16384
	// maxOverflowRecord is the size of the largest record of an overflow series.
	maxOverflowRecord = 1408

	overflowKey = "otel.metric.overflow"
	kinds       = 4
)

// lastOverflow names the series of each kind that take what the overflow series have no
// room for. A name has one kind, so there are four.
var lastOverflow = map[uint8]string{
	segment.KindCounter:       "hotpath.overflow.counter",
	segment.KindUpDownCounter: "hotpath.overflow.updowncounter",
	segment.KindGauge:         "hotpath.overflow.gauge",
	segment.KindHistogram:     "hotpath.overflow.histogram",
}

// instrument is what all series of a name have in common.
type instrument struct {
	unit string
	kind uint8
}

// series returns where the series is counted, after making it if it is new.
func (c *client) series(kind uint8, name string, options []Option) cell {
	r := segment.Record{Kind: kind, Name: name}
	for _, o := range options {
		if o.apply != nil {
			o.apply(&r)
		}
	}
	err := normalise(&r)

	c.once.Do(c.open)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		return c.reject(err)
	}
	return c.registered(&r)
}

// registered returns where the series of a normal record is counted, after making it if it is new. The caller holds the lock.
func (c *client) registered(r *segment.Record) cell {
	known, exists := c.instruments[r.Name]
	if exists && known != (instrument{r.Unit, r.Kind}) {
		return c.reject(fmt.Errorf("%q is %s in %q already", r.Name, kindNames[known.kind], known.unit))
	}
	if made, ok := c.find(r); ok {
		return made
	}
	if c.mapping == nil {
		return cell{}
	}
	if c.ordinary == maxSeries || !c.mapping.fits(r) {
		return c.fold(r)
	}
	c.ordinary++
	return c.make(r)
}

// normalise checks the record and brings its texts into their bounds.
func normalise(r *segment.Record) error {
	if !segment.ValidName(r.Name) {
		return fmt.Errorf("the name %.64q is not 1 to 255 letters, digits, '_', '.', '-' and '/' after a letter", r.Name)
	}
	if !segment.ValidUnit(r.Unit) {
		return fmt.Errorf("the unit %.64q of %q is not at most 63 bytes of ASCII", r.Unit, r.Name)
	}
	r.Description = segment.Text(r.Description, segment.MaxDescription)
	r.Attributes = segment.Canonical(r.Attributes)
	if len(r.Attributes) > segment.MaxAttributes {
		return fmt.Errorf("%q has %d attributes, the most is %d", r.Name, len(r.Attributes), segment.MaxAttributes)
	}
	for i := range r.Attributes {
		a := &r.Attributes[i]
		if !segment.ValidKey(a.Key) {
			return fmt.Errorf("the key %.64q of %q is not 1 to 255 bytes of UTF-8", a.Key, r.Name)
		}
		a.Str = segment.Text(a.Str, segment.MaxString)
	}
	return nil
}

func (c *client) reject(err error) cell {
	c.count(segment.OffRejected)
	c.lastRejected = err
	return cell{}
}

// find looks a series up by what identifies it, and leaves that in c.key.
func (c *client) find(r *segment.Record) (cell, bool) {
	identity := *r
	identity.Description, identity.Flags, identity.Slot = "", 0, 0
	c.key = segment.AppendRecord(c.key[:0], &identity)
	made, ok := c.made[string(c.key)]
	return made, ok
}

// fold returns the overflow series of the instrument, or the last one of its kind.
func (c *client) fold(r *segment.Record) cell {
	c.count(segment.OffFolded)
	r.Flags = segment.FlagOverflow
	r.Attributes = []segment.Attribute{{Key: overflowKey, Type: segment.AttributeBool, Bits: 1}}
	if made, ok := c.find(r); ok {
		return made
	}
	if c.overflows < c.mapping.overflows {
		c.overflows++
		return c.make(r)
	}
	r.Name, r.Unit, r.Description = lastOverflow[r.Kind], "", ""
	if made, ok := c.find(r); ok {
		return made
	}
	return c.make(r)
}

// make gives a series its words and publishes its record. c.key identifies it, and there is room.
func (c *client) make(r *segment.Record) cell {
	m := c.mapping
	a, words, alignment := m.room(r.Kind)
	slot, public, ok := m.take(a, words, alignment)
	var made cell
	if ok {
		made = c.firstWord(a, slot)
		if r.Kind == segment.KindGauge {
			atomic.StoreUint64((*uint64)(made.word), segment.GaugeUnset)
		}
	}
	c.made[string(c.key)] = made
	c.instruments[strings.Clone(r.Name)] = instrument{strings.Clone(r.Unit), r.Kind}
	r.Slot = uint64(slot)
	if c.teller != nil && ok {
		c.joints.records[made.word] = cloned(r)
		c.teller.add(r, made, len(c.made)-1)
	}
	c.key = segment.AppendRecord(c.key[:0], r)
	if public && m.reserveCatalogue(segment.HeaderSize+m.used+len(c.key)) == nil {
		m.append(c.key)
		if c.teller != nil {
			c.teller.noted()
		}
	} else {
		c.count(segment.OffUnplaced)
	}
	return made
}

// room says where series of a kind get their words, how many, and aligned to how many.
func (m *mapping) room(kind uint8) (a *area, words, alignment int) {
	switch kind {
	case segment.KindGauge:
		return &m.shared, 1, 1
	case segment.KindHistogram:
		return &m.stripes, segment.HistogramWords, 8
	}
	return &m.stripes, 1, 1
}

// fits reports whether there is room for a series and, after it, for all overflow series to come.
func (m *mapping) fits(r *segment.Record) bool {
	a, words, alignment := m.room(r.Kind)
	overflows := m.overflows + kinds
	largest := 1
	if a == &m.stripes {
		largest = segment.HistogramWords + 8
	}
	return alignUp(a.words, alignment)+words+overflows*largest <= a.size/8 &&
		segment.HeaderSize+m.used+r.Size()+overflows*maxOverflowRecord <= m.catalogue
}
