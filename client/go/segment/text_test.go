package segment

import (
	"encoding/binary"
	"hash/fnv"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNamesUnitsAndKeys(t *testing.T) {
	for _, c := range []struct {
		what  string
		valid func(string) bool
		text  string
		want  bool
	}{
		{"name", ValidName, "http.server/requests_total-2", true},
		{"name", ValidName, "Z", true},
		{"name", ValidName, strings.Repeat("n", 255), true},
		{"name", ValidName, strings.Repeat("n", 256), false},
		{"name", ValidName, "", false},
		{"name", ValidName, "1st", false},
		{"name", ValidName, "_x", false},
		{"name", ValidName, "a b", false},
		{"name", ValidName, "a\x00", false},
		{"name", ValidName, "größe", false},
		{"name", ValidName, "@", false},
		{"name", ValidName, "[", false},
		{"name", ValidName, "{", false},
		{"unit", ValidUnit, "", true},
		{"unit", ValidUnit, "{requests}/s", true},
		{"unit", ValidUnit, strings.Repeat("u", 63), true},
		{"unit", ValidUnit, strings.Repeat("u", 64), false},
		{"unit", ValidUnit, "µs", false},
		{"key", ValidKey, "ключ", true},
		{"key", ValidKey, strings.Repeat("k", 255), true},
		{"key", ValidKey, strings.Repeat("k", 256), false},
		{"key", ValidKey, "", false},
		{"key", ValidKey, "a\xff", false},
	} {
		if got := c.valid(c.text); got != c.want {
			t.Errorf("%s %q: valid is %v, want %v", c.what, c.text, got, c.want)
		}
	}
}

func TestTextIsCutBetweenCharacters(t *testing.T) {
	for _, c := range []struct {
		text  string
		limit int
		want  string
	}{
		{"short", 5, "short"},
		{"longer", 5, "longe"},
		{"aéé", 3, "aé"},
		{"aéé", 4, "aé"},
		{"€€", 5, "€"},
		{"€", 2, ""},
		{"a\xffb", 10, "a\uFFFDb"},
		{"ab\xff", 4, "ab"},
		{"\xe2\x82", 10, "\uFFFD\uFFFD"},
		{"a€", 3, "a"},
		{"abc€\xff", 3, "abc"},
	} {
		if got := Text(c.text, c.limit); got != c.want {
			t.Errorf("Text(%q, %d) = %q, want %q", c.text, c.limit, got, c.want)
		}
	}
}

func FuzzTextIsShortAndValid(f *testing.F) {
	f.Add("aé€😀\xff", 3)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit &= 31
		got := Text(s, limit)
		whole := string([]rune(s))
		if len(got) > limit || !utf8.ValidString(got) || !strings.HasPrefix(whole, got) || len(got) < min(len(whole), limit-3) {
			t.Fatalf("Text(%q, %d) = %q", s, limit, got)
		}
	})
}

func TestInstanceIsTheHashOfTheFormat(t *testing.T) {
	p := Process{BootID: "2f6d9a6e-2c39-4d5b-8a6c-6b2a1f6f0a11", PIDNamespace: 4026531836, PID: 4711, StartTime: 99, ExeDevice: 26, ExeInode: 12}
	text := "2f6d9a6e-2c39-4d5b-8a6c-6b2a1f6f0a11 4026531836 4711 99 26 12"
	fnv1a := fnv.New64a()
	fnv1a.Write([]byte(text))
	h := fnv1a.Sum64()
	h ^= h >> 30
	h *= 0xbf58476d1ce4e5b9
	h ^= h >> 27
	h *= 0x94d049bb133111eb
	h ^= h >> 31
	id := p.Instance()
	if got := binary.NativeEndian.Uint64(id[:8]); got != h {
		t.Errorf("bytes 0 to 7 are %#x, want %#x", got, h)
	}
	other := p
	other.StartTime++
	if id8, other8 := [8]byte(id[8:]), other.Instance(); id8 == [8]byte(id[:8]) || id8 == [8]byte(other8[8:]) {
		t.Error("the second hash repeats the first, or another process's")
	}
}

func TestHeaderFieldsLieWhereTheFormatSays(t *testing.T) {
	h := Header{
		FileSize: 1, StartTime: 2, PID: 3, Instance: [16]byte{4, 15: 5}, SegmentID: 6, CatalogueOffset: 7, CatalogueSize: 8,
		SharedOffset: 9, SharedSize: 10, StripesOffset: 11, StripeSize: 12, StripeCount: 13,
		RingsOffset: 14, RingSize: 15, RingWords: 16, RingCount: 17,
	}
	b := make([]byte, HeaderSize)
	h.Put(b)
	if string(b[:8]) != "HOTPATH\n" || binary.NativeEndian.Uint32(b[8:]) != 1 || binary.NativeEndian.Uint32(b[12:]) != 1 {
		t.Errorf("magic and version are %q", b[:16])
	}
	for offset, want := range map[int]uint64{16: 512, 24: 1, 32: 2, 40: 3, 64: 6, 72: 7, 80: 8, 88: 9, 96: 10, 104: 11, 112: 12, 120: 13, 128: 14, 136: 15, 144: 16, 152: 17, 160: 0, 192: 0} {
		if got := binary.NativeEndian.Uint64(b[offset:]); got != want {
			t.Errorf("the word at %d is %d, want %d", offset, got, want)
		}
	}
	if b[48] != 4 || b[63] != 5 {
		t.Errorf("instance is %v", b[48:64])
	}
}
