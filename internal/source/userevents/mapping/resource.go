package mapping

import (
	"maps"
	"slices"

	"github.com/hotpath-metrics/hotpath/internal/aggregate"
	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/process"
)

// resource returns the number of a set of resource attributes.
func (m *Mapping) resource(attributes map[string]string) int {
	i := slices.IndexFunc(m.resources, func(r map[string]string) bool { return maps.Equal(r, attributes) })
	if i < 0 {
		i = len(m.resources)
		m.resources = append(m.resources, attributes)
	}
	return i
}

// of returns what is measured of a process.
func (m *Mapping) of(p *process.Process) []*aggregate.Measured {
	if p == m.last {
		return m.lastMeasured
	}
	measured := m.measured[p]
	if measured == nil {
		measured = make([]*aggregate.Measured, len(m.resources))
		m.measured[p] = measured
	}
	m.last, m.lastMeasured = p, measured
	return measured
}

// begin makes a resource of a process, whose first event was written at a time in UNIX nanoseconds. It is nil if there
// is no room for one.
func (m *Mapping) begin(p *process.Process, resource int, time int64) *aggregate.Measured {
	attributes := p.Describe(nil)
	for key, value := range m.resources[resource] {
		attributes = process.Set(attributes, emit.Attribute{Key: key, Type: emit.AttributeString, Str: value})
	}
	return m.table.Process(emit.Process{Resource: attributes, Owner: p.UID, Start: time})
}
