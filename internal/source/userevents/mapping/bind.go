package mapping

import (
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/hotpath-metrics/hotpath/internal/source/userevents/eventheader"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/format"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/tracefs"
)

// choice is which of a format's fields an entry takes.
type choice struct {
	value      *format.Field   // nil to count
	attributes []*format.Field // in the order of Event.keys
}

// keys of the attributes, in the order in which they are taken.
func (e *Event) keys() []string { return slices.Sorted(maps.Keys(e.Attributes)) }

// choose finds the fields that the entry names. Each error begins with a key of the entry.
func (e *Event) choose(f *format.Format) (c choice, errs []error) {
	fields := f.Fields
	switch {
	case eventheader.Is(f):
		return c, nil // each event describes its own
	case e.Name != "":
		return c, []error{fmt.Errorf("name: is for EventHeader events, the fields are: %s", fields)}
	}
	wrong := func(key, name, what string) {
		errs = append(errs, fmt.Errorf("%s: %s %q, the fields are: %s", key, what, name, fields))
	}
	if e.Value != "" {
		switch c.value = fields.Lookup(e.Value); {
		case c.value == nil:
			wrong("value", e.Value, "no field")
		case c.value.Kind != format.Integer:
			wrong("value", e.Value, "no integer in")
		}
	}
	for _, key := range e.keys() {
		f := fields.Lookup(e.Attributes[key])
		switch {
		case f == nil:
			wrong("attributes::"+key, e.Attributes[key], "no field")
		case f.Kind != format.Integer && f.Kind != format.Text:
			wrong("attributes::"+key, e.Attributes[key], "neither integer nor text in")
		}
		c.attributes = append(c.attributes, f)
	}
	return c, errs
}

// ours are the events that other ingests take. Wildcards don't match them.
var ours = []string{"hotpath_v1", "otlp_metrics"}

// matches says whether the entry is about an event: by its name, or by that without the suffix that
// the kernel gives to one of several formats.
func (e *Event) matches(name string) bool {
	base, _ := tracefs.Base(name)
	if e.wild() && slices.Contains(ours, base) {
		return false
	}
	for _, n := range []string{name, base} {
		if ok, err := path.Match(e.Event, n); ok && err == nil {
			return true
		}
	}
	return false
}
