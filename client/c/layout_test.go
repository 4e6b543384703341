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
	"github.com/hotpath-metrics/hotpath/client/go/uring"
	"github.com/hotpath-metrics/hotpath/client/go/userevent"
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
	"OFF_RINGS_OFFSET": segment.OffRingsOffset, "OFF_RING_SIZE": segment.OffRingSize, "OFF_RING_WORDS": segment.OffRingWords,
	"OFF_RING_COUNT": segment.OffRingCount, "OFF_RINGS_USED": segment.OffRingsUsed, "OFF_UNRECORDED": segment.OffUnrecorded,

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

	"DOORBELL_WAITERS": segment.DoorbellWaiters, "RING_HEAD": segment.RingHead, "RING_LOCK": segment.RingLock, "RING_FIRST": segment.RingFirst,
	"MEASUREMENT_SLOT": segment.MeasurementSlot, "MEASUREMENT_KIND": segment.MeasurementKind,
	"MEASUREMENT_ATTRIBUTES": segment.MeasurementAttributes, "MEASUREMENT_VALUE": segment.MeasurementValue,
	"MEASUREMENT_TIME": segment.MeasurementTime, "MEASUREMENT_HEADER_SIZE": segment.MeasurementHeaderSize,
	"MAX_MEASUREMENT": segment.MaxMeasurement, "TRAILER_WORDS_BITS": segment.TrailerWordsBits,
}

// events is the same for the event of user_events. Fields count from the first.
var events = map[string]int{
	"EVENT_HEADER_SIZE": userevent.HeaderSize, "EVENT_INDEX_SIZE": userevent.IndexSize, "EVENT_FLAG_MORE": userevent.FlagMore,
	"EVENT_MAX_SIZE": userevent.MaxSize, "EVENT_MAX_BUCKETS": userevent.MaxBuckets,
	"segment": userevent.OffSegment, "number": userevent.OffNumber, "start": userevent.OffStart, "value": userevent.OffValue,
	"zero": userevent.OffZero, "instance_hi": userevent.OffInstanceHi, "instance_lo": userevent.OffInstanceLo,
	"pid": userevent.OffPID, "series": userevent.OffSeries, "first": userevent.OffFirst, "flags": userevent.OffFlags,
	"record": userevent.OffRecord, "resource": userevent.OffResource, "buckets": userevent.OffBuckets,
}

// messages is the same for the messages of io_uring.
var messages = map[string]int{
	"MESSAGE_VERSION": uring.Version, "MESSAGE_HEADER_SIZE": uring.HeaderSize, "MESSAGE_MAX_SIZE": uring.MaxMessage,
	"TYPE_GREETING": uring.TypeGreeting, "TYPE_HELLO": uring.TypeHello, "TYPE_SERIES": uring.TypeSeries,
	"TYPE_READY": uring.TypeReady, "TYPE_REFUSED": uring.TypeRefused,
	"GREETING_SIZE": uring.GreetingSize, "MAX_ENTRIES": uring.MaxEntries, "MAX_SENTENCE": uring.MaxSentence,
	"SHARED_BIT": uring.SharedBit, "COUNTER_BIT": uring.CounterBit, "COUNTERS": uring.Counters,
	"COMPLETE":      uring.Complete,
	"DEFAULT_BATCH": uring.DefaultBatch, "DEFAULT_DELAY": uring.DefaultDelay,
}

// hello is the same for the fields of a hello.
var hello = map[string]int{
	"start_time": uring.HelloStartTime, "pid": uring.HelloPID, "instance": uring.HelloInstance, "segment_id": uring.HelloSegmentID,
	"catalogue_size": uring.HelloCatalogueSize, "shared_size": uring.HelloSharedSize, "stripe_size": uring.HelloStripeSize, "ring": uring.HelloRing,
	"message.size": uring.OffSize, "message.type": uring.OffType, "message.version": uring.OffVersion,
}

func TestHeaderAndGoPackageDefineTheSameLayout(t *testing.T) {
	constants := map[string]string{}
	for name := range layout {
		constants[name] = "HOTPATH__" + name
	}
	compare(t, constants, layout)
}

func TestHeaderAndGoPackageDefineTheSameEvent(t *testing.T) {
	expressions := map[string]string{}
	for name := range events {
		expressions[name] = "HOTPATH__" + name
		if name == strings.ToLower(name) {
			expressions[name] = "offsetof(struct hotpath__event, " + name + ") - offsetof(struct hotpath__event, segment)"
		}
	}
	compare(t, expressions, events)
	source := filepath.Join(t.TempDir(), "declaration.c")
	program := "#include \"hotpath.h\"\nint main(void) { printf(\"%d \" HOTPATH__EVENT_DECLARATION, (1 << HOTPATH__STRIPE_SHIFT) / 8); return 0; }\n"
	if err := os.WriteFile(source, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	words, declaration, _ := strings.Cut(output(t, compilers[0].compile(t, source, "-O0")), " ")
	if declaration != userevent.Declaration {
		t.Errorf("hotpath.h declares %q, package userevent %q", declaration, userevent.Declaration)
	}
	if n, err := strconv.Atoi(words); err != nil || n > userevent.MaxSeries {
		t.Errorf("a slot, which is the number of a series, is below %s, not %d", words, userevent.MaxSeries)
	}
}

func TestHeaderAndGoPackageDefineTheSameMessages(t *testing.T) {
	expressions, want := map[string]string{}, map[string]int{"resource": uring.HelloResource}
	expressions["resource"] = "sizeof(struct hotpath__hello)"
	for name := range messages {
		expressions[name], want[name] = "HOTPATH__"+name, messages[name]
	}
	for name := range hello {
		expressions[name], want[name] = "offsetof(struct hotpath__hello, "+name+")", hello[name]
	}
	compare(t, expressions, want)
	source := filepath.Join(t.TempDir(), "socket.c")
	if err := os.WriteFile(source, []byte("#include \"hotpath.h\"\nint main(void) { puts(HOTPATH__SOCKET); return 0; }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(output(t, compilers[0].compile(t, source, "-O0"))); got != uring.DefaultSocket {
		t.Errorf("the socket is %q in hotpath.h and %q in Go", got, uring.DefaultSocket)
	}
}

// compare prints what each of the header's expressions is, for every compiler.
func compare(t *testing.T, expressions map[string]string, want map[string]int) {
	t.Helper()
	var program strings.Builder
	program.WriteString("#include \"hotpath.h\"\nint main(void)\n{\n")
	for name, expression := range expressions {
		fmt.Fprintf(&program, "\tprintf(\"%s %%d\\n\", (int)(%s));\n", name, expression)
	}
	program.WriteString("\treturn 0;\n}\n")
	source := filepath.Join(t.TempDir(), "layout.c")
	if err := os.WriteFile(source, []byte(program.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range compilers {
		t.Run(c.name, func(t *testing.T) {
			seen := 0
			for line := range strings.Lines(output(t, c.compile(t, source, "-O0"))) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
				if got, err := strconv.Atoi(value); err != nil || got != want[name] {
					t.Errorf("%s is %s in hotpath.h and %d in Go", name, value, want[name])
				}
				seen++
			}
			if seen != len(want) {
				t.Errorf("compared %d of %d constants", seen, len(want))
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
