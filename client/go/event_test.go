//go:build linux && (amd64 || arm64)

package hotpath

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/client/go/userevent"
)

// event is a state update as a Collector would read it: the test's own reading of the format.
type event struct {
	segment, number, start, value, zero uint64
	instance                            [segment.InstanceSize]byte
	pid, series                         uint32
	first, flags                        uint16
	record                              segment.Record
	name                                string // of the series, with its attributes
	resource                            map[string]any
	buckets                             []uint64
	size                                int
}

// parseEvent parses an event from its first field on.
func parseEvent(t testing.TB, b []byte) *event {
	t.Helper()
	ne := binary.NativeEndian
	if len(b) < userevent.HeaderSize {
		t.Fatalf("an event has %d bytes", len(b))
	}
	end := userevent.HeaderSize
	part := func(field int) []byte {
		loc := ne.Uint32(b[field:])
		from, size := field+4+int(loc&0xffff), int(loc>>16)
		if from != end || size%8 != 0 || from+size > len(b) {
			t.Fatalf("the part of %d bytes at %d comes after %d, in %d bytes", size, from, end, len(b))
		}
		end = from + size
		return b[from:end]
	}
	record, resource, buckets := part(userevent.OffRecord), part(userevent.OffResource), part(userevent.OffBuckets)
	e := &event{
		segment: ne.Uint64(b[userevent.OffSegment:]), number: ne.Uint64(b[userevent.OffNumber:]),
		start: ne.Uint64(b[userevent.OffStart:]), value: ne.Uint64(b[userevent.OffValue:]), zero: ne.Uint64(b[userevent.OffZero:]),
		instance: [segment.InstanceSize]byte(b[userevent.OffInstanceHi:]),
		pid:      ne.Uint32(b[userevent.OffPID:]), series: ne.Uint32(b[userevent.OffSeries:]),
		first: ne.Uint16(b[userevent.OffFirst:]), flags: ne.Uint16(b[userevent.OffFlags:]),
		size: end,
	}
	for ; len(buckets) > 0; buckets = buckets[8:] {
		e.buckets = append(e.buckets, ne.Uint64(buckets))
	}
	if int(ne.Uint32(record)) != len(record) || int(ne.Uint32(resource)) != len(resource) || resource[segment.RecordKind] != segment.KindResource {
		t.Fatalf("a record of %d bytes and a resource of %d", len(record), len(resource))
	}
	var attributes map[string]any
	e.record, attributes = parse(t, record)
	e.name = key(e.record.Name, e.record.Attributes, attributes)
	_, e.resource = parse(t, resource)
	return e
}

// state is what a Collector knows of a series: what the update with the highest number said, and each bucket's highest count.
type state struct {
	number, value, zero uint64
	buckets             [segment.HistogramBuckets]uint64
}

func (s *state) count() uint64 {
	total := s.zero
	for _, n := range s.buckets {
		total += n
	}
	return total
}

func (s *state) sum() float64 { return math.Float64frombits(s.value) }

// collector keeps the states of all series, as the updates with the highest numbers say.
type collector map[string]*state

func (c collector) take(e *event) {
	s := c[e.name]
	if s == nil {
		s = &state{}
		c[e.name] = s
	}
	if e.number > s.number {
		s.number, s.value, s.zero = e.number, e.value, e.zero
	}
	for i, n := range e.buckets {
		bucket := &s.buckets[int(e.first)+i]
		*bucket = max(*bucket, n)
	}
}
