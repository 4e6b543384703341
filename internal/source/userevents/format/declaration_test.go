package format_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/hotpath-metrics/hotpath/internal/source/userevents/format"
)

func TestParseDeclarationReadsNameAndFields(t *testing.T) {
	name, f, err := format.ParseDeclaration(" my_event  u32 worker;u64 n ; ")
	if err != nil || name != "my_event" || f.String() != "u32 worker; u64 n" {
		t.Fatalf("%q, %q, %v", name, f, err)
	}
	if f[0].Offset != 8 || f[1].Offset != 12 || f[1].Size != 8 {
		t.Errorf("the fields are %+v", f)
	}
	if name, f, err := format.ParseDeclaration("bare"); name != "bare" || len(f) != 0 || err != nil {
		t.Errorf("%q, %q, %v", name, f, err)
	}
	for _, text := range []string{"", " ", "a:flag u32 x", "a/b u32 x", "a\n u32 x", "a; u32 x", "ä", "name float x"} {
		if name, f, err := format.ParseDeclaration(text); !errors.Is(err, format.ErrSyntax) {
			t.Errorf("%q: %q, %q, %v", text, name, f, err)
		}
	}
}

func TestParseFieldsRefusesWhatTheKernelRefuses(t *testing.T) {
	for _, c := range []struct{ text, says string }{
		{"u32", "no name"},
		{"unsigned int", "no name"},
		{"__rel_loc unsigned char[]", "no name"},
		{"float x", `"float"`},
		{"long x", `"long"`},
		{"unsigned long x", `"unsigned long"`},
		{"u32 a b", `"b" after the name`},
		{"u32 a 4", `"4" after the name`},
		{"__rel_loc struct s x", `"x" after the name`},
		{"struct s x", `"struct s"`},
		{"struct s x 0", `size "0"`},
		{"struct s x -1", `size "-1"`},
		{"struct s x 4 5", `"4" after the name`},
		{"struct s[2] x 4", `"struct s[2]"`},
		{"u32[4] x", `"u32[4]"`},
		{"char[0] x", `"char[0]"`},
		{"char[] x", `"char[]"`},
		{"char[1025] x", `"char[1025]"`},
		{"char[4 x", `"char[4"`},
		{"char x[4]", "char[16]"},
		{"u32 a\tb", `"a\tb"`},
		{"u32 a; u64 ü", `"u64 ü"`},
	} {
		f, err := format.ParseFields(c.text)
		if !errors.Is(err, format.ErrSyntax) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %q, %v; want it to say %s", c.text, f, err, c.says)
		}
	}
}

func TestFieldsAreEqualWhateverTheBlanks(t *testing.T) {
	f := golden(t, "otlp_metrics").Fields
	for _, c := range []struct {
		text string
		want bool
	}{
		{"u32 protocol;char[8] version;__rel_loc u8[] buffer", true},
		{"  u32  protocol ;  char[0x8] version; __rel_loc u8[] buffer;", true},
		{"u32 protocol; char[8] version; __data_loc u8[] buffer", false},
		{"u32 protocol; char[9] version; __rel_loc u8[] buffer", false},
		{"u32 protocol; char[8] version", false},
		{"u32 protocol; __rel_loc u8[] buffer; char[8] version", false},
		{"s32 protocol; char[8] version; __rel_loc u8[] buffer", false},
		{"", false},
	} {
		if got := fields(t, c.text).Equal(f); got != c.want {
			t.Errorf("%q equals %q: %v", c.text, f, got)
		}
	}
}
