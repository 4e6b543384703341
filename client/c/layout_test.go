// Package c tests hotpath.h: it compiles the header as users do, runs what
// comes out, and reads the segments with the receiver's own source.
package c

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
)

// layout has everything that the C header and the Go package both define.
var layout = map[string]int{
	"MAJOR": segment.Major, "MINOR": segment.Minor,
	"OFF_MAGIC": segment.OffMagic, "OFF_MAJOR": segment.OffMajor, "OFF_MINOR": segment.OffMinor,
	"OFF_HEADER_SIZE": segment.OffHeaderSize, "OFF_FILE_SIZE": segment.OffFileSize,
	"OFF_START_TIME": segment.OffStartTime, "OFF_PID": segment.OffPID, "OFF_INSTANCE": segment.OffInstance,
	"OFF_SEGMENT_ID": segment.OffSegmentID, "OFF_CATALOGUE_OFFSET": segment.OffCatalogueOffset,
	"OFF_CATALOGUE_SIZE": segment.OffCatalogueSize, "OFF_SHARED_OFFSET": segment.OffSharedOffset,
	"OFF_SHARED_SIZE": segment.OffSharedSize, "OFF_STRIPES_OFFSET": segment.OffStripesOffset,
	"OFF_STRIPE_SIZE": segment.OffStripeSize, "OFF_STRIPE_COUNT": segment.OffStripeCount,
	"OFF_CATALOGUE_USED": segment.OffCatalogueUsed, "OFF_STRIPES_USED": segment.OffStripesUsed,
	"OFF_REFUSED": segment.OffRefused, "OFF_FOLDED": segment.OffFolded, "OFF_UNPLACED": segment.OffUnplaced,
	"OFF_REJECTED": segment.OffRejected, "HEADER_SIZE": segment.HeaderSize,

	"RECORD_SIZE": segment.RecordSize, "RECORD_KIND": segment.RecordKind, "RECORD_FLAGS": segment.RecordFlags,
	"RECORD_ATTRIBUTES": segment.RecordAttributes, "RECORD_SLOT": segment.RecordSlot,
	"RECORD_NAME_LEN": segment.RecordNameLen, "RECORD_UNIT_LEN": segment.RecordUnitLen,
	"RECORD_DESCRIPTION_LEN": segment.RecordDescriptionLen, "RECORD_HEADER_SIZE": segment.RecordHeaderSize,

	"RESOURCE": segment.KindResource, "COUNTER": segment.KindCounter, "UPDOWNCOUNTER": segment.KindUpDownCounter,
	"GAUGE": segment.KindGauge, "HISTOGRAM": segment.KindHistogram, "FLAG_OVERFLOW": segment.FlagOverflow,

	"ATTRIBUTE_KEY_LEN": segment.AttributeKeyLen, "ATTRIBUTE_TYPE": segment.AttributeType,
	"ATTRIBUTE_VALUE_LEN": segment.AttributeValueLen, "ATTRIBUTE_HEADER_SIZE": segment.AttributeHeaderSize,
	"TYPE_STRING": segment.AttributeString, "TYPE_INT64": segment.AttributeInt64,
	"TYPE_DOUBLE": segment.AttributeDouble, "TYPE_BOOL": segment.AttributeBool,

	"MAX_NAME": segment.MaxName, "MAX_UNIT": segment.MaxUnit, "MAX_DESCRIPTION": segment.MaxDescription,
	"MAX_ATTRIBUTES": segment.MaxAttributes, "MAX_KEY": segment.MaxKey, "MAX_STRING": segment.MaxString,
	"MAX_RECORD": segment.MaxRecord,

	"HISTOGRAM_SUM": segment.HistogramSum, "HISTOGRAM_ZERO": segment.HistogramZero,
	"HISTOGRAM_CLAMPED": segment.HistogramClamped, "HISTOGRAM_FIRST_BUCKET": segment.HistogramFirstBucket,
	"HISTOGRAM_BUCKETS": segment.HistogramBuckets, "HISTOGRAM_WORDS": segment.HistogramWords,
	"HISTOGRAM_SCALE": segment.HistogramScale, "HISTOGRAM_OFFSET": segment.HistogramOffset,
}

func TestHeaderAndGoPackageDefineTheSameLayout(t *testing.T) {
	var program strings.Builder
	program.WriteString("#include \"hotpath.h\"\nint main(void)\n{\n")
	for name := range layout {
		fmt.Fprintf(&program, "\tprintf(\"%s %%d\\n\", (int)HOTPATH__%s);\n", name, name)
	}
	program.WriteString("\treturn 0;\n}\n")
	source := filepath.Join(t.TempDir(), "layout.c")
	if err := os.WriteFile(source, []byte(program.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range compilers {
		t.Run(c.name, func(t *testing.T) {
			seen := 0
			for line := range strings.Lines(output(t, c.compile(t, source))) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
				if got, err := strconv.Atoi(value); err != nil || got != layout[name] {
					t.Errorf("%s is %s in hotpath.h and %d in package segment", name, value, layout[name])
				}
				seen++
			}
			if seen != len(layout) {
				t.Errorf("compared %d of %d constants", seen, len(layout))
			}
		})
	}
}

// A constant that only one side has is one that the test above does not see.
func TestEveryLayoutConstantOfTheHeaderIsCompared(t *testing.T) {
	text, err := os.ReadFile("hotpath.h")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "/* ---- Segment layout")
	enum, _, ok := strings.Cut(rest, "};")
	if !ok {
		t.Fatal("hotpath.h has no layout section")
	}
	found := 0
	for _, part := range strings.Split(enum, "HOTPATH__")[1:] {
		name, _, _ := strings.Cut(part, " ")
		if _, ok := layout[name]; !ok {
			t.Errorf("HOTPATH__%s is not compared", name)
		}
		found++
	}
	if found != len(layout) {
		t.Errorf("hotpath.h has %d layout constants, %d are compared", found, len(layout))
	}
}
