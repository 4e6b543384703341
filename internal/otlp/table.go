package otlp

import (
	"fmt"
	"iter"
	"slices"

	"go.opentelemetry.io/collector/pdata/pmetric"
	"google.golang.org/protobuf/encoding/protowire"
)

// containerSize is about what a resource, scope or metric takes here and in pdata, in bytes, beside its
// text and attributes.
const containerSize = 768

// table holds data points by resource, scope and metric. Resources and scopes are found by their bytes, and by what
// those mean only where the bytes are new.
type table struct {
	resources index[resourceEntry]
	encodings memo[*resourceEntry]
	size      int  // about how many bytes all of it takes, decoded
	apart     bool // delta points are kept apart from others
	deltas    int  // how many of size those take

	identity identity
	key      []byte
	head     []byte
}

type resourceEntry struct {
	head      []byte // all fields but the scopes
	size      int    // of the entry itself, as of those below
	scopes    index[scopeEntry]
	encodings memo[*scopeEntry]
}

type scopeEntry struct {
	head    []byte // all fields but the metrics
	size    int
	metrics index[metricEntry]
}

type metricEntry struct {
	head  []byte           // the fields that describe the metric
	data  protowire.Number // of the field that holds the points
	tail  []byte           // fields of data behind the points
	delta bool             // the points are deltas that are kept apart
	size  int

	points     []byte // fields of data
	pointsSize int
	// How much of them the last collection handed over.
	handed, handedSize int
}

// resource finds the entry of a resource by the fields of its ResourceMetrics, or makes it.
func (t *table) resource(head []byte) (*resourceEntry, error) {
	if r, ok := t.encodings.find(head); ok {
		return r, nil
	}
	rm, err := decode(appendField(nil, requestResourceMetrics, head))
	if err != nil {
		return nil, err
	}
	t.key = t.identity.appendResource(t.key[:0], rm.Resource(), rm.SchemaUrl())
	r := t.resources.find(t.key)
	if r == nil {
		r = &resourceEntry{head: append([]byte(nil), head...)}
		t.resources.add(t.key, r)
		t.charge(&r.size, containerSize+len(t.key)+sizeOf(head, resourceMetrics))
	}
	t.encodings.add(head, r)
	t.size += len(head)
	return r, nil
}

// scope finds the entry of a scope by the fields of its ScopeMetrics, or makes it.
func (t *table) scope(r *resourceEntry, head []byte) (*scopeEntry, error) {
	if s, ok := r.encodings.find(head); ok {
		return s, nil
	}
	rm, err := decode(appendField(nil, requestResourceMetrics, appendField(nil, resourceMetricsScopeMetrics, head)))
	if err != nil {
		return nil, err
	}
	sm := rm.ScopeMetrics().At(0)
	t.key = t.identity.appendScope(t.key[:0], sm.Scope(), sm.SchemaUrl())
	s := r.scopes.find(t.key)
	if s == nil {
		s = &scopeEntry{head: append([]byte(nil), head...)}
		r.scopes.add(t.key, s)
		t.charge(&s.size, containerSize+len(t.key)+sizeOf(head, scopeMetrics))
	}
	r.encodings.add(head, s)
	t.size += len(head)
	return s, nil
}

func (t *table) charge(to *int, size int) {
	*to += size
	t.size += size
}

func (t *table) metrics() iter.Seq[*metricEntry] {
	return func(yield func(*metricEntry) bool) {
		for _, r := range t.resources.list {
			for _, s := range r.scopes.list {
				for _, m := range s.metrics.list {
					if !yield(m) {
						return
					}
				}
			}
		}
	}
}

// addPoint appends a point, a field of data, to its metric.
func (m *metricEntry) addPoint(raw []byte) {
	if len(raw) > cap(m.points)-len(m.points) {
		m.points = slices.Grow(m.points, len(m.points)+len(raw)) // append would move large ones more often
	}
	m.points = append(m.points, raw...)
}

func (t *table) addSize(m *metricEntry, size int) {
	m.pointsSize += size
	t.size += size
	if m.delta {
		t.deltas += size
	}
}

// forget drops the first points of a metric, as many bytes of them as are given, with their size.
func (t *table) forget(m *metricEntry, points, size int) {
	rest := m.points[points:]
	m.points = append([]byte(nil), rest...) // lets go of the room for those that are gone
	t.addSize(m, -size)
	m.handed, m.handedSize = 0, 0
}

// compact drops all entries without points, and what is known of encodings.
func (t *table) compact() {
	t.encodings = memo[*resourceEntry]{}
	t.resources.drop(func(r *resourceEntry) bool {
		r.scopes.drop(func(s *scopeEntry) bool {
			s.metrics.drop(func(m *metricEntry) bool { return len(m.points) == 0 })
			return len(s.metrics.list) == 0
		})
		return len(r.scopes.list) == 0
	})
	t.size = 0
	for _, r := range t.resources.list {
		r.encodings = memo[*scopeEntry]{}
		t.size += r.size
		for _, s := range r.scopes.list {
			t.size += s.size
			for _, m := range s.metrics.list {
				t.size += m.size + m.pointsSize
			}
		}
	}
}

// sizeOf is about how many bytes pdata takes for part of a message.
func sizeOf(b []byte, id messageID) int {
	var c checker
	c.message(b, id, maxDepth)
	return c.size
}

// decode makes pdata of a request with one resource.
func decode(request []byte) (pmetric.ResourceMetrics, error) {
	var unmarshaler pmetric.ProtoUnmarshaler
	md, err := unmarshaler.UnmarshalMetrics(request)
	if err != nil {
		return pmetric.ResourceMetrics{}, fmt.Errorf("decode metrics: %w", err)
	}
	return md.ResourceMetrics().At(0), nil
}
