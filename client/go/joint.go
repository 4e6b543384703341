//go:build linux && (amd64 || arm64)

package hotpath

import (
	"hash/maphash"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

// maxJoint is how many attribute sets of calls are remembered. Further ones are looked for at each call.
const maxJoint = maxSeries

// joints are the series that calls with attributes count in where a teller tells of series: where there are no
// rings. It is a hash table that is read without a lock, and never shrinks.
type joints struct {
	seed    maphash.Seed
	buckets [2 * maxJoint]atomic.Pointer[joint]
	used    int                               // under the client's lock, as is
	records map[unsafe.Pointer]segment.Record // of all series, by their first words
}

// joint is where a handle's calls with some attributes count.
type joint struct {
	key  string
	made cell
}

func newJoints() *joints {
	return &joints{seed: maphash.MakeSeed(), records: map[unsafe.Pointer]segment.Record{}}
}

// bucket is where the series with a key is, or where it is to go.
func (j *joints) bucket(key []byte) *atomic.Pointer[joint] {
	for i := maphash.Bytes(j.seed, key); ; i++ {
		b := &j.buckets[i%uint64(len(j.buckets))]
		if found := b.Load(); found == nil || found.key == string(key) {
			return b
		}
	}
}

// cloned is a record that has its texts for itself.
func cloned(r *segment.Record) segment.Record {
	own := *r
	own.Name, own.Unit, own.Description = strings.Clone(r.Name), strings.Clone(r.Unit), strings.Clone(r.Description)
	own.Attributes = slices.Clone(r.Attributes)
	for i := range own.Attributes {
		a := &own.Attributes[i]
		a.Key, a.Str = strings.Clone(a.Key), strings.Clone(a.Str)
	}
	return own
}

// joint is the series in which a cell's measurement counts, none if it can't be recorded. The first measurement with some attributes makes it.
func (c *client) joint(of cell, m *measurement) cell {
	key := *m
	key.value, key.time = 0, 0
	var words [segment.MaxMeasurement]uint64
	n := key.put(unsafe.Pointer(&words), 0)
	if n == 0 {
		return cell{}
	}
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(&words)), n*8)
	if found := c.joints.bucket(bytes).Load(); found != nil {
		return found.made
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	made := c.makeJoint(of, m.attributes)
	if b := c.joints.bucket(bytes); c.joints.used < maxJoint && b.Load() == nil {
		c.joints.used++
		b.Store(&joint{string(bytes), made})
	}
	return made
}

// makeJoint finds or makes the series that has a series' attributes and those of a call. The caller holds the lock.
func (c *client) makeJoint(of cell, attributes []Attribute) cell {
	r := c.joints.records[of.word]
	if r.Flags&segment.FlagOverflow != 0 {
		return of
	}
	r.Attributes = slices.Clone(r.Attributes)
	for i := range attributes {
		a := attributes[i].in()
		// The caller's texts stay where they are. What isn't UTF-8 is not rejected: no reader of rings does that.
		r.Attributes = append(r.Attributes, segment.Attribute{
			Key:  segment.Text(strings.Clone(a.Key), segment.MaxKey),
			Str:  strings.Clone(a.Str),
			Bits: a.Bits,
			Type: a.Type,
		})
	}
	if err := normalise(&r); err != nil {
		return cell{}
	}
	return c.registered(&r)
}

// measure counts a measurement in the series that was made for it.
func (c cell) measure(m *measurement) {
	switch m.kind {
	case segment.KindGauge:
		c.set(math.Float64frombits(m.value))
	case segment.KindHistogram:
		Histogram{c}.Record(math.Float64frombits(m.value))
	default:
		add(c.word, c.stripes, m.value)
	}
}
