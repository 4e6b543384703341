package format_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/hotpath-metrics/hotpath/internal/source/userevents/format"
)

// FuzzParse reads any text as a format and takes its fields out of any record.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.format")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, []byte("0123456789\x08\x00\x04\x000123456789"))
	}
	f.Fuzz(func(t *testing.T, text, record []byte) {
		parsed, err := format.Parse(text)
		if err != nil {
			if !errors.Is(err, format.ErrSyntax) {
				t.Fatal(err)
			}
			return
		}
		for _, fields := range []format.Fields{parsed.Common, parsed.Fields} {
			for i := range fields {
				take(t, &fields[i], record)
				if end := fields[i].Offset + fields[i].Size; end > parsed.Size {
					t.Fatalf("a field ends at %d, the record at %d", end, parsed.Size)
				}
			}
		}
		if !parsed.Fields.Equal(parsed.Fields) {
			t.Fatal("fields are not equal to themselves")
		}
	})
}

func take(t *testing.T, f *format.Field, record []byte) {
	if f.Name == "" || f.Type == "" || f.Size < 0 || f.Offset < 0 || f.ElementSize < 0 {
		t.Fatalf("%+v", *f)
	}
	b, ok := f.Bytes(record)
	if text, is := f.Text(record); is && (!ok || len(text) > len(b)) {
		t.Fatalf("%+v: text %q of %q", *f, text, b)
	}
	unsigned, isUint := f.Uint(record)
	signed, isInt := f.Int(record)
	if isUint && isInt && int64(unsigned) != signed {
		t.Fatalf("%+v: %d and %d", *f, unsigned, signed)
	}
	if fits := ok && f.Kind == format.Integer; fits != (isUint || isInt) {
		t.Fatalf("%+v: bytes %q, number %v", *f, b, isUint || isInt)
	}
}

// FuzzParseFields reads any text as fields. What is read must be read again from its own declaration.
func FuzzParseFields(f *testing.F) {
	f.Add("u32 worker; u64 n")
	f.Add("unsigned char[4] a;struct point b 12;__data_loc unsigned char[] c;__rel_loc u8[] d")
	f.Fuzz(func(t *testing.T, text string) {
		fields, err := format.ParseFields(text)
		if err != nil {
			if !errors.Is(err, format.ErrSyntax) {
				t.Fatal(err)
			}
			return
		}
		again, err := format.ParseFields(fields.String())
		if err != nil || !again.Equal(fields) {
			t.Fatalf("%q became %q, %v", fields, again, err)
		}
		for i := range again {
			if again[i] != fields[i] {
				t.Fatalf("%+v became %+v", fields[i], again[i])
			}
		}
	})
}
