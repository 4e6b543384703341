package aggregate

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// Stream is where measurements of one instrument come in that have the same attribute keys. For each, Begin comes first,
// then one Put for each key in the order of the keys, then Record. Nothing is allocated but for a new series.
type Stream struct {
	instrument *emit.Instrument
	keys       []string
	scale      Scale
	set        []byte // the stream's number, then the attributes' types and values
}

// streamNumber is the size in bytes of what an attribute set begins with.
const streamNumber = 4

// absent is the type of an attribute that a measurement does not have.
const absent emit.AttributeType = 0

// Begin begins the attributes of a measurement.
func (s *Stream) Begin() { s.set = s.set[:streamNumber] }

// PutInt puts an integer.
func (s *Stream) PutInt(n int64) { s.put(emit.AttributeInt, uint64(n)) }

// PutDouble puts a double.
func (s *Stream) PutDouble(v float64) { s.put(emit.AttributeDouble, math.Float64bits(v)) }

// PutBool puts a boolean.
func (s *Stream) PutBool(b bool) {
	var bit uint64
	if b {
		bit = 1
	}
	s.put(emit.AttributeBool, bit)
}

// PutString puts a string, as valid UTF-8 of at most [segment.MaxString] bytes.
func (s *Stream) PutString(text []byte) {
	if len(text) > segment.MaxString || !utf8.Valid(text) {
		text = []byte(segment.Text(string(text[:min(len(text), segment.MaxString+utf8.UTFMax)]), segment.MaxString))
	}
	s.set = append(s.set, byte(emit.AttributeString), byte(len(text)), byte(len(text)>>8))
	s.set = append(s.set, text...)
}

// PutNone says that the measurement has no attribute of this key.
func (s *Stream) PutNone() { s.set = append(s.set, byte(absent)) }

func (s *Stream) put(t emit.AttributeType, bits uint64) {
	s.set = binary.LittleEndian.AppendUint64(append(s.set, byte(t)), bits)
}

// Record adds a measurement of a process that was made at a time in UNIX nanoseconds.
func (s *Stream) Record(p *Measured, number Number, time int64) Refusal {
	kind := s.instrument.Kind
	monotonic := kind == emit.KindCounter
	if (monotonic || kind == emit.KindUpDownCounter) && !s.instrument.Double {
		n, refusal := s.scale.integer(number, monotonic)
		if refusal == "" {
			p.in(s, time).count(n)
		}
		return refusal
	}
	raw := number.float()
	v := s.scale.Double(raw)
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return RefusedNotFinite
	case v < 0 && (monotonic || kind == emit.KindHistogram):
		return RefusedNegative
	}
	switch m := p.in(s, time); kind {
	case emit.KindGauge:
		m.value = math.Float64bits(v)
		return ""
	case emit.KindHistogram:
		return m.record(raw, s.scale)
	default:
		return m.add(raw, s.scale)
	}
}

// RecordBucket adds what a histogram of a process got into one of its buckets, or as zeros where the bucket is
// [segment.HistogramBuckets]: how many, and their sum before it is scaled.
func (s *Stream) RecordBucket(p *Measured, bucket int, count, sum uint64, time int64) Refusal {
	return p.in(s, time).recordBucket(bucket, count, float64(sum), s.scale)
}

// attributes decodes the set.
func (s *Stream) attributes() []emit.Attribute {
	var out []emit.Attribute
	set := s.set[streamNumber:]
	for _, key := range s.keys {
		a := emit.Attribute{Key: key, Type: emit.AttributeType(set[0])}
		set = set[1:]
		switch a.Type {
		case absent:
			continue
		case emit.AttributeString:
			n := int(set[0]) | int(set[1])<<8
			a.Str = string(set[2:][:n])
			set = set[2+n:]
		default:
			a.Bits = binary.LittleEndian.Uint64(set)
			set = set[8:]
		}
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b emit.Attribute) int { return strings.Compare(a.Key, b.Key) })
	return out
}
