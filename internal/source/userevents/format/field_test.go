package format_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/hotpath-metrics/hotpath/internal/source/userevents/format"
)

func fields(t testing.TB, declared string) format.Fields {
	t.Helper()
	f, err := format.ParseFields(declared)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

var ne = binary.NativeEndian

// record is one that begins like those of all events.
func record(values ...[]byte) []byte {
	b := []byte{1, 0, 0, 0, 2, 0, 0, 0}
	for _, v := range values {
		b = append(b, v...)
	}
	return b
}

func TestIntegersAreReadWithTheirSizeAndSign(t *testing.T) {
	f := fields(t, "s8 a; u8 b; s16 c; u16 d; s32 e; u32 f; s64 g; u64 h")
	ones := record([]byte(strings.Repeat("\xff", 30)))
	for i, want := range []uint64{0, 0xff, 0, 0xffff, 0, 0xffff_ffff, 0, 0xffff_ffff_ffff_ffff} {
		bits, ok := f[i].Uint(ones)
		if unsigned := i%2 == 1; ok != unsigned || ok && bits != want {
			t.Errorf("Uint of %s is %#x, %v", f[i].Type, bits, ok)
		}
		n, ok := f[i].Int(ones)
		if signed := i%2 == 0; signed && (n != -1 || !ok) || !signed && i < 7 && (n != int64(want) || !ok) || i == 7 && ok {
			t.Errorf("Int of %s is %d, %v", f[i].Type, n, ok)
		}
	}
	zeros := record(make([]byte, 30))
	zeros[8] = 0x7f
	if n, ok := f[0].Uint(zeros); n != 0x7f || !ok {
		t.Errorf("Uint of a positive s8 is %d, %v", n, ok)
	}
	for i := range f {
		end := f[i].Offset + f[i].Size
		if _, ok := f[i].Int(zeros[:end]); !ok {
			t.Errorf("%s does not fit a record that ends with it", f[i].Type)
		}
		if n, ok := f[i].Int(zeros[:end-1]); ok {
			t.Errorf("%s is %d where the record ends before it", f[i].Type, n)
		}
		if b, ok := f[i].Bytes(zeros[:end-1]); ok {
			t.Errorf("the bytes of %s are %q where the record ends before it", f[i].Type, b)
		}
	}
}

func TestOnlyIntegersHaveANumber(t *testing.T) {
	f := fields(t, "char[4] a; struct s b 4; __rel_loc u8[] c")
	r := record(make([]byte, 12))
	for i := range f {
		if n, ok := f[i].Uint(r); ok {
			t.Errorf("%s is %d", f[i].Type, n)
		}
		if n, ok := f[i].Int(r); ok {
			t.Errorf("%s is %d", f[i].Type, n)
		}
	}
}

func TestTextEndsAtItsFirstNUL(t *testing.T) {
	f := fields(t, "char[4] a; unsigned char[4] b; __rel_loc char[] c; __data_loc char[] d; __rel_loc u8[] e")
	r := record([]byte("ab\x00d"), []byte("full"),
		ne.AppendUint32(nil, 5<<16|8), ne.AppendUint32(nil, 3<<16|(28+5)), ne.AppendUint32(nil, 2<<16|5), []byte("four\x00xyz"))
	for i, want := range []string{"ab", "full", "four", "xyz"} {
		if got, ok := f[i].Text(r); string(got) != want || !ok {
			t.Errorf("%s is %q, %v; want %q", f[i].Type, got, ok, want)
		}
	}
	if got, ok := f[4].Text(r); ok {
		t.Errorf("%s is the text %q", f[4].Type, got)
	}
	if got, ok := f[4].Bytes(r); string(got) != "xy" || cap(got) != 2 || !ok {
		t.Errorf("%s is %q, %v", f[4].Type, got, ok)
	}
	if got, ok := f[0].Bytes(r); string(got) != "ab\x00d" || !ok {
		t.Errorf("the bytes of %s are %q, %v", f[0].Type, got, ok)
	}
}

func TestLocationsOutsideOfTheRecordAreRefused(t *testing.T) {
	f := fields(t, "__rel_loc u8[] rel; __data_loc u8[] data")
	for _, c := range []struct {
		what      string
		rel, data uint32
		ok        bool
	}{
		{"to the end", 8<<16 | 4, 8<<16 | 16, true},
		{"nothing, at the end", 12, 24, true},
		{"one byte past the end", 9<<16 | 4, 9<<16 | 16, false},
		{"nothing, past the end", 13, 25, false},
		{"as far as it goes", 0xffff_ffff, 0xffff_ffff, false},
	} {
		r := record(ne.AppendUint32(nil, c.rel), ne.AppendUint32(nil, c.data), make([]byte, 8))
		if b, ok := f[0].Bytes(r); ok != c.ok {
			t.Errorf("%s: __rel_loc is %q, %v", c.what, b, ok)
		}
		if b, ok := f[1].Bytes(r); ok != c.ok {
			t.Errorf("%s: __data_loc is %q, %v", c.what, b, ok)
		}
		if b, ok := f[1].Bytes(r[:15]); ok {
			t.Errorf("%s: __data_loc is %q where the record ends within it", c.what, b)
		}
		if b, ok := f[0].Bytes(r[:3]); ok {
			t.Errorf("%s: __rel_loc is %q where the record ends before it", c.what, b)
		}
	}
}

func TestAccessorsAllocateNothing(t *testing.T) {
	f := fields(t, "u32 a; __rel_loc char[] b")
	r := record(ne.AppendUint32(nil, 7), ne.AppendUint32(nil, 2<<16), []byte("x\x00"))
	if n := testing.AllocsPerRun(100, func() {
		if v, ok := f[0].Uint(r); v != 7 || !ok {
			t.Fatal("wrong number")
		}
		if s, ok := f[1].Text(r); string(s) != "x" || !ok {
			t.Fatal("wrong text")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkUint(b *testing.B) {
	f := fields(b, "u32 a; u64 b")
	r := record(ne.AppendUint32(nil, 7), ne.AppendUint64(nil, 1))
	var sum uint64
	for b.Loop() {
		v, _ := f[1].Uint(r)
		sum += v
	}
	if sum != uint64(b.N) {
		b.Fatal(sum)
	}
}
