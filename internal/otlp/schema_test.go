package otlp_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"go.opentelemetry.io/collector/pdata/pmetric"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/hotpath-metrics/hotpath/internal/otlp"
)

// messages are the ways from a field of a message to those of the request, innermost first.
var messages = map[string][]byte{
	"request": {}, "resource_metrics": {1}, "resource": {1, 1}, "entity_ref": {3, 1, 1}, "scope_metrics": {2, 1},
	"scope": {1, 2, 1}, "metric": {2, 2, 1}, "gauge": {5, 2, 2, 1}, "sum": {7, 2, 2, 1}, "histogram": {9, 2, 2, 1},
	"exponential": {10, 2, 2, 1}, "summary": {11, 2, 2, 1}, "number point": {1, 7, 2, 2, 1}, "gauge point": {1, 5, 2, 2, 1},
	"histogram point": {1, 9, 2, 2, 1}, "exponential point": {1, 10, 2, 2, 1}, "summary point": {1, 11, 2, 2, 1},
	"quantile": {6, 1, 11, 2, 2, 1}, "positive": {8, 1, 10, 2, 2, 1}, "negative": {9, 1, 10, 2, 2, 1},
	"exemplar": {5, 1, 7, 2, 2, 1}, "histogram exemplar": {8, 1, 9, 2, 2, 1}, "exponential exemplar": {11, 1, 10, 2, 2, 1},
	"key value": {1, 1, 1}, "metadata": {12, 2, 2, 1}, "any value": {2, 1, 1, 1}, "array": {5, 2, 1, 1, 1}, "kvlist": {6, 2, 1, 1, 1},
}

// TestEveryFieldIsCheckedAsPdataReadsIt puts every wire type into every field of every message.
func TestEveryFieldIsCheckedAsPdataReadsIt(t *testing.T) {
	notUTF8 := protowire.AppendBytes(nil, []byte{0xff})
	values := map[protowire.Type][][]byte{
		protowire.VarintType:  {{5}, {0x85, 0x80, 0x00}, {0x85}},
		protowire.Fixed64Type: {make([]byte, 8), make([]byte, 7)},
		protowire.Fixed32Type: {make([]byte, 4), make([]byte, 3)},
		protowire.BytesType:   {{}, notUTF8},
	}
	for _, n := range []int{0, 1, 3, 8, 16, 24, 200} {
		values[protowire.BytesType] = append(values[protowire.BytesType], protowire.AppendBytes(nil, bytes.Repeat([]byte{1}, n)))
	}
	for name, path := range messages {
		for number := protowire.Number(1); number < 20; number++ {
			for wire, values := range values {
				for _, value := range values {
					request := wrap(append(protowire.AppendTag(nil, number, wire), value...), path...)
					r := start(t, otlp.Config{})
					r.add(request)
					var unmarshaler pmetric.ProtoUnmarshaler
					_, err := unmarshaler.UnmarshalMetrics(request)
					taken := r.skipped[otlp.ReasonMalformed] == 0
					if taken != (err == nil) && (taken || !slices.Equal(value, notUTF8)) {
						t.Error(fmt.Sprintf("field %d of %s, %x: taken is %v,", number, name, value, taken), err)
					}
				}
			}
		}
	}
}
