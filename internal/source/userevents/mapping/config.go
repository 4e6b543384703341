package mapping

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/internal/aggregate"
	"github.com/hotpath-metrics/hotpath/internal/instrument"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/format"
)

// Events is the list `events` of the configuration.
type Events []Event

// Event maps an event to a metric.
type Event struct {
	// Event is the event's name, without the group. The wildcards * and ? are allowed; they leave out hotpath_v1 and
	// otlp_metrics, which are taken without an entry. One of several formats of a name (USER_EVENT_REG_MULTI_FORMAT) also
	// goes by the name without suffix.
	Event string `mapstructure:"event"`
	// Name is that of an EventHeader event, of which one user_event carries many. Empty takes them all.
	Name string `mapstructure:"name"`
	// Fields are those that the event is declared with, as in "u32 worker; u64 n". The Collector then registers
	// it beforehand, so that it hears the first one. Another declaration makes the application's registration fail.
	Fields string `mapstructure:"fields"`
	// Metric is what becomes of it.
	Metric instrument.Config `mapstructure:"metric"`
	// Value is the field with the value. Empty counts events: each has the value 1.
	Value string `mapstructure:"value"`
	// Scale is what values are multiplied with, other than zero; nil is 1. A counter or updowncounter with a scale that is
	// not a whole number has fractions.
	Scale *float64 `mapstructure:"scale"`
	// Attributes are fields by the key of the metric's attribute. Fields in EventHeader structures are
	// named by a path with dots.
	Attributes map[string]string `mapstructure:"attributes"`
	// Resource holds attributes that every resource gets beside those of its process.
	Resource map[string]string `mapstructure:"resource"`

	_ struct{}
}

// maxDeclaration is the longest name_args that the kernel takes, in bytes (MAX_EVENT_DESC, less the NUL).
const maxDeclaration = 511

// keys that the configuration may not set: they tell series, or processes, apart.
const (
	overflowKey = "otel.metric.overflow"
	pidKey      = "process.pid"
)

// Validate names what contradicts itself between entries.
func (es Events) Validate() error {
	var errs error
	declared := map[string]int{}
	for i := range es {
		e := &es[i]
		if e.Fields != "" {
			j, known := declared[e.Event]
			if known && !e.sameFields(&es[j]) {
				errs = errors.Join(errs, fmt.Errorf("%d::fields: %q is declared otherwise in %d", i, e.Event, j))
			}
			if !known {
				declared[e.Event] = i
			}
		}
	}
	return errors.Join(errs, instrument.Same(es, func(e *Event) (*instrument.Config, bool) { return &e.Metric, e.fractional() }))
}

// sameFields says whether two entries declare the same, however they write it.
func (e *Event) sameFields(other *Event) bool {
	fields, err := format.ParseFields(e.Fields)
	otherFields, otherErr := format.ParseFields(other.Fields)
	return err != nil || otherErr != nil || fields.Equal(otherFields)
}

// Validate names every key that is wrong.
func (e Event) Validate() error {
	var errs []error
	wrong := func(key, text string, args ...any) { errs = append(errs, fmt.Errorf(key+": "+text, args...)) }
	if _, err := path.Match(e.Event, ""); err != nil || e.Event == "" || strings.ContainsAny(e.Event, " ;:/") {
		wrong("event", "%q must be the name of an event, without a group, in which * and ? are wildcards", e.Event)
	}
	if e.Value == "" && e.Metric.NeedsValue() {
		wrong("value", "a %s needs the field that its values are in", e.Metric.Type)
	}
	errs = append(errs, e.Metric.CheckScale(e.factor()))
	if len(e.Attributes) > segment.MaxAttributes {
		wrong("attributes", "are %d, may be %d", len(e.Attributes), segment.MaxAttributes)
	}
	for key, field := range e.Attributes {
		if !segment.ValidKey(key) || key == overflowKey || field == "" {
			wrong("attributes::"+key, "must be the key of an attribute, with up to %d bytes, and the name of a field, is %q", segment.MaxKey, field)
		}
	}
	if len(e.Resource) > segment.MaxAttributes {
		wrong("resource", "has %d attributes, may have %d", len(e.Resource), segment.MaxAttributes)
	}
	for key, value := range e.Resource {
		if !segment.ValidKey(key) || key == pidKey || len(value) > segment.MaxString || !utf8.ValidString(value) {
			wrong("resource::"+key, "must be the key of an attribute other than %s, and up to %d bytes of UTF-8", pidKey, segment.MaxString)
		}
	}
	return errors.Join(append(errs, e.checkFields())...)
}

// checkFields is about what can be said before the event is seen.
func (e *Event) checkFields() error {
	if e.Fields == "" {
		return nil
	}
	if e.wild() {
		return errors.New("fields: can be given for a name without wildcards only")
	}
	fields, err := format.ParseFields(e.Fields)
	if err != nil {
		return fmt.Errorf("fields: %w", err)
	}
	if n := len(e.declaration(fields)); n > maxDeclaration {
		return fmt.Errorf("fields: the kernel takes up to %d bytes with the event's name, these are %d", maxDeclaration, n)
	}
	_, errs := e.choose(&format.Format{Fields: fields})
	return errors.Join(errs...)
}

// Declarations returns what to register beforehand, each in the form "my_event u32 worker; u64 n", as the kernel wants it.
// Entries about one event give it once. The configuration is valid.
func (es Events) Declarations() []string {
	var out []string
	known := map[string]bool{}
	for i := range es {
		e := &es[i]
		if e.Fields == "" {
			continue
		}
		fields, err := format.ParseFields(e.Fields)
		if err != nil {
			continue
		}
		if d := e.declaration(fields); !known[d] {
			known[d] = true
			out = append(out, d)
		}
	}
	return out
}

func (e *Event) declaration(fields format.Fields) string { return e.Event + " " + fields.String() }

// wild says whether the event's name has wildcards.
func (e *Event) wild() bool { return strings.ContainsAny(e.Event, `*?[\`) }

// factor is the scale, or its default.
func (e *Event) factor() float64 {
	if e.Scale == nil {
		return 1
	}
	return *e.Scale
}

func (e *Event) scale() aggregate.Scale { return aggregate.NewScale(e.factor()) }

// fractional says whether integers become sums with fractions.
func (e *Event) fractional() bool {
	return e.Metric.Sums() && e.scale().Fractional()
}
