package screen

import (
	"math"
	"strconv"
	"strings"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// AttributeValue is the value of an attribute.
func AttributeValue(a *emit.Attribute) any {
	switch a.Type {
	case emit.AttributeString:
		return a.Str
	case emit.AttributeInt:
		return int64(a.Bits)
	case emit.AttributeBool:
		return a.Bits != 0
	default:
		return Finite(math.Float64frombits(a.Bits))
	}
}

// Finite is a number as JSON can have it: as in OTLP, those that are none are strings.
func Finite(v float64) any {
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 1):
		return "Infinity"
	case math.IsInf(v, -1):
		return "-Infinity"
	}
	return v
}

// AttributeMap is attributes for JSON.
func AttributeMap(attributes []emit.Attribute) map[string]any {
	m := make(map[string]any, len(attributes))
	for i := range attributes {
		m[attributes[i].Key] = AttributeValue(&attributes[i])
	}
	return m
}

// Attributes are attributes on one line, fit for a terminal: op=get code=200 path="a b".
func Attributes(attributes []emit.Attribute) string {
	var out strings.Builder
	for i := range attributes {
		if i > 0 {
			out.WriteByte(' ')
		}
		out.WriteString(word(attributes[i].Key))
		out.WriteByte('=')
		out.WriteString(valueText(&attributes[i]))
	}
	return out.String()
}

// Values are those of attributes on one line: get 200 "a b".
func Values(attributes []emit.Attribute) string {
	var out strings.Builder
	for i := range attributes {
		if i > 0 {
			out.WriteByte(' ')
		}
		out.WriteString(valueText(&attributes[i]))
	}
	return out.String()
}

func valueText(a *emit.Attribute) string {
	switch a.Type {
	case emit.AttributeString:
		return word(a.Str)
	case emit.AttributeInt:
		return strconv.FormatInt(int64(a.Bits), 10)
	case emit.AttributeBool:
		return strconv.FormatBool(a.Bits != 0)
	default:
		return strconv.FormatFloat(math.Float64frombits(a.Bits), 'g', -1, 64)
	}
}

// word quotes text that would not be told from what is around it.
func word(s string) string {
	if s != "" && !strings.ContainsAny(s, " =\"\\") {
		return Escape(s)
	}
	return `"` + Escape(strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s)) + `"`
}
