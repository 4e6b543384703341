package format_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hotpath-metrics/hotpath/internal/source/userevents/format"
)

func golden(t testing.TB, name string) *format.Format {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".format"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := format.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestParseReadsHotpathsOwnFormat(t *testing.T) {
	f := golden(t, "hotpath_v1")
	const declared = "u64 segment; u64 number; u64 start; u64 value; u64 zero; u64 instance_hi; u64 instance_lo; u32 pid; u32 series; " +
		"u16 first; u16 flags; __rel_loc u8[] record; __rel_loc u8[] resource; __rel_loc u8[] buckets"
	if f.Name != "hotpath_v1" || f.ID != 1500 || f.Size != 8+80 || f.Fields.String() != declared {
		t.Errorf("got %q, %d, %d bytes: %s", f.Name, f.ID, f.Size, f.Fields)
	}
	if got := f.Common.String(); got != "unsigned short common_type; unsigned char common_flags; unsigned char common_preempt_count; int common_pid" {
		t.Errorf("common fields are %s", got)
	}
	if series := f.Fields.Lookup("series"); series == nil || series.Offset != 8+60 || series.Kind != format.Integer {
		t.Errorf("series is %+v", series)
	}
	if f.Fields.Lookup("common_pid") != nil || f.Fields.Lookup("") != nil {
		t.Error("fields were found that the event does not declare")
	}
}

func TestParseReadsBothLayoutsOfOTLP(t *testing.T) {
	if f := golden(t, "otlp_metrics"); f.Fields.String() != "u32 protocol; char[8] version; __rel_loc u8[] buffer" || f.Size != 24 {
		t.Errorf("the layout with fields is %q, %d bytes", f.Fields, f.Size)
	}
	if f := golden(t, "otlp_metrics_cpp"); len(f.Fields) != 0 || f.ID != 1482 || f.Size != 8 {
		t.Errorf("the layout without fields is %q, %d bytes", f.Fields, f.Size)
	}
	if f := golden(t, "linux_6.12_no_fields"); len(f.Fields) != 0 || len(f.Common) != 4 {
		t.Errorf("a kernel showed no fields as %q, %q", f.Common, f.Fields)
	}
}

func TestParseKnowsEveryTypeOfAUserEvent(t *testing.T) {
	f := golden(t, "all_types.1f")
	shown := golden(t, "linux_6.12_all_types")
	const declared = "s8 a; u8 b; s16 c; u16 d; s32 e; u32 f; s64 g; u64 h; char i; unsigned char j; short k; unsigned short l; int m; " +
		"unsigned int n; char[20] o; unsigned char[4] p; struct point q 12; __data_loc char[] r; __data_loc u8[] s; " +
		"__data_loc unsigned char[] t; __rel_loc char[] u; __rel_loc u16[] v; __rel_loc u32 w"
	if f.Name != "all_types.1f" || f.ID != 65535 || f.Fields.String() != declared {
		t.Errorf("got %q, %d: %s", f.Name, f.ID, f.Fields)
	}
	if !shown.Fields.Equal(f.Fields) {
		t.Errorf("a kernel showed %s", shown.Fields)
	}
	for _, c := range []struct {
		name     string
		kind     format.Kind
		location format.Location
		element  int
		signed   bool
	}{
		{"a", format.Integer, format.Inline, 1, true},
		{"d", format.Integer, format.Inline, 2, false},
		{"h", format.Integer, format.Inline, 8, false},
		{"i", format.Integer, format.Inline, 1, true},
		{"n", format.Integer, format.Inline, 4, false},
		{"o", format.Text, format.Inline, 1, true},
		{"p", format.Text, format.Inline, 1, false},
		{"q", format.Bytes, format.Inline, 12, true},
		{"r", format.Text, format.DataLoc, 1, true},
		{"s", format.Bytes, format.DataLoc, 1, true},
		{"t", format.Text, format.DataLoc, 1, true},
		{"u", format.Text, format.RelLoc, 1, true},
		{"v", format.Bytes, format.RelLoc, 2, true},
		{"w", format.Bytes, format.RelLoc, 4, true},
	} {
		got := f.Fields.Lookup(c.name)
		if got.Kind != c.kind || got.Location != c.location || got.ElementSize != c.element || got.Signed != c.signed {
			t.Errorf("%s is %+v, want %+v", c.name, *got, c)
		}
	}
	again, err := format.ParseFields(declared)
	if err != nil {
		t.Fatal(err)
	}
	for i := range again {
		if again[i] != f.Fields[i] || again[i] != shown.Fields[i] {
			t.Errorf("declared as %+v, found as %+v and %+v", again[i], f.Fields[i], shown.Fields[i])
		}
	}
}

func TestParseReadsFormatsOfTheKernelsOwnEvents(t *testing.T) {
	f := golden(t, "sched_switch")
	for _, c := range []struct {
		name, typ string
		kind      format.Kind
		element   int
	}{
		{"prev_comm", "char[16]", format.Text, 1},
		{"prev_pid", "pid_t", format.Integer, 4},
		{"prev_state", "long", format.Integer, 8},
		{"next_name", "const char *", format.Integer, 8},
		{"args", "unsigned long[6]", format.Bytes, 8},
		{"pairs", "struct odd[2]", format.Bytes, 12},
		{"garbage", "struct odd[]", format.Bytes, 0},
		{"names", "const char *[2]", format.Bytes, 8},
		{"idle", "bool", format.Integer, 1},
	} {
		got := f.Fields.Lookup(c.name)
		if got == nil || got.Type != c.typ || got.Kind != c.kind || got.ElementSize != c.element {
			t.Errorf("%s is %+v, want %+v", c.name, got, c)
		}
	}
}

func TestParseRefusesWhatIsNoFormat(t *testing.T) {
	text, err := os.ReadFile("testdata/otlp_metrics.format")
	if err != nil {
		t.Fatal(err)
	}
	good := string(text)
	for _, c := range []struct{ what, old, new string }{
		{"nothing", good, ""},
		{"no name", "name: otlp_metrics", "name: "},
		{"no id", "ID: 1481", "ID: x"},
		{"an id above 16 bits", "ID: 1481", "ID: 65536"},
		{"a negative offset", "offset:20", "offset:-20"},
		{"an offset above 31 bits", "offset:20", "offset:2147483648"},
		{"no size", "size:8;", ""},
		{"a location of 8 bytes", "offset:20;\tsize:4;", "offset:20;\tsize:8;"},
		{"a field without a name", "u32 protocol", "u32"},
		{"a name with a line break", "u32 protocol", "u32 pro\n\tfield:col"},
		{"a field too many in a line", "signed:1;\n", "signed:1;\tfield:u32 x;\n"},
		{"neither signed nor not", "signed:1", "signed:2"},
		{"no end", "print fmt", "fmt"},
		{"half a line", good[len(good)-200:], ""},
	} {
		if !strings.Contains(good, c.old) {
			t.Fatalf("%s: %q is not there to replace", c.what, c.old)
		}
		if f, err := format.Parse([]byte(strings.Replace(good, c.old, c.new, 1))); !errors.Is(err, format.ErrSyntax) {
			t.Errorf("%s: %+v, %v", c.what, f, err)
		}
	}
}

func TestParseLinesReadsTheHeaderOfAPage(t *testing.T) {
	fields, err := format.ParseLines([]byte("\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\tfield: char data;\toffset:16;\tsize:4080;\tsigned:0;\n"))
	if err != nil || len(fields) != 2 || fields[1].Name != "data" || fields[1].Offset != 16 || fields[1].Size != 4080 {
		t.Errorf("got %+v, %v", fields, err)
	}
	if fields, err := format.ParseLines([]byte("# compressed entry header\n")); !errors.Is(err, format.ErrSyntax) {
		t.Errorf("got %+v, %v", fields, err)
	}
}
