//go:build linux && (amd64 || arm64)

package hotpath

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

func FuzzResourceAttributesAreTakenOrIgnored(f *testing.F) {
	f.Add("a=b,c=d%20e", "name")
	f.Add(" service.name = x ,,", "")
	f.Add("a=%00", "\xff")
	f.Add("a=%zz,=b,c", strings.Repeat("é", 600))
	f.Fuzz(func(t *testing.T, list, name string) {
		record, err := resourceRecord(func(key string) string {
			return map[string]string{"OTEL_RESOURCE_ATTRIBUTES": list, "OTEL_SERVICE_NAME": name}[key]
		})
		if n := int(binary.NativeEndian.Uint32(record)); n != len(record) || n%8 != 0 {
			t.Fatalf("a record of %d bytes says %d", len(record), n)
		}
		_, attributes := parse(t, record)
		if len(attributes) == 0 || len(attributes) > segment.MaxAttributes || attributes[serviceName] == "" {
			t.Errorf("the attributes are %v", attributes)
		}
		pairs, parsed := parseResource(list)
		if (parsed == nil) != (err == nil) {
			t.Errorf("parsing says %v, the record %v", parsed, err)
		}
		for _, p := range pairs {
			if _, ok := attributes[p.key]; !ok || !segment.ValidKey(p.key) {
				t.Errorf("%q is missing, of %v", p.key, attributes)
			}
		}
	})
}
